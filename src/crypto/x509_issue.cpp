// Issuing certificates in the profiles: root, issuing CA, leaf, signer of status answers.
#include <algorithm>
#include <array>

#include "crypto/x509_names.hpp"
#include "crypto/x509_openssl.hpp"
#include "crypto/x509_pointers.hpp"
#include "crypto/x509_related.hpp"

namespace qanat::crypto {
namespace {

constexpr std::size_t serial_octets = 16;
constexpr std::size_t key_identifier_octets = 20;

struct Profile {
  CertificateUse use;
  std::uint32_t key_usage;  // KU_…
  bool is_ca;
  std::optional<long> path_length;
};
// The issuing CA signs status responses itself (RFC 6960 §4.2.2.2), which takes digitalSignature.
constexpr std::array profiles{
    Profile{CertificateUse::root_ca, KU_KEY_CERT_SIGN | KU_CRL_SIGN, true, std::nullopt},
    Profile{CertificateUse::issuing_ca, KU_KEY_CERT_SIGN | KU_CRL_SIGN | KU_DIGITAL_SIGNATURE, true, 0},
    Profile{CertificateUse::tls_and_signing, KU_DIGITAL_SIGNATURE, false, std::nullopt},
    Profile{CertificateUse::ocsp_signer, KU_DIGITAL_SIGNATURE, false, std::nullopt},
    Profile{CertificateUse::encryption, KU_KEY_ENCIPHERMENT | KU_DATA_ENCIPHERMENT | KU_KEY_AGREEMENT, false, std::nullopt},
};
// RFC 9935 §5: of an ML-KEM key this usage and no other.
constexpr std::uint32_t ml_kem_usage = KU_KEY_ENCIPHERMENT;

struct KeyUsageBit {
  std::uint32_t flag;
  int position;  // in the KeyUsage BIT STRING, RFC 5280 §4.2.1.3
};
constexpr std::array key_usage_bits{KeyUsageBit{KU_DIGITAL_SIGNATURE, 0}, KeyUsageBit{KU_KEY_ENCIPHERMENT, 2}, KeyUsageBit{KU_DATA_ENCIPHERMENT, 3},
                                    KeyUsageBit{KU_KEY_AGREEMENT, 4},     KeyUsageBit{KU_KEY_CERT_SIGN, 5},    KeyUsageBit{KU_CRL_SIGN, 6}};

enum class Criticality : std::uint8_t { normal = 0, critical = 1 };

Result<void> add_extension(X509* cert, int nid, void* value, Criticality criticality) {
  if (X509_add1_ext_i2d(cert, nid, value, static_cast<int>(criticality), X509V3_ADD_DEFAULT) != 1) return openssl_failure("certificate extension");
  return {};
}

Result<void> add_basic_constraints(X509* cert, const Profile& profile) {
  const Owned<BASIC_CONSTRAINTS, BASIC_CONSTRAINTS_free> constraints(BASIC_CONSTRAINTS_new());
  if (!constraints) return openssl_failure("basicConstraints");
  constraints->ca = 0xff;
  if (profile.path_length) {
    constraints->pathlen = ASN1_INTEGER_new();
    if (constraints->pathlen == nullptr || ASN1_INTEGER_set(constraints->pathlen, *profile.path_length) != 1) return openssl_failure("basicConstraints");
  }
  return add_extension(cert, NID_basic_constraints, constraints.get(), Criticality::critical);
}

Result<void> add_key_usage(X509* cert, std::uint32_t wanted) {
  const Owned<ASN1_BIT_STRING, ASN1_BIT_STRING_free> usage(ASN1_BIT_STRING_new());
  if (!usage) return openssl_failure("keyUsage");
  for (const KeyUsageBit& bit : key_usage_bits) {
    if ((wanted & bit.flag) != 0 && ASN1_BIT_STRING_set_bit(usage.get(), bit.position, 1) != 1) return openssl_failure("keyUsage");
  }
  return add_extension(cert, NID_key_usage, usage.get(), Criticality::critical);
}

Result<void> add_extended_usage(X509* cert, std::initializer_list<int> purposes) {
  const Owned<EXTENDED_KEY_USAGE, EXTENDED_KEY_USAGE_free> usage(EXTENDED_KEY_USAGE_new());
  if (!usage) return openssl_failure("extKeyUsage");
  for (const int purpose : purposes) {
    // OBJ_nid2obj gives static objects: freeing them with the stack does nothing.
    if (sk_ASN1_OBJECT_push(usage.get(), OBJ_nid2obj(purpose)) <= 0) return openssl_failure("extKeyUsage");
  }
  return add_extension(cert, NID_ext_key_usage, usage.get(), Criticality::normal);
}

/// RFC 6960 §4.2.2.2.1: for its short life, nobody need ask for the status of the signer of statuses.
Result<void> add_no_check(X509* cert) {
  const Owned<ASN1_NULL, ASN1_NULL_free> nothing(ASN1_NULL_new());
  if (!nothing) return openssl_failure("ocsp-nocheck");
  return add_extension(cert, NID_id_pkix_OCSP_noCheck, nothing.get(), Criticality::normal);
}

/// RFC 7093 §2 (1): the first 160 bits of SHA-256 over the key's BIT STRING.
Result<Asn1OctetString> key_identifier(ByteView public_key) {
  std::array<std::uint8_t, EVP_MAX_MD_SIZE> digest{};
  Asn1OctetString out(ASN1_OCTET_STRING_new());
  if (!out || EVP_Digest(public_key.data(), public_key.size(), digest.data(), nullptr, EVP_sha256(), nullptr) != 1 ||
      ASN1_OCTET_STRING_set(out.get(), digest.data(), static_cast<int>(key_identifier_octets)) != 1) {
    return openssl_failure("key identifier");
  }
  return Result<Asn1OctetString>(std::move(out));
}

Result<void> add_key_identifiers(X509* cert, ByteView public_key, const Certificate* issuer) {
  ASSIGN_OR_RETURN(const Asn1OctetString own, key_identifier(public_key));
  TRY(add_extension(cert, NID_subject_key_identifier, own.get(), Criticality::normal));
  const Owned<AUTHORITY_KEYID, AUTHORITY_KEYID_free> authority(AUTHORITY_KEYID_new());
  if (!authority) return openssl_failure("authorityKeyIdentifier");
  const ASN1_OCTET_STRING* issuer_own = issuer != nullptr ? X509_get0_subject_key_id(native(*issuer)) : own.get();
  if (issuer_own == nullptr) return fail(ErrorCode::invalid_argument, "issue: the issuer's certificate has no subjectKeyIdentifier");
  authority->keyid = ASN1_OCTET_STRING_dup(issuer_own);
  if (authority->keyid == nullptr) return openssl_failure("authorityKeyIdentifier");
  return add_extension(cert, NID_authority_key_identifier, authority.get(), Criticality::normal);
}

Result<void> check_template(const CertificateTemplate& wanted) {
  TRY(check_names(wanted.names));
  const bool positive = std::ranges::any_of(wanted.serial, [](std::uint8_t octet) { return octet != 0; });
  if (wanted.serial.size() != serial_octets || (wanted.serial.front() & 0x80) != 0 || !positive) {
    return fail(ErrorCode::invalid_argument, "issue: the serial is not " + std::to_string(serial_octets) + " octets with the first bit clear, or is zero");
  }
  const bool encryption = wanted.use == CertificateUse::encryption;
  const bool ml_dsa = wanted.key_algorithm == KeyAlgorithm::ml_dsa_65 || wanted.key_algorithm == KeyAlgorithm::ml_dsa_87;
  if (encryption ? ml_dsa : !signs(wanted.key_algorithm)) {
    return fail(ErrorCode::invalid_argument, "issue: a " + std::string(name(wanted.key_algorithm)) + " key is not for this use");
  }
  if (wanted.not_before / 1000 >= wanted.not_after / 1000) return fail(ErrorCode::invalid_argument, "issue: notAfter is not later than notBefore");
  return {};
}

/// The issuer may sign, and the key is its own.
Result<void> check_issuer(const CertificateTemplate& wanted, const Certificate* issuer, const PrivateKey& issuer_key, EVP_PKEY* native_key) {
  if (issuer == nullptr && wanted.use != CertificateUse::root_ca) {
    return fail(ErrorCode::invalid_argument, "issue: only a root's certificate has no issuer");
  }
  if (issuer != nullptr && !issuer->is_ca()) return fail(ErrorCode::invalid_argument, "issue: " + issuer->subject() + " is not a CA");
  ASSIGN_OR_RETURN(const Bytes public_key, public_octets_of(native_key));
  const KeyAlgorithm algorithm = issuer != nullptr ? issuer->key_algorithm() : wanted.key_algorithm;
  const Bytes& expected = issuer != nullptr ? issuer->public_key() : wanted.public_key;
  if (algorithm != issuer_key.algorithm || public_key != expected) {
    return fail(ErrorCode::invalid_argument, "issue: the key is not the one of the issuer's certificate");
  }
  return {};
}

Result<void> set_serial(X509* cert, const Bytes& serial) {
  const Owned<BIGNUM, BN_free> number(BN_bin2bn(serial.data(), static_cast<int>(serial.size()), nullptr));
  if (!number || BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(cert)) == nullptr) return openssl_failure("serial");
  return {};
}

Result<void> set_subject_and_key(X509* cert, const CertificateTemplate& wanted, const Certificate* issuer) {
  ASSIGN_OR_RETURN(const X509Name subject, make_subject(wanted.names));
  ASSIGN_OR_RETURN(const EvpKey key, public_to_openssl(wanted.key_algorithm, wanted.public_key));
  const X509_NAME* issuer_name = issuer != nullptr ? X509_get_subject_name(native(*issuer)) : subject.get();
  if (X509_set_subject_name(cert, subject.get()) != 1 || X509_set_issuer_name(cert, issuer_name) != 1 || X509_set_pubkey(cert, key.get()) != 1) {
    return openssl_failure("certificate");
  }
  return {};
}

Result<void> add_extensions(X509* cert, const CertificateTemplate& wanted, const Certificate* issuer) {
  const auto* profile = std::ranges::find(profiles, wanted.use, &Profile::use);
  if (profile == profiles.end()) return fail(ErrorCode::invalid_argument, "issue: no such certificate use");
  if (profile->is_ca) TRY(add_basic_constraints(cert, *profile));
  TRY(add_key_usage(cert, signs(wanted.key_algorithm) ? profile->key_usage : ml_kem_usage));
  const bool in_tls = wanted.key_algorithm == KeyAlgorithm::ml_dsa_65 || wanted.key_algorithm == KeyAlgorithm::ml_dsa_87;
  if (profile->use == CertificateUse::ocsp_signer) {
    TRY(add_extended_usage(cert, {NID_OCSP_sign}));
    TRY(add_no_check(cert));
  } else if (!profile->is_ca && in_tls) {
    TRY(add_extended_usage(cert, {NID_server_auth, NID_client_auth}));
  }
  TRY(add_key_identifiers(cert, wanted.public_key, issuer));
  TRY(add_status_pointers(cert, wanted.pointers));
  if (!wanted.related.empty()) TRY(add_related(cert, wanted.related));
  ASSIGN_OR_RETURN(const AlternativeNames alternatives, make_alternative_names(wanted.names));
  if (alternatives) TRY(add_extension(cert, NID_subject_alt_name, alternatives.get(), Criticality::normal));
  return {};
}

}  // namespace

Result<Certificate> issue(const CertificateTemplate& wanted, const Certificate* issuer, const PrivateKey& issuer_key) {
  const ErrorScope errors;
  TRY(check_template(wanted));
  ASSIGN_OR_RETURN(const EvpKey native_key, to_openssl(issuer_key));
  TRY(check_issuer(wanted, issuer, issuer_key, native_key.get()));
  ASSIGN_OR_RETURN(const Asn1Time not_before, make_time(wanted.not_before));
  ASSIGN_OR_RETURN(const Asn1Time not_after, make_time(wanted.not_after));
  const X509Certificate cert(X509_new());
  if (!cert || X509_set_version(cert.get(), X509_VERSION_3) != 1 || X509_set1_notBefore(cert.get(), not_before.get()) != 1 ||
      X509_set1_notAfter(cert.get(), not_after.get()) != 1) {
    return openssl_failure("certificate");
  }
  TRY(set_serial(cert.get(), wanted.serial));
  TRY(set_subject_and_key(cert.get(), wanted, issuer));
  TRY(add_extensions(cert.get(), wanted, issuer));
  ASSIGN_OR_RETURN(const SigningContext signer, SigningContext::make(native_key.get(), issuer_key.algorithm));
  if (X509_sign_ctx(cert.get(), signer.get()) <= 0) return openssl_failure("certificate");
  return Certificate::parse(to_der<i2d_X509>(cert.get()));
}

}  // namespace qanat::crypto
