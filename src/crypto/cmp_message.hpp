// Messages of the Certificate Management Protocol (RFC 9810, CMPv2 and CMPv3) as values: what clients ask, and whether its protection holds. What CMP calls PKI
// is the CA here. Answers are made in cmp_answer.hpp.
//
// The envelope is read here, over the octets that were received, because their protection is over those; certificate requests (RFC 4211), their possession and
// password based MACs are OpenSSL's. Its ready-made server (OSSL_CMP_SRV_CTX) is not used: it keeps a transaction in memory alone, answers every failure with
// badRequest, and shows neither header nor the digest that a confirmation was made with.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "crypto/subject.hpp"

namespace qanat::crypto {

/// What is read at most.
inline constexpr std::size_t cmp_octets_max = 64U * 1024;

/// The choices of PKIBody by their tags (RFC 9810 §5.1.2), as far as they are used here.
enum class CmpBody : std::uint8_t {
  ir = 0,
  ip = 1,
  cr = 2,
  cp = 3,
  p10cr = 4,
  kur = 7,
  kup = 8,
  rr = 11,
  rp = 12,
  pki_conf = 19,
  genm = 21,
  genp = 22,
  error = 23,
  cert_conf = 24,
  poll_req = 25,
  poll_rep = 26,
};
/// "ir", "certConf"; "unknown" for what is not among these.
std::string_view name(CmpBody body) noexcept;

/// PKIFailureInfo's bits (RFC 9810 §5.2.3).
enum class CmpFailure : std::uint8_t {
  bad_alg = 0,
  bad_message_check = 1,
  bad_request = 2,
  bad_time = 3,
  bad_cert_id = 4,
  bad_data_format = 5,
  incorrect_data = 7,
  missing_time_stamp = 8,
  bad_pop = 9,
  cert_revoked = 10,
  cert_confirmed = 11,
  wrong_integrity = 12,
  bad_recipient_nonce = 13,
  unaccepted_policy = 15,
  unaccepted_extension = 16,
  bad_sender_nonce = 18,
  bad_cert_template = 19,
  signer_not_trusted = 20,
  transaction_id_in_use = 21,
  unsupported_version = 22,
  not_authorized = 23,
  system_unavail = 24,
  system_failure = 25,
};

enum class CmpProtection : std::uint8_t { none, mac, signature };

struct CmpHeader {
  std::int64_t version = 0;  // pvno: 2 or 3 (others are for the caller to refuse)
  Bytes sender;              // GeneralName, DER
  Bytes recipient;           // the same
  std::optional<UnixMs> time = {};
  CmpProtection protection = CmpProtection::none;
  Bytes sender_key_id = {};  // of a MAC's secret: its reference; of a signature: the key identifier of its certificate
  Bytes transaction_id = {};
  Bytes sender_nonce = {};
  Bytes recipient_nonce = {};
  bool implicit_confirm = false;  // asked for
  std::string profile = {};       // certProfile (RFC 9483 §1.6.1); empty: none asked for
};

/// A PKIMessage whose header is read and whose body waits.
class CmpMessage {
 public:
  /// invalid_argument says where it is malformed.
  static Result<CmpMessage> parse(ByteView der);

  [[nodiscard]] const CmpHeader& header() const noexcept { return header_; }
  [[nodiscard]] CmpBody body() const noexcept { return body_; }
  /// Inside the body's tag: what the read_cmp_… functions read.
  [[nodiscard]] const Bytes& content() const noexcept { return content_; }
  [[nodiscard]] const std::vector<Bytes>& extra_certificates() const noexcept { return extra_certificates_; }

  /// A password based MAC under this secret. `denied`: with algorithms or an iteration count that are not taken here; `unauthenticated`: it does not hold.
  Result<void> check_mac(const Secret& secret) const;
  /// A signature by the certificate's key, and the certificate's subject and key identifier those of the header. The same failures; invalid_argument for what
  /// is no certificate. Who issued the certificate is not looked at.
  Result<void> check_signature(ByteView certificate_der) const;

 private:
  CmpHeader header_;
  CmpBody body_{};
  Bytes content_;
  Bytes protected_part_;  // header and body as a SEQUENCE, as they came
  Bytes protection_algorithm_;
  Bytes protection_;
  std::vector<Bytes> extra_certificates_;
};

/// A certificate by its issuer's name (Name, DER) and serial (magnitude).
struct CmpCertificateId {
  Bytes issuer;
  Bytes serial;
  bool operator==(const CmpCertificateId&) const = default;
};
Result<CmpCertificateId> cmp_certificate_id(ByteView certificate_der);
/// The subject of a certificate (Name, DER).
Result<Bytes> cmp_subject_of(ByteView certificate_der);

enum class CmpPossession : std::uint8_t {
  proved,       // by a signature of the key
  ra_verified,  // the sender says so
  absent,
  other,        // a method that is not taken here (encryption, key agreement)
  wrong,        // a signature that does not hold, or one by an algorithm that is not taken here
};

/// Of ir, cr, kur (one CertReqMsg, RFC 4211) and p10cr.
struct CmpCertificateRequest {
  std::int64_t id = 0;                          // certReqId; -1 for p10cr
  std::shared_ptr<const SubjectPublicKey> key;  // nullptr: none in the template, the CA is to make it
  AskedNames names = {};
  CmpPossession possession{};
  std::optional<CmpCertificateId> renews = {};  // the control oldCertID
};
/// invalid_argument: malformed, several requests in one message, another certReqId than 0; denied: a key that is not taken here.
Result<CmpCertificateRequest> read_cmp_certificate_request(const CmpMessage& message);

struct CmpRevocationRequest {
  CmpCertificateId certificate;
  std::optional<int> reason = {};  // CRLReason
};
/// invalid_argument: malformed, several in one message, without issuer or serial.
Result<CmpRevocationRequest> read_cmp_revocation(const CmpMessage& message);

struct CmpConfirmation {
  std::int64_t id = 0;
  Bytes hash;
  Bytes hash_algorithm = {};  // OBJECT IDENTIFIER's content; empty: that of the certificate's signature
  bool accepted = false;
  std::string text = {};  // why not; for the record
};
/// Nothing: the client confirms no certificate at all, which rejects what it got.
Result<std::optional<CmpConfirmation>> read_cmp_confirmation(const CmpMessage& message);
/// True if the hash is this certificate's (RFC 9810 §5.3.18).
bool confirms(const CmpConfirmation& confirmation, ByteView certificate_der);

/// certReqId of a pollReq; -1 where the client named none.
Result<std::int64_t> read_cmp_poll(const CmpMessage& message);

/// What the client's error message says, on one line; for the record.
Result<std::string> read_cmp_error(const CmpMessage& message);

/// InfoTypeAndValue of a genm.
struct CmpQuestion {
  std::string type;   // OBJECT IDENTIFIER as text: "1.3.6.1.5.5.7.4.17"
  Bytes value = {};   // DER; empty: absent
};
inline constexpr std::size_t cmp_questions_max = 8;
Result<std::vector<CmpQuestion>> read_cmp_questions(const CmpMessage& message);

/// One CRLStatus of id-it-crlStatusList (RFC 9483 §4.3.4).
struct CmpListStatus {
  Bytes issuer = {};               // Name, DER; empty: by distribution point
  std::string url = {};            // of the distribution point
  std::optional<UnixMs> this_update = {};  // of the list that the client has
};
Result<std::vector<CmpListStatus>> read_cmp_list_status(ByteView value);

}  // namespace qanat::crypto
