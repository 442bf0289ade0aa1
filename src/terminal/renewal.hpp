// A terminal renews its certificates itself, at CAS (Ce-2), by those in force: new signing keys, certified one after the other by EST; the encryption keys
// stay, their certificates come anew with them. Then its KMS is told (Km-1), by a link that the former keys have signed, and CAS, which ends the former bundle.
// Every stage is durable before the next begins, so that it can be taken up again after a crash at any point.
#pragma once

#include <functional>

#include "node/node.hpp"
#include "terminal/issuances.hpp"
#include "terminal/settings.hpp"
#include "terminal/terminal_store.hpp"

namespace qanat::terminal {

/// How CAS and the KMS are reached, each time with the certificate then in force.
struct RenewalTransport {
  std::function<Result<crypto::Certificate>(ByteView request, Deadline deadline)> reenrol;
  std::function<Result<std::vector<Issuance>>(Deadline deadline)> issued;
  std::function<Result<void>(const wire::Json& renewed, Deadline deadline)> tell_kms;
  std::function<Result<void>(const Bytes& bundle, Deadline deadline)> confirm;
};
/// Over the network.
RenewalTransport renewal_transport(node::Node& node, const std::string& kms);

class TerminalRenewal {
 public:
  TerminalRenewal(node::Node& node, const TerminalSettings& settings, node::CredentialStore& credentials, TerminalStore& store,
                  const crypto::EncapsulationKey& encryption, RenewalTransport transport)
      : node_(node), settings_(settings), credentials_(credentials), store_(store), encryption_(encryption), transport_(std::move(transport)) {}

  /// The certificates in force are new, and the KMS or CAS has not heard of it yet.
  Result<bool> to_be_told();
  /// The time has come (node.renew_at_percent of the life).
  [[nodiscard]] bool due() const;
  /// Ends what was begun; begins one if nothing was. On audit record whatever its outcome. Afterwards the node has the new credentials.
  Result<void> run(Deadline deadline);

 private:
  Result<void> renew(Deadline deadline);
  Result<void> obtain(Deadline deadline);
  Result<void> tell(Deadline deadline);
  Result<std::vector<crypto::Certificate>> certified(ByteView request, crypto::KeyAlgorithm algorithm, Deadline deadline);
  [[nodiscard]] crypto::SubjectNames names() const;

  node::Node& node_;
  const TerminalSettings& settings_;
  node::CredentialStore& credentials_;
  TerminalStore& store_;
  const crypto::EncapsulationKey& encryption_;
  const RenewalTransport transport_;
};

}  // namespace qanat::terminal
