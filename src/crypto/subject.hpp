// Keys, requests and certificates of software that others wrote. They may have more algorithms than the elements of a network use among themselves
// (x509.hpp), and none of them is ever taken for an element's: a `qanat://` name is not among theirs.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "crypto/x509.hpp"

namespace qanat::crypto {

enum class SubjectAlgorithm : std::uint8_t { rsa, ecdsa_p256, ecdsa_p384, sm2, ml_dsa_44, ml_dsa_65, ml_dsa_87, ml_kem_768, ml_kem_1024 };
std::string_view name(SubjectAlgorithm algorithm) noexcept;
/// False for those that only encapsulate: their holder cannot sign a request.
constexpr bool signs(SubjectAlgorithm algorithm) noexcept { return algorithm < SubjectAlgorithm::ml_kem_768; }

/// A SubjectPublicKeyInfo, its key checked to be well-formed (on its curve, of the right length).
class SubjectPublicKey {
 public:
  /// invalid_argument for what is no such DER or has trailing octets; denied for an algorithm that is not among these, for RSA under 2048 or over 8192 bits,
  /// and for RSA with an exponent that is even or under 65537 (FIPS 186-5 §5.1) or a modulus with a factor under 752.
  static Result<SubjectPublicKey> parse(ByteView spki_der);
  [[nodiscard]] SubjectAlgorithm algorithm() const noexcept { return algorithm_; }
  [[nodiscard]] int bits() const noexcept { return bits_; }
  [[nodiscard]] const Bytes& der() const noexcept { return der_; }
  /// The key itself, as it stands in the BIT STRING: a point, an RSAPublicKey, the octets of FIPS 203 or 204.
  [[nodiscard]] const Bytes& octets() const noexcept { return octets_; }
  bool operator==(const SubjectPublicKey&) const = default;

 private:
  SubjectAlgorithm algorithm_{};
  int bits_ = 0;
  Bytes der_;
  Bytes octets_;
};

/// What a request asks to be called, or a certificate calls its holder. Of the subject's distinguished name the common name alone; other attributes are read
/// over.
struct AskedNames {
  std::string common_name = {};
  std::vector<std::string> dns = {};
  std::vector<std::string> uris = {};
  std::vector<std::string> mail = {};
  std::vector<std::string> addresses = {};  // IPv4 or IPv6, as text
  bool operator==(const AskedNames&) const = default;
};

/// A PKCS#10 (RFC 2986). One that asks for an alternative name of another kind is invalid_argument: nobody certifies a name that this code does not show.
class SubjectRequest {
 public:
  /// Checks the self-signature (SM2 with the standard distinguishing id, then with the empty one, as the openssl program makes it): `denied` if neither holds.
  static Result<SubjectRequest> parse(ByteView der);
  static Result<SubjectRequest> parse_pem(std::string_view pem);  // the first one of a text of at most 64 KiB
  /// The same for a request whose signature is to be ignored: EST's serverkeygen (RFC 7030 §4.4.1).
  static Result<SubjectRequest> parse_unproved(ByteView der);
  [[nodiscard]] const Bytes& der() const noexcept { return *der_; }
  [[nodiscard]] const SubjectPublicKey& key() const noexcept { return *key_; }
  [[nodiscard]] const AskedNames& names() const noexcept { return names_; }
  /// PKCS#9 challengePassword; nullptr if there is none.
  [[nodiscard]] const Secret* challenge() const noexcept { return challenge_.get(); }

 private:
  enum class Proof : std::uint8_t { self_signature, none };
  static Result<SubjectRequest> parse(ByteView der, Proof proof);

  std::shared_ptr<const Bytes> der_;  // wiped when it goes: a challengePassword stands in it
  std::shared_ptr<const SubjectPublicKey> key_;
  AskedNames names_;
  std::shared_ptr<const Secret> challenge_;
};

/// Key usages (RFC 5280 §4.2.1.3) as bits of a set.
enum class KeyUsage : std::uint16_t { digital_signature = 1, non_repudiation = 2, key_encipherment = 4, data_encipherment = 8, key_agreement = 16 };
struct KeyUsages {
  std::uint16_t bits = 0;
  constexpr KeyUsages() = default;
  constexpr KeyUsages(std::initializer_list<KeyUsage> usages) {
    for (const KeyUsage usage : usages) bits = static_cast<std::uint16_t>(bits | static_cast<std::uint16_t>(usage));
  }
  [[nodiscard]] constexpr bool has(KeyUsage usage) const { return (bits & static_cast<std::uint16_t>(usage)) != 0; }
  constexpr bool operator==(const KeyUsages&) const = default;
};
enum class ExtendedUsage : std::uint8_t { server_auth, client_auth, email_protection, ocsp_signing };
/// What a key of this algorithm can be used for: ML-DSA for signatures alone (RFC 9881 §5), ML-KEM for key encipherment alone (RFC 9935 §5), RSA for no
/// agreement, ECDSA for no encipherment (RFC 8813 §3), SM2 for all (GM/T 0015).
KeyUsages usages_possible(SubjectAlgorithm algorithm) noexcept;

/// An X.509 certificate of any of these keys.
class SubjectCertificate {
 public:
  /// Its signature is not looked at; names of kinds that AskedNames has not are read over.
  static Result<SubjectCertificate> parse(ByteView der);
  /// The first certificate of a PEM text of at most 64 KiB.
  static Result<SubjectCertificate> parse_pem(std::string_view pem);
  [[nodiscard]] const Bytes& der() const noexcept { return der_; }
  [[nodiscard]] const SubjectPublicKey& key() const noexcept { return *key_; }
  [[nodiscard]] const AskedNames& names() const noexcept { return names_; }
  [[nodiscard]] const Bytes& serial() const noexcept { return serial_; }  // big-endian magnitude
  [[nodiscard]] const Bytes& issuer_key_id() const noexcept { return issuer_key_id_; }
  [[nodiscard]] UnixMs not_before() const noexcept { return not_before_; }
  [[nodiscard]] UnixMs not_after() const noexcept { return not_after_; }
  [[nodiscard]] KeyUsages usages() const noexcept { return usages_; }  // of those above; none if the extension is absent
  [[nodiscard]] const std::vector<ExtendedUsage>& extended() const noexcept { return extended_; }
  [[nodiscard]] bool is_ca() const noexcept { return is_ca_; }
  /// False if an AlgorithmIdentifier of the signature has parameters: none of SM2, ECDSA and ML-DSA may (RFC 5758 §3.2, RFC 9881 §2).
  [[nodiscard]] bool bare_signature() const noexcept { return bare_signature_; }
  /// noRevAvail (RFC 9608 §2): nobody need ask whether it is revoked.
  [[nodiscard]] bool no_rev_avail() const noexcept { return no_rev_avail_; }
  /// Whether it says where to ask: what RFC 9608 §3 forbids beside noRevAvail (cRLDistributionPoints, freshestCRL, an OCSP accessMethod).
  [[nodiscard]] bool points_to_status() const noexcept { return points_to_status_; }
  /// `denied` unless the issuer's name and signature are on it.
  [[nodiscard]] Result<void> signed_by(const Certificate& issuer) const;

 private:
  Bytes der_;
  std::shared_ptr<const SubjectPublicKey> key_;
  AskedNames names_;
  KeyUsages usages_;
  std::vector<ExtendedUsage> extended_;
  bool is_ca_ = false;
  bool bare_signature_ = false;
  bool no_rev_avail_ = false;
  bool points_to_status_ = false;
  Bytes serial_;
  Bytes issuer_key_id_;
  UnixMs not_before_ = 0;
  UnixMs not_after_ = 0;
};

/// PEM of a certificate.
std::string certificate_pem(ByteView der);

/// What is to be signed. Names are those that policy gives, not those that were asked for.
struct SubjectTemplate {
  Bytes public_key_info;  // DER
  AskedNames names = {};
  KeyUsages usages = {};
  std::vector<ExtendedUsage> extended = {};
  Bytes serial;  // 16 octets, first bit clear
  UnixMs not_before = 0;
  UnixMs not_after = 0;
  StatusPointers pointers = {};
  Bytes related = {};  // RFC 9763: SHA-256 over the DER of the certificate that this one is related to; empty: none
  bool no_rev_avail = false;  // RFC 9608; `pointers` is the caller's to keep in line with it
};
/// DER. The issuer is one of CAS's issuing CAs. invalid_argument for a template that has no name, names an element, or has usages that its key is not fit for.
Result<Bytes> issue_subject(const SubjectTemplate& wanted, const Certificate& issuer, const PrivateKey& issuer_key);

}  // namespace qanat::crypto
