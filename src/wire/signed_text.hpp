// A text (JSON, as a rule) that an element signs with its message keys: u16 text ‖ signature block. Each kind of document has a label of its own, so that none
// passes for another one, nor for a message of QFC2, whose labels are its messages' names.
#pragma once

#include <string>
#include <string_view>

#include "crypto/hybrid_sign.hpp"
#include "wire/qfc2_header.hpp"
#include "wire/writer.hpp"

namespace qanat::wire {

struct SignedText {
  std::string text;
  Bytes signature;  // suite.signature() octets
  bool operator==(const SignedText&) const = default;
};

inline constexpr Bounds signed_text_bounds{1, 16 * 1024};
inline constexpr std::size_t signed_text_label_max = 32;

/// "QFC2" ‖ 01 ‖ u8 len ‖ label ‖ u16 len ‖ text ‖ fp_classical ‖ fp_pq of the signer. invalid_argument if the text is out of bounds; CHECKs the label's
/// length.
Result<Bytes> signed_text_tbs(std::string_view label, std::string_view text, const Fingerprints& signer);
/// Signed and encoded.
Result<Bytes> sign_text(std::string_view label, std::string_view text, const crypto::Signer& signer, const Fingerprints& own, crypto::Rng& rng);
Result<Bytes> encode(const crypto::Suite& suite, const SignedText& document);
/// Grammar alone.
Result<SignedText> parse_signed_text(const crypto::Suite& suite, ByteView octets);
/// `denied` unless both signatures hold under this label.
Result<void> verify(const SignedText& document, std::string_view label, const crypto::Verifier& verifier, const Fingerprints& signer);

}  // namespace qanat::wire
