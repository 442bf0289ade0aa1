// Answering for the status of certificates (RFC 6960; RFC 5019 for answers made ahead; nonces as in RFC 9654): requests about several certificates,
// answers by the issuing CA or by a responder to which it delegates.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "crypto/x509.hpp"

namespace qanat::crypto {

inline constexpr std::size_t status_questions_max = 32;  // certificates of one request

/// By which digest a CertID names its issuer. An answer repeats it: clients look for their own CertID.
enum class CertIdHash : std::uint8_t { sha1, sha256 };

struct StatusQuestion {
  CertIdHash hash{};
  Bytes issuer_name_hash;
  Bytes issuer_key_hash;
  Bytes serial;  // big-endian magnitude
};

struct StatusQuestions {
  std::vector<StatusQuestion> about;  // 1 to status_questions_max
  Bytes nonce;                        // empty if none
};
/// invalid_argument for what is no request, and for one about more certificates than status_questions_max.
Result<StatusQuestions> parse_status_questions(ByteView der);
bool names_issuer(const StatusQuestion& question, const Certificate& issuer);

/// One certificate's line of an answer.
struct StatusLine {
  CertIdHash hash{};
  Bytes serial;
  StatusAnswer answer;
};

/// A key that signs answers about the certificates of one issuing CA: the CA's own, or that of a responder with a certificate from it (use
/// `ocsp_signer`), which the answers then bring along.
class StatusSigner {
 public:
  /// `responder` absent: the CA answers itself. invalid_argument if the key is not the one of the certificate.
  static Result<StatusSigner> make(Certificate issuer, std::optional<Certificate> responder, const PrivateKey& key);

  /// DER OCSPResponse (successful) with these lines. `produced_at` is at most every line's thisUpdate.
  [[nodiscard]] Result<Bytes> answer(std::span<const StatusLine> lines, ByteView nonce, UnixMs produced_at) const;
  [[nodiscard]] const Certificate& issuer() const noexcept;
  /// Whose signature it is: until when answers can be checked.
  [[nodiscard]] const Certificate& certificate() const noexcept;

  struct State;

 private:
  std::shared_ptr<const State> state_;  // immutable; shared by copies of the value
};

}  // namespace qanat::crypto
