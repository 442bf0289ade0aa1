#include "wire/signed_text.hpp"

#include "base/check.hpp"
#include "wire/reader.hpp"

namespace qanat::wire {
namespace {

constexpr std::uint8_t signed_text_version = 1;

}  // namespace

Result<Bytes> signed_text_tbs(std::string_view label, std::string_view text, const Fingerprints& signer) {
  CHECK(!label.empty() && label.size() <= signed_text_label_max);
  Writer out;
  out.raw(as_bytes(qfc2_magic));
  out.u8(signed_text_version);
  out.u8(static_cast<std::uint8_t>(label.size()));
  out.raw(as_bytes(label));
  out.opaque("signed text", text, signed_text_bounds);
  out.raw(signer.classical);
  out.raw(signer.pq);
  return std::move(out).finish();
}

Result<Bytes> sign_text(std::string_view label, std::string_view text, const crypto::Signer& signer, const Fingerprints& own, crypto::Rng& rng) {
  ASSIGN_OR_RETURN(const Bytes tbs, signed_text_tbs(label, text, own));
  return encode(signer.suite(), SignedText{.text = std::string(text), .signature = signer.sign(tbs, rng)});
}

Result<Bytes> encode(const crypto::Suite& suite, const SignedText& document) {
  Writer out;
  out.opaque("signed text", document.text, signed_text_bounds);
  out.fixed("signature", document.signature, suite.signature());
  return std::move(out).finish();
}

Result<SignedText> parse_signed_text(const crypto::Suite& suite, ByteView octets) {
  Reader in(octets);
  SignedText out;
  ASSIGN_OR_RETURN(out.text, in.text("signed text", signed_text_bounds));
  ASSIGN_OR_RETURN(const ByteView signature, in.fixed("signature", suite.signature()));
  TRY(in.finish());
  out.signature = to_bytes(signature);
  return out;
}

Result<void> verify(const SignedText& document, std::string_view label, const crypto::Verifier& verifier, const Fingerprints& signer) {
  ASSIGN_OR_RETURN(const Bytes tbs, signed_text_tbs(label, document.text, signer));
  if (auto held = verifier.verify(tbs, document.signature); !held) return fail_in(label, std::move(held).error());
  return {};
}

}  // namespace qanat::wire
