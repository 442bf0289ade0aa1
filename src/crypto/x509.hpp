// Certificates, requests and status responses (RFC 5280, 2986, 6960, 9881; SM2 objects carry and are verified with the standard
// distinguishing id 1234567812345678). Only OpenSSL touches DER; keys come and go as raw scalars, seeds and points.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/id.hpp"
#include "base/identity.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "crypto/suite.hpp"

namespace qanat::crypto {

/// What a certificate's key is. ML-KEM keys encapsulate and sign nothing.
enum class KeyAlgorithm : std::uint8_t { sm2, ecdsa_p384, ml_dsa_65, ml_dsa_87, ml_kem_768, ml_kem_1024 };
std::string_view name(KeyAlgorithm algorithm) noexcept;
constexpr bool signs(KeyAlgorithm algorithm) noexcept { return algorithm < KeyAlgorithm::ml_kem_768; }
KeyAlgorithm classical_key(const Suite& suite) noexcept;
KeyAlgorithm ml_dsa_key(const Suite& suite) noexcept;
KeyAlgorithm ml_kem_key(const Suite& suite) noexcept;
/// invalid_argument unless these octets are a key of the algorithm: the right length, a point of the curve, an ML-KEM key whose coefficients are reduced (FIPS
/// 203 §7.2).
Result<void> check_public_key(KeyAlgorithm algorithm, ByteView octets);

/// A private key that signs X.509 objects and TLS handshakes: a scalar (SM2, P-384) or a seed (ML-DSA).
struct PrivateKey {
  KeyAlgorithm algorithm{};
  Secret secret;
};
/// Its public half: point or ML-DSA public key.
Result<Bytes> public_octets(const PrivateKey& key);

/// What a subjectAltName may hold here.
struct SubjectNames {
  std::string common_name;
  std::optional<Identity> element;  // URI:qanat://…
  std::optional<Number> number;     // URI:tel:+…
  std::vector<std::string> dns;     // for listeners that foreign clients use
  std::optional<ElementName> home_kms = {};  // parameter `kms` of the tel URI: the KMS that serves the number
  bool operator==(const SubjectNames&) const = default;
};

/// tel:+<digits>, with ;kms=<name> behind it where the names have a home KMS (RFC 3966 §3: a parameter of our own). `number` must be set.
std::string tel_uri(const SubjectNames& names);

class Certificate {
 public:
  /// Parses one DER certificate; rejects trailing octets.
  static Result<Certificate> parse(ByteView der);
  static Result<std::vector<Certificate>> parse_pem_chain(std::string_view pem);

  [[nodiscard]] const Bytes& der() const noexcept;
  [[nodiscard]] std::string pem() const;
  [[nodiscard]] Bytes fingerprint(Hash hash) const;
  [[nodiscard]] KeyAlgorithm key_algorithm() const noexcept;
  [[nodiscard]] const Bytes& public_key() const noexcept;  // point, ML-DSA public key or ML-KEM encapsulation key
  [[nodiscard]] const SubjectNames& names() const noexcept;
  /// SHA-256 over the DER of the certificate that this one says it is related to (RFC 9763); empty: it says nothing.
  [[nodiscard]] const Bytes& related() const noexcept;
  [[nodiscard]] UnixMs not_before() const noexcept;
  [[nodiscard]] UnixMs not_after() const noexcept;
  [[nodiscard]] const Bytes& serial() const noexcept;  // big-endian magnitude
  [[nodiscard]] bool is_ca() const noexcept;
  [[nodiscard]] const std::string& subject() const noexcept;  // one-line, for people

  struct State;
  [[nodiscard]] const State& state() const noexcept { return *state_; }

 private:
  std::shared_ptr<const State> state_;  // immutable; shared by copies of the value
};

class CertificateRequest {
 public:
  /// Parses a PKCS#10 and checks its self-signature (possession of the key): `denied` if it does not hold.
  static Result<CertificateRequest> parse(ByteView der);
  [[nodiscard]] const Bytes& der() const noexcept;
  [[nodiscard]] KeyAlgorithm key_algorithm() const noexcept;
  [[nodiscard]] const Bytes& public_key() const noexcept;
  [[nodiscard]] const SubjectNames& names() const noexcept;

  struct State;

 private:
  std::shared_ptr<const State> state_;  // immutable; shared by copies of the value
};

Result<Bytes> make_request(const PrivateKey& key, const SubjectNames& names);

/// Key usages of the profiles. A `standalone_ca` is its own root, and issues to holders of keys itself.
/// `signing`: what is signed for people and programs (CMS, emailProtection), and not TLS, so that TrustStore::verify takes it for nobody's end of a connection.
enum class CertificateUse : std::uint8_t { root_ca, issuing_ca, tls_and_signing, ocsp_signer, standalone_ca, message_signer, signing, encryption };

/// Where a certificate says its status can be learned (RFC 5280 §4.2.1.13, §4.2.2.1): URLs; an empty one is left out.
struct StatusPointers {
  std::string ocsp;
  std::string ca_issuers;
  std::string crl;
};

struct CertificateTemplate {
  CertificateUse use{};
  SubjectNames names;
  KeyAlgorithm key_algorithm{};
  Bytes public_key;
  Bytes serial;  // 16 octets, first bit clear
  UnixMs not_before = 0;
  UnixMs not_after = 0;
  StatusPointers pointers{};
  Bytes related{};  // RFC 9763: SHA-256 over the DER of the certificate that this one is related to; empty: none
};

/// Signs the template. `issuer` absent: self-signed by `issuer_key` (a root or standalone CA).
Result<Certificate> issue(const CertificateTemplate& wanted, const Certificate* issuer, const PrivateKey& issuer_key);

/// What the key of a leaf may be used for, as its keyUsage says: a certificate for one is none for the other.
enum class LeafUse : std::uint8_t { signing, encryption };

struct TrustSet {
  std::vector<Certificate> roots;
  std::vector<Certificate> intermediates;
};

/// Roots and issuing CAs that this process trusts, given as certificates; leaf chains are built from it. Copies are one store.
class TrustStore {
 public:
  TrustStore(std::vector<Certificate> roots, std::vector<Certificate> intermediates);
  /// Asked at each use, by one thread at a time: what takes the place of the set in force, if there is something new.
  using Renewed = std::function<std::optional<TrustSet>()>;
  static TrustStore renewing(TrustSet first, Renewed renewed);
  /// Chain to a root, validity at `now`, key usage. `denied` says which step failed.
  Result<void> verify(const Certificate& leaf, UnixMs now, LeafUse use = LeafUse::signing) const;
  /// The same, and what issuer_of() says of the leaf, without another signature.
  Result<const Certificate*> verified_issuer(const Certificate& leaf, UnixMs now, LeafUse use = LeafUse::signing) const;
  /// The issuing CA of the leaf among the intermediates (by name and signature), or nullptr. What is given out lives as long as the store.
  [[nodiscard]] const Certificate* issuer_of(const Certificate& leaf) const;
  [[nodiscard]] const std::vector<Certificate>& roots() const { return in_force().roots; }
  [[nodiscard]] const std::vector<Certificate>& intermediates() const { return in_force().intermediates; }

 private:
  struct State;
  [[nodiscard]] const TrustSet& in_force() const;
  std::shared_ptr<State> state_;
};

// ---- status (OCSP) ----

enum class CertStatus : std::uint8_t { good, revoked, unknown };

struct StatusAnswer {
  CertStatus status{};
  UnixMs this_update = 0;
  UnixMs next_update = 0;
  UnixMs revoked_at = 0;  // of a revoked certificate; 0: not known
  int reason = 0;         // of a revoked certificate: CRLReason (RFC 5280 §5.3.1); 0: none is given
};

/// DER OCSPRequest for one certificate with a nonce (RFC 9654).
Result<Bytes> make_status_request(const Certificate& cert, const Certificate& issuer, ByteView nonce);

struct StatusQuery {
  Bytes serial;
  Bytes issuer_key_hash;  // SHA-1 or SHA-256 of the issuer's key, as the CertID has it
  Bytes nonce;            // empty if none
};
/// The single CertID of a request; a request for several is invalid_argument.
Result<StatusQuery> parse_status_request(ByteView der);
/// True if the query's CertID names `issuer`.
bool query_names_issuer(ByteView request_der, const Certificate& issuer);

/// DER OCSPResponse (successful) signed by the issuing CA itself. More in x509_respond.hpp.
Result<Bytes> make_status_response(ByteView request_der, const StatusAnswer& answer, const Certificate& issuer, const PrivateKey& issuer_key);
/// DER OCSPResponse with a non-successful status (RFC 6960 §2.3): 1 malformedRequest, 2 internalError, 3 tryLater, 6 unauthorized.
Bytes make_status_error(int response_status);

/// Checks signature (by `issuer`, or by a responder that it appointed), CertID, nonce and times. `denied` if any does not hold.
Result<StatusAnswer> verify_status_response(ByteView response_der, const Certificate& cert, const Certificate& issuer, ByteView nonce, UnixMs now);

}  // namespace qanat::crypto
