// A terminal that lives in this process with its keys in memory: enrolled over the wire as every terminal is, one kept connection to its KMS.
#pragma once

#include <memory>

#include "ground.hpp"
#include "net/client.hpp"
#include "node/credentials.hpp"
#include "node/senders.hpp"
#include "terminal/key_delivery.hpp"
#include "terminal/terminal_store.hpp"

namespace qanat::bench {

class BenchTerminal {
 public:
  /// Creates the subscriber, enrols it (steps 1 and 2) and leaves the connection to the KMS open.
  static Result<std::unique_ptr<BenchTerminal>> enrol(Ground& ground, const app::TerminalPlan& plan);

  /// Step 4 up to sending: an application signed now.
  Result<terminal::KeyApplication> apply(const terminal::KeyWanted& wanted, UnixMs now, crypto::Rng& rng) const;
  /// What the KMS delivered, checked and opened; keeps the reference of the access token that came with it.
  Result<terminal::WorkingKey> open(const terminal::KeyApplication& application, ByteView answer, UnixMs now);

  /// One message to the KMS over the kept connection; the body of its answer.
  Result<Bytes> send(points::Endpoint endpoint, ByteView message);

  [[nodiscard]] const Number& number() const noexcept { return number_; }
  [[nodiscard]] const std::shared_ptr<const net::TlsIdentity>& tls() const noexcept { return tls_; }
  [[nodiscard]] const node::MessageSigner& signer() const noexcept { return *signer_; }
  [[nodiscard]] const crypto::EncapsulationKey& encryption_key() const { return encryption_->encapsulation_key(); }

 private:
  explicit BenchTerminal(const app::TerminalPlan& plan) : number_(plan.number) {}
  Result<Bytes> ask(Ground& ground, const app::TerminalPlan& plan, const net::Target& kms, terminal::TerminalStore::Asked& asked, const crypto::Signer& signer);
  Result<void> accept(Ground& ground, const net::Target& kms, terminal::TerminalStore::Asked asked, ByteView envelope, crypto::Signer signer);
  Result<void> confirm(Ground& ground, const terminal::TerminalStore::Delivered& delivered);

  Number number_;
  std::shared_ptr<const net::TlsIdentity> tls_;  // shared with this terminal's clients
  std::optional<node::MessageSigner> signer_;
  std::optional<crypto::Decapsulator> encryption_;
  std::optional<node::Sender> kms_;
  std::optional<terminal::Applicant> applicant_;
  std::unique_ptr<net::Client> client_;
  Bytes token_ref_;
  crypto::SubjectNames names_;
};

/// One request to `client`; the body of a 2xx answer.
Result<Bytes> exchange(net::Client& client, points::Endpoint endpoint, ByteView body, crypto::Rng& rng);

}  // namespace qanat::bench
