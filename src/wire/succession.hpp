// How a signer's certificates are followed by new ones without those who keep to the former ones (terminals, to their KMS) having to trust the CA alone: at a
// renewal the former keys sign the new certificates. Whoever keeps to certificates follows the links from his own to the last.
//   link = fp_classical ‖ fp_pq of the former ‖ u16 classical (DER) ‖ u16 ML-DSA (DER) ‖ signature of the former; a chain is u8 number ‖ links
#pragma once

#include <span>
#include <vector>

#include "crypto/hybrid_sign.hpp"
#include "wire/qfc2_header.hpp"

namespace qanat::wire {

struct Succession {
  Fingerprints former;
  Bytes classical;  // DER of the new ones
  Bytes ml_dsa;
  Bytes signature;  // by the former keys over succession_tbs
  bool operator==(const Succession&) const = default;
};

inline constexpr std::size_t succession_links_max = 32;  // with a renewal every two months, five years
inline constexpr Bounds succession_certificate_bounds{1, 16 * 1024};

/// "QFC2" ‖ 01 ‖ u8 len ‖ "Succession" ‖ the new certificates with their lengths ‖ fp_classical ‖ fp_pq of the signer: the shape of a message's signed octets,
/// under a label that no message has.
Result<Bytes> succession_tbs(const Succession& link);
Result<Succession> make_succession(const crypto::Suite& suite, Fingerprints former, Bytes classical, Bytes ml_dsa, const crypto::Signer& former_signer,
                                   crypto::Rng& rng);

Result<Bytes> encode_successions(const crypto::Suite& suite, std::span<const Succession> links);
/// Grammar alone; at most succession_links_max.
Result<std::vector<Succession>> parse_successions(const crypto::Suite& suite, ByteView octets);

/// A signer's two certificates, DER.
struct SignerCertificates {
  Bytes classical;
  Bytes ml_dsa;
  bool operator==(const SignerCertificates&) const = default;
};
/// The last of those that follow `kept`, by links of which each is signed by the certificates before it; `kept` itself without links. `denied` if a link does
/// not hold. Whether the last ones are good (names, chain, validity, status) is the caller's to ask.
Result<SignerCertificates> follow(const crypto::Suite& suite, SignerCertificates kept, std::span<const Succession> links);

/// `denied` unless `former` made the link.
Result<void> verify_succession(const Succession& link, const crypto::Verifier& former);

}  // namespace qanat::wire
