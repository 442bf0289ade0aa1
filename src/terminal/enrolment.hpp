// Steps 1 and 2 from the terminal's side: it makes its signing keys, proves with the one-time enrolment secret who it is, and takes from its
// KMS the certificates and the key pair to which working keys will be sealed. Every stage is durable before the next one begins, so that it
// can be taken up again after a crash at any point.
#pragma once

#include <functional>

#include "node/node.hpp"
#include "terminal/settings.hpp"
#include "terminal/terminal_store.hpp"
#include "wire/envelope.hpp"
#include "wire/key_schedule.hpp"

namespace qanat::terminal {

/// The file's 64 hexadecimal digits as 32 octets. not_found if there is none; denied if others can read it; invalid_argument otherwise.
Result<Secret> read_enrolment_secret(const std::filesystem::path& file);

/// What an answer of the KMS brought, checked.
struct EnrolmentAnswer {
  TerminalStore::Delivered delivered;
  std::vector<crypto::Certificate> classical_chain;  // leaf first
  std::vector<crypto::Certificate> ml_dsa_chain;
};

/// What the answer is judged by.
struct EnrolmentJudge {
  const crypto::Suite& suite;
  std::uint32_t policy_epoch = 1;
  const crypto::TrustStore& trust;
  Identity kms;                    // who must have signed
  crypto::SubjectNames own_names;  // for whom the certificates must be
  UnixMs now = 0;
};
/// Takes the envelope that answers `asked`. denied unless it was signed by the KMS (identity, chain) for this very request, brings certificates
/// of this terminal, opens with the ephemeral key, holds the key pair that it names, and pins the same certificates that signed it.
Result<EnrolmentAnswer> judge_enrolment(const EnrolmentJudge& judge, const TerminalStore::Asked& asked, ByteView envelope);

/// How Km-1 is reached: without a certificate of our own for step 1, with it for the receipt.
struct EnrolmentTransport {
  std::function<Result<Bytes>(ByteView message, Deadline deadline)> enrol;
  std::function<Result<void>(ByteView message, Deadline deadline)> receipt;
};

class Enrolment {
 public:
  Enrolment(node::Node& node, const TerminalSettings& settings, node::CredentialStore& credentials, TerminalStore& store, EnrolmentTransport transport)
      : node_(node), settings_(settings), credentials_(credentials), store_(store), transport_(std::move(transport)) {}

  /// Does what is still to be done. Afterwards the node has its credentials and the enrolment secret is gone.
  Result<void> run(Deadline deadline);

 private:
  Result<Identity> kms() const;
  crypto::SubjectNames names() const;
  EnrolmentJudge judge(const Identity& kms) const;
  Result<void> ask(Deadline deadline);
  Result<TerminalStore::Asked> request();
  Result<TerminalStore::Asked> new_request(const node::CredentialStore::Requests& requests, const Secret& secret);
  Result<void> install();
  Result<void> confirm(Deadline deadline);

  node::Node& node_;
  const TerminalSettings& settings_;
  node::CredentialStore& credentials_;
  TerminalStore& store_;
  EnrolmentTransport transport_;
};

}  // namespace qanat::terminal
