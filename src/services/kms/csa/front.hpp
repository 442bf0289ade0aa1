// The CSA before its two listeners: the elements' own (X-14, by the table of points) and, where the configuration has one, that for software of others, which has
// no ML-DSA certificates ([kms.csa]).
#pragma once

#include <memory>
#include <optional>

#include "net/crl_watch.hpp"
#include "net/foreign_workers.hpp"
#include "node/config.hpp"
#include "services/kms/csa/desk.hpp"

namespace qanat::kms::csa {

/// Table [kms.csa].
struct CsaSettings {
  DeskLimits limits = {};
  std::optional<net::ForeignSettings> listener = {};  // for software of others; absent without a certificate
  static CsaSettings read(node::Config& kms);
};

/// One handler for each row of the table of operations.
std::vector<points::Handler> handlers_of(Desk& desk, const Clock& clock);

/// The listener for software of others: the same paths, who asks is the first name of its certificate ("foreign:<name>"). What it is told is marked as not quantum
/// safe (the field Qanat-Quantum-Safe, and the record) unless the connection's key exchange is the hybrid one.
class ForeignFront {
 public:
  static Result<std::unique_ptr<ForeignFront>> start(const net::ForeignSettings& settings, Desk& desk, node::Node& node);
  ~ForeignFront() { stop(); }
  ForeignFront(const ForeignFront&) = delete;
  ForeignFront& operator=(const ForeignFront&) = delete;
  [[nodiscard]] std::uint16_t port() const noexcept { return listener_->port(); }
  /// Takes up the revocation lists where their file is another; to be called about once a second.
  Result<void> sweep() { return crls_.look(*listener_); }
  void stop();

 private:
  ForeignFront(Desk& desk, const Clock& clock, const net::ForeignTls& tls);
  net::ForeignService service();
  net::ForeignResponse answer(Operation operation, net::ForeignRequest& request);

  Desk& desk_;
  const Clock& clock_;
  net::Workers workers_;
  net::CrlWatch crls_;
  std::unique_ptr<net::ForeignListener> listener_;
};

}  // namespace qanat::kms::csa
