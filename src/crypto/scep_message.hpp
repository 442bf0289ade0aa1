// SCEP's messages (RFC 8894 §3): CMS SignedData with SCEP's attributes, around an EnvelopedData. OpenSSL's CMS is used here alone; values come and go.
//
// A request is read in two steps that must not be mixed up. ScepRequest holds what everybody can see of it. What open_scep_envelope() gives comes out of RSA
// PKCS#1 v1.5 and AES-CBC, neither of which protects what it hides from being changed: as long as its sender is not authenticated, whatever is wrong with
// it must be answered in the same words, or the answers tell the plaintext of an envelope that was overheard, challengePassword and all.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "crypto/rsa_key.hpp"
#include "crypto/subject.hpp"

namespace qanat::crypto {

/// messageType (§3.2.1.2).
enum class ScepType : std::uint8_t { cert_rep = 3, renewal_req = 17, pkcs_req = 19, cert_poll = 20, get_cert = 21, get_crl = 22 };
/// pkiStatus (§3.2.1.3).
enum class ScepStatus : std::uint8_t { success = 0, failure = 2, pending = 3 };
/// failInfo (§3.2.1.4).
enum class ScepFailInfo : std::uint8_t { bad_alg = 0, bad_message_check = 1, bad_request = 2, bad_time = 3, bad_cert_id = 4 };

enum class ScepCipher : std::uint8_t { aes_128_cbc, aes_256_cbc };
enum class ScepDigest : std::uint8_t { sha256, sha384, sha512 };

inline constexpr std::size_t scep_nonce_size = 16;  // §3.2.1.5
inline constexpr std::size_t scep_message_octets_max = 64U * 1024;

/// A registration authority: its RSA certificate signs answers and has requests encrypted to it.
struct ScepRa {
  Bytes certificate;  // DER
  RsaKey key;
};

/// Why a message that can be read is not taken, to be told to everybody.
struct ScepFault {
  ScepFailInfo info{};
  std::string text;
};

/// The outside of a request.
class ScepRequest {
 public:
  /// invalid_argument for what is no SignedData by one signer whose certificate is in it, or has no transactionID, messageType and senderNonce as §3.2.1 wants
  /// them: there is nobody to answer to.
  static Result<ScepRequest> parse(ByteView der);

  [[nodiscard]] int type() const noexcept { return type_; }  // a ScepType, or another number
  [[nodiscard]] const std::string& transaction_id() const noexcept { return transaction_id_; }
  [[nodiscard]] const Bytes& sender_nonce() const noexcept { return sender_nonce_; }
  /// An algorithm that is not taken (badAlg), or a signature that does not hold (badMessageCheck). Nothing below means anything unless this is empty.
  [[nodiscard]] const std::optional<ScepFault>& fault() const noexcept { return fault_; }
  [[nodiscard]] const Bytes& signer() const noexcept { return signer_; }  // DER of the certificate; self-signed ones too: nobody vouches for it here
  [[nodiscard]] const SubjectPublicKey& signer_key() const noexcept { return *signer_key_; }
  [[nodiscard]] std::optional<UnixMs> signing_time() const noexcept { return signing_time_; }
  [[nodiscard]] ScepDigest digest() const noexcept { return digest_; }
  [[nodiscard]] ScepCipher cipher() const noexcept { return cipher_; }
  [[nodiscard]] const Bytes& envelope() const noexcept { return envelope_; }

 private:
  int type_ = 0;
  std::string transaction_id_;
  Bytes sender_nonce_;
  std::optional<ScepFault> fault_;
  Bytes signer_;
  std::shared_ptr<const SubjectPublicKey> signer_key_;
  std::optional<UnixMs> signing_time_;
  ScepDigest digest_ = ScepDigest::sha256;
  ScepCipher cipher_ = ScepCipher::aes_128_cbc;
  Bytes envelope_;
};

/// To whose certificate the envelope is encrypted; nullptr: to none of these.
const ScepRa* scep_recipient(const ScepRequest& request, std::span<const ScepRa> authorities);

/// The one DER object inside the envelope, or an empty Secret, whatever the reason. A content-encryption key that cannot be had is replaced by a random one
/// (RFC 3218 §2.3.2), and the padding behind the object is not looked at: neither says anything by its failure.
Secret open_scep_envelope(const ScepRequest& request, const ScepRa& authority);

/// Issuer (DER Name) and serial number that GetCert and GetCRL ask about (§3.3.4, §3.3.5).
struct ScepCertificateId {
  Bytes issuer;
  Bytes serial;  // big-endian magnitude
};
Result<ScepCertificateId> parse_scep_certificate_id(ByteView der);
/// DER Name of a certificate's issuer, or of its subject.
Result<Bytes> certificate_issuer_name(ByteView certificate_der);
Result<Bytes> certificate_subject_name(ByteView certificate_der);

// ---- answers ----

/// A revocation list (DER) in a SignedData without signer or content, as GetCRL gives it (§3.3.5). Certificates: make_certs_only() of x509_pkcs7.hpp.
Result<Bytes> make_list_only(ByteView revocation_list);

/// EnvelopedData to the RSA key of a certificate.
Result<Bytes> seal_to_certificate(ByteView content, ByteView certificate_der, ScepCipher cipher);
/// PBKDF2 (RFC 8018) with HMAC-SHA-1, as OpenSSL's CMS makes it; the passwords here have 256 random bits, so that the count of iterations is for form.
inline constexpr int scep_password_iterations = 10'000;
/// EnvelopedData to who knows the password: PasswordRecipientInfo (RFC 8894 §3.1, RFC 5652 §6.2.4).
Result<Bytes> seal_to_password(ByteView content, const Secret& password, ScepCipher cipher);

/// A CertRep (§3.3.2).
struct ScepAnswer {
  std::string transaction_id;
  Bytes recipient_nonce;  // the request's senderNonce
  Bytes sender_nonce;     // fresh
  ScepStatus status{};
  std::optional<ScepFault> fault = {};  // of a failure
  Bytes envelope = {};                  // of a success: from seal_to_…()
  ScepDigest digest = ScepDigest::sha256;
};
Result<Bytes> sign_scep_answer(const ScepAnswer& answer, const ScepRa& authority);
/// A SignedData over a certs-only one, as GetNextCACert gives it (§4.7.1).
Result<Bytes> sign_next_certificates(ByteView certs_only, const ScepRa& authority);

}  // namespace qanat::crypto
