// The certificates of its KMS that a terminal keeps to: those of its enrolment, and after each renewal those that the former ones named as their successors. A
// certificate of the KMS's name that the former keys have not signed is not taken, whoever issued it.
#pragma once

#include "node/senders.hpp"
#include "terminal/terminal_store.hpp"
#include "wire/succession.hpp"

namespace qanat::terminal {

using KmsCertificates = wire::SignerCertificates;

class KmsPin {
 public:
  /// Asks the KMS (km1_certificates), with this query.
  using Ask = std::function<Result<Bytes>(const std::string& query, Deadline deadline)>;
  /// `node`, `store` and `senders` must outlive this.
  KmsPin(const node::Node& node, TerminalStore& store, node::SenderDirectory& senders, Identity kms, KmsCertificates kept, Ask ask)
      : node_(node), store_(store), senders_(senders), kms_(std::move(kms)), kept_(std::move(kept)), ask_(std::move(ask)) {}

  /// The KMS by the certificates that are kept to, if they are good now. From the second time on, and where they have expired, the KMS is asked for their
  /// successors first: an application may have failed because it has some.
  Result<std::shared_ptr<const node::Sender>> check(Deadline deadline);
  /// For an application's query: which certificates its answer will be checked by.
  [[nodiscard]] std::string query() const;
  /// Of the certificates that are kept to, in hexadecimal.
  [[nodiscard]] std::string fingerprint() const;

 private:
  Result<void> ask_for_successors(Deadline deadline);

  const node::Node& node_;
  TerminalStore& store_;
  node::SenderDirectory& senders_;
  const Identity kms_;
  KmsCertificates kept_;
  const Ask ask_;
  bool checked_ = false;
};

}  // namespace qanat::terminal
