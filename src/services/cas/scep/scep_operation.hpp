// PKIOperation (RFC 8894 §4.3): a request in, a CertRep out. Who asks is found out here; what they get is the desk's to decide.
//
// A first request is known by its challengePassword, "<reference>:<secret>", a renewal by the certificate that signs it. Until then everything that depends on
// what was decrypted ends in one answer, word for word the same (crypto/scep_message.hpp says why); the record alone tells the difference. A poll is known by
// its transaction and the key that signs it: what is in its envelope would add nothing, and it is never opened.
#pragma once

#include <functional>
#include <memory>
#include <span>

#include "crypto/scep_message.hpp"
#include "services/cas/ceis/desk.hpp"
#include "services/cas/scep/scep_ra.hpp"
#include "services/cas/scep/scep_transactions.hpp"

namespace qanat::cas {

/// Whoever sets their clock a day off may not be answered (badTime); devices without a clock send no signingTime at all.
inline constexpr UnixMs scep_clock_difference_max_ms = 24ULL * 3600 * 1000;
/// A longer revocation list is to be had over HTTP.
inline constexpr std::size_t scep_list_octets_max = 1024U * 1024;

/// What the operation needs of the rest of CAS. Thread-safe.
struct ScepParts {
  Desk& desk;
  ScepTransactions& transactions;
  crypto::Rng& rng;
  const Clock& clock;
  std::function<Bytes(Branch)> list;  // DER of the complete revocation list in force; empty: none
};

class ScepOperation {
 public:
  explicit ScepOperation(ScepParts parts) : parts_(std::move(parts)) {}

  /// The CertRep, signed by the RA that the request was encrypted to, otherwise by the one in force. invalid_argument: there is nobody to answer to (HTTP 400);
  /// unavailable, exhausted, deadline_exceeded, internal: to be asked again (HTTP 503, 500), nothing having been decided.
  Result<Bytes> answer(ByteView message, const ScepRas& authorities, Deadline deadline, const std::string& request_id);

 private:
  struct Question {
    const crypto::ScepRequest& request;
    const crypto::ScepRa* recipient;  // nullptr: it is encrypted to nobody here
    Deadline deadline;
    const std::string& request_id;
  };
  struct Decision {
    crypto::ScepStatus status{};
    std::optional<crypto::ScepFault> fault = {};
    Bytes content = {};    // of a success
    Secret password = {};  // that the content is encrypted under; empty: under the signer's RSA key
  };

  Result<Decision> decide(const Question& question);
  Result<Decision> first_request(const Question& question);
  Result<Decision> renewal(const Question& question);
  Result<Decision> poll(const Question& question);
  Result<Decision> to_holder(const Question& question, std::string_view what, Result<Decision> (ScepOperation::*answer)(const Question&));
  Result<Decision> certificate(const Question& question);
  Result<Decision> list(const Question& question);

  static Decision failure(crypto::ScepFailInfo info, std::string_view why) {
    return {.status = crypto::ScepStatus::failure, .fault = crypto::ScepFault{.info = info, .text = std::string(why)}};
  }
  /// On record, with the answer to all who are not known.
  Decision refuse(const Question& question, std::string_view reference, std::string_view why);
  /// On record, with an answer that says why: it does not depend on what was decrypted, or the asker is known.
  Decision deny(const Question& question, std::string_view reference, crypto::ScepFailInfo info, std::string_view why);
  Result<Decision> refuse_signer(const Question& question, std::string_view what, const Error& error);
  Result<crypto::SubjectRequest> open_request(const Question& question) const;
  /// Of GetCert and GetCRL: nothing where the envelope names nothing.
  static std::optional<crypto::ScepCertificateId> open_certificate_id(const Question& question);
  Result<Registration> check_challenge(const crypto::SubjectRequest& request, std::string& claimed);
  Result<Secret> password_of(const std::string& reference);
  Result<Decision> order(const Question& question, const Registration& registration, const crypto::SubjectRequest& request, Bytes renews, Secret password);
  Result<Decision> outcome(Result<Outcome> decided, ScepPending pending);
  Result<Bytes> reply(const crypto::ScepRequest& request, Decision decision, const crypto::ScepRa& authority);

  const ScepParts parts_;
};

}  // namespace qanat::cas
