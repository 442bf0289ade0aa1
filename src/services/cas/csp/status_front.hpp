// The listener of the CAS for everybody's software: certificate status, revocation lists and CA certificates over plain HTTP (RFC 6960 appendix A, RFC 5019,
// RFC 5280 §4.2.1.13). Everything that it gives is signed, and nothing of it is secret; who asks is not known. Protocols of enrolment whose messages protect
// themselves have a place on it too.
#pragma once

#include "net/foreign.hpp"
#include "net/workers.hpp"
#include "services/cas/csp/revocation_lists.hpp"
#include "services/cas/csp/status_desk.hpp"

namespace qanat::cas {

struct FrontSettings {
  std::string url;  // as certificates name this listener; empty: there is none
  net::ForeignSettings listener{};
};

class StatusFront {
 public:
  StatusFront(StatusDesk& desk, const RevocationLists& lists, const Authorities& authorities, const Clock& clock);
  ~StatusFront() { stop(); }
  StatusFront(const StatusFront&) = delete;
  StatusFront& operator=(const StatusFront&) = delete;

  /// Before start(): what else this listener serves, of prefixes of their own. They must outlive it.
  void serve_also(std::vector<net::ForeignService> services) { others_ = std::move(services); }
  Result<void> start(net::ForeignSettings settings);
  void stop();
  [[nodiscard]] std::uint16_t port() const noexcept { return listener_ ? listener_->port() : std::uint16_t{0}; }
  [[nodiscard]] net::ForeignService service();

 private:
  enum class Caching : std::uint8_t { allowed, none };
  void answer_status(Bytes request_der, Caching caching, std::string if_none_match, net::ForeignReply reply);
  [[nodiscard]] net::ForeignResponse response(const StatusDesk::Reply& reply, Caching caching, std::string_view if_none_match) const;
  [[nodiscard]] net::ForeignResponse list(const std::string& file, std::string_view if_none_match) const;
  [[nodiscard]] const crypto::Certificate* ca_named(const std::string& path) const;
  [[nodiscard]] net::ForeignResponse ca_certificate(const std::string& file) const;

  StatusDesk& desk_;
  const RevocationLists& lists_;
  const Authorities& authorities_;
  const Clock& clock_;
  std::vector<net::ForeignService> others_;
  net::Workers signers_;
  std::unique_ptr<net::ForeignListener> listener_;  // last: the first to go
};

}  // namespace qanat::cas
