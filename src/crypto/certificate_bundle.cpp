#include "crypto/certificate_bundle.hpp"

#include "base/check.hpp"

namespace qanat::crypto {
namespace {

constexpr std::array<std::string_view, all_bundle_roles.size()> role_names{"classical-signing", "ml-dsa-signing", "classical-encryption", "ml-kem-encryption"};

std::unexpected<Error> broken(const Certificate& certificate, std::string_view why) {
  return fail(ErrorCode::denied, "certificate bundle of " + certificate.subject() + ": " + std::string(why));
}

}  // namespace

std::string_view name(BundleRole role) noexcept {
  const auto at = static_cast<std::size_t>(role);
  CHECK(at < role_names.size());
  return role_names[at];
}

Result<BundleRole> parse_bundle_role(std::string_view text) {
  for (const BundleRole role : all_bundle_roles) {
    if (text == name(role)) return role;
  }
  return fail(ErrorCode::invalid_argument, "'" + std::string(text.substr(0, 32)) + "' is no role in a certificate bundle");
}

KeyAlgorithm key_of(const Suite& suite, BundleRole role) noexcept {
  switch (role) {
    case BundleRole::classical_signing:
    case BundleRole::classical_encryption:
      return classical_key(suite);
    case BundleRole::ml_dsa_signing:
      return ml_dsa_key(suite);
    case BundleRole::ml_kem_encryption:
      return ml_kem_key(suite);
  }
  return classical_key(suite);
}

const Certificate& CertificateBundle::of(BundleRole role) const noexcept {
  switch (role) {
    case BundleRole::classical_signing:
      return classical_signing;
    case BundleRole::ml_dsa_signing:
      return ml_dsa_signing;
    case BundleRole::classical_encryption:
      return classical_encryption;
    case BundleRole::ml_kem_encryption:
      return ml_kem_encryption;
  }
  return classical_signing;
}

EncapsulationKey CertificateBundle::encryption_key() const { return {.point = classical_encryption.public_key(), .ml_kem = ml_kem_encryption.public_key()}; }

Result<CertificateBundle> parse_bundle(const std::array<ByteView, all_bundle_roles.size()>& der) {
  CertificateBundle out;
  ASSIGN_OR_RETURN(out.classical_signing, Certificate::parse(der[0]));
  ASSIGN_OR_RETURN(out.ml_dsa_signing, Certificate::parse(der[1]));
  ASSIGN_OR_RETURN(out.classical_encryption, Certificate::parse(der[2]));
  ASSIGN_OR_RETURN(out.ml_kem_encryption, Certificate::parse(der[3]));
  return out;
}

Result<void> check_bundle(const Suite& suite, const CertificateBundle& bundle) {
  const Certificate& first = bundle.classical_signing;
  for (const BundleRole role : all_bundle_roles) {
    const Certificate& certificate = bundle.of(role);
    if (certificate.key_algorithm() != key_of(suite, role)) return broken(certificate, "its " + std::string(name(role)) + " key is not of this suite");
    if (!certificate.names().element || certificate.names() != first.names())
      return broken(certificate, "it bears other names than the classical signing certificate");
  }
  if (!first.related().empty()) return broken(first, "its first certificate names another");
  if (bundle.ml_dsa_signing.related() != first.fingerprint(Hash::sha256)) return broken(first, "the ML-DSA signing certificate names another");
  if (bundle.classical_encryption.public_key() == first.public_key()) return broken(first, "one classical key is to sign and to encrypt");
  const Bytes signing = bundle.ml_dsa_signing.fingerprint(Hash::sha256);
  for (const Certificate* certificate : {&bundle.classical_encryption, &bundle.ml_kem_encryption}) {
    if (certificate->related() != signing) return broken(first, "an encryption certificate names another");
  }
  return {};
}

}  // namespace qanat::crypto
