// Issuing certificates in the profiles: root, issuing CA, leaf, signer of status answers.
#include <algorithm>
#include <array>

#include "crypto/x509_extensions.hpp"
#include "crypto/x509_names.hpp"
#include "crypto/x509_openssl.hpp"
#include "crypto/x509_pointers.hpp"
#include "crypto/x509_related.hpp"

namespace qanat::crypto {
namespace {

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
    Profile{CertificateUse::signing, KU_DIGITAL_SIGNATURE, false, std::nullopt},
    Profile{CertificateUse::standalone_ca, KU_KEY_CERT_SIGN | KU_CRL_SIGN | KU_DIGITAL_SIGNATURE, true, 0},
    Profile{CertificateUse::message_signer, KU_DIGITAL_SIGNATURE, false, std::nullopt},
    Profile{CertificateUse::encryption, KU_KEY_ENCIPHERMENT | KU_DATA_ENCIPHERMENT | KU_KEY_AGREEMENT, false, std::nullopt},
};

struct KeyUsageBit {
  std::uint32_t flag;
  int position;  // in the KeyUsage BIT STRING, RFC 5280 §4.2.1.3
};
constexpr std::array key_usage_bits{KeyUsageBit{KU_DIGITAL_SIGNATURE, 0}, KeyUsageBit{KU_KEY_ENCIPHERMENT, 2}, KeyUsageBit{KU_DATA_ENCIPHERMENT, 3},
                                    KeyUsageBit{KU_KEY_AGREEMENT, 4},     KeyUsageBit{KU_KEY_CERT_SIGN, 5},    KeyUsageBit{KU_CRL_SIGN, 6}};

/// Of the profile's usages those that the key is fit for: an ML-KEM key enciphers keys and nothing else (RFC 9935 §5), a key on P-384 agrees and does not
/// encipher (RFC 8813 §3), one on SM2's curve does all (GM/T 0015).
std::uint32_t usage_for(const Profile& profile, KeyAlgorithm algorithm) {
  if (profile.use != CertificateUse::encryption || algorithm == KeyAlgorithm::sm2) return profile.key_usage;
  return algorithm == KeyAlgorithm::ecdsa_p384 ? KU_KEY_AGREEMENT : KU_KEY_ENCIPHERMENT;
}

std::vector<int> usage_positions(std::uint32_t usage) {
  std::vector<int> out;
  for (const KeyUsageBit& bit : key_usage_bits) {
    if ((usage & bit.flag) != 0) out.push_back(bit.position);
  }
  return out;
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

Result<void> check_template(const CertificateTemplate& wanted) {
  TRY(check_names(wanted.names));
  TRY(check_serial(wanted.serial));
  const bool ml_dsa = wanted.key_algorithm == KeyAlgorithm::ml_dsa_65 || wanted.key_algorithm == KeyAlgorithm::ml_dsa_87;
  if (wanted.use == CertificateUse::encryption ? ml_dsa : !signs(wanted.key_algorithm)) {
    return fail(ErrorCode::invalid_argument, "issue: a " + std::string(name(wanted.key_algorithm)) + " key is not for this use");
  }
  if (wanted.not_before / 1000 >= wanted.not_after / 1000) return fail(ErrorCode::invalid_argument, "issue: notAfter is not later than notBefore");
  return {};
}

/// The issuer may sign, and the key is its own.
Result<void> check_issuer(const CertificateTemplate& wanted, const Certificate* issuer, const PrivateKey& issuer_key, EVP_PKEY* native_key) {
  const bool own_root = wanted.use == CertificateUse::root_ca || wanted.use == CertificateUse::standalone_ca;
  if (issuer == nullptr && !own_root) return fail(ErrorCode::invalid_argument, "issue: only a root's certificate has no issuer");
  if (issuer != nullptr) return check_issuing_key(*issuer, issuer_key, native_key);
  ASSIGN_OR_RETURN(const Bytes public_key, public_octets_of(native_key));
  if (wanted.key_algorithm != issuer_key.algorithm || public_key != wanted.public_key) {
    return fail(ErrorCode::invalid_argument, "issue: the key is not the one of the issuer's certificate");
  }
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
  TRY(add_key_usage(cert, usage_positions(usage_for(*profile, wanted.key_algorithm))));
  const bool in_tls = wanted.key_algorithm == KeyAlgorithm::ml_dsa_65 || wanted.key_algorithm == KeyAlgorithm::ml_dsa_87;
  if (profile->use == CertificateUse::ocsp_signer) {
    TRY(add_extended_usage(cert, {NID_OCSP_sign}));
    TRY(add_no_check(cert));
  } else if (profile->use == CertificateUse::signing) {
    TRY(add_extended_usage(cert, {NID_email_protect}));
  } else if (profile->use == CertificateUse::tls_and_signing && in_tls) {
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
