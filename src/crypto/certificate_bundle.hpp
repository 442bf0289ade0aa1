// The four certificates of a terminal and what binds them (docs/adr/0018-certificate-bundles.md). Each names another of them by its digest (RFC 9763), so that
// who has all four can check that they were issued together:
//
//   classical signing  <-  ML-DSA signing  <-  classical encryption
//                                          <-  ML-KEM encryption
//
// The bundle is named by the digest that the ML-DSA signing certificate holds: SHA-256 over the DER of the classical signing certificate.
#pragma once

#include <array>

#include "crypto/hybrid_kem.hpp"
#include "crypto/x509.hpp"

namespace qanat::crypto {

/// In the order in which they are signed: each names an earlier one.
enum class BundleRole : std::uint8_t { classical_signing, ml_dsa_signing, classical_encryption, ml_kem_encryption };
inline constexpr std::array all_bundle_roles{BundleRole::classical_signing, BundleRole::ml_dsa_signing, BundleRole::classical_encryption,
                                             BundleRole::ml_kem_encryption};
/// "classical-signing" …
std::string_view name(BundleRole role) noexcept;
Result<BundleRole> parse_bundle_role(std::string_view text);
constexpr LeafUse use_of(BundleRole role) noexcept { return role <= BundleRole::ml_dsa_signing ? LeafUse::signing : LeafUse::encryption; }
KeyAlgorithm key_of(const Suite& suite, BundleRole role) noexcept;

struct CertificateBundle {
  Certificate classical_signing;
  Certificate ml_dsa_signing;
  Certificate classical_encryption;
  Certificate ml_kem_encryption;

  [[nodiscard]] const Certificate& of(BundleRole role) const noexcept;
  /// 32 octets.
  [[nodiscard]] const Bytes& id() const noexcept { return ml_dsa_signing.related(); }
  /// What is encapsulated to.
  [[nodiscard]] EncapsulationKey encryption_key() const;
};

/// Four DER certificates, in the order of the roles.
Result<CertificateBundle> parse_bundle(const std::array<ByteView, all_bundle_roles.size()>& der);
/// `denied` unless the keys are the suite's, all four bear the same names, and each names the other that it must. Chain, validity and status are the caller's.
Result<void> check_bundle(const Suite& suite, const CertificateBundle& bundle);

}  // namespace qanat::crypto
