#include "services/kms/csa/sealed_text.hpp"

#include "base/check.hpp"
#include "crypto/aead.hpp"
#include "crypto/kdf.hpp"

namespace qanat::kms::csa {
namespace {

// With the zero octet that ends each.
constexpr std::string_view text_label{"qanat csa v1 sealed", sizeof("qanat csa v1 sealed")};
constexpr std::string_view export_label{"qanat csa v1 export", sizeof("qanat csa v1 export")};
constexpr std::string_view export_key_label{"qanat csa v1 export key", sizeof("qanat csa v1 export key")};
constexpr std::string_view export_iv_label{"qanat csa v1 export iv", sizeof("qanat csa v1 export iv")};

// The label and the header have fixed lengths, so that what follows is the context and nothing else.
Bytes associated(const SealedHeader& header, std::string_view context) { return concat({as_bytes(text_label), encode(header), as_bytes(context)}); }

void add_short(Bytes& out, std::string_view text) {
  CHECK(text.size() <= 255);
  out.push_back(static_cast<std::uint8_t>(text.size()));
  append(out, as_bytes(text));
}

/// What binds an exported key: to the header, what it is, and the context.
Bytes export_context(const SealedHeader& header, const ExportedAs& as, std::string_view context) {
  Bytes out = concat({as_bytes(export_label), encode(header)});
  add_short(out, as.algorithm.name);
  add_short(out, name(as.usage));
  append(out, as_bytes(context));
  return out;
}

struct ExportKey {
  Secret key;
  Secret iv;
};
ExportKey export_key(const crypto::Suite& suite, const Secret& shared) {
  return {.key = crypto::hkdf_expand(suite.hash, shared, {as_bytes(export_key_label)}, suite.aead_key),
          .iv = crypto::hkdf_expand(suite.hash, shared, {as_bytes(export_iv_label)}, crypto::aead_iv)};
}

}  // namespace

Bytes encode(const SealedHeader& header) {
  Bytes out{sealed_format, static_cast<std::uint8_t>(header.kind)};
  append(out, header.key.view());
  for (unsigned shift = 32; shift > 0; shift -= 8) out.push_back(static_cast<std::uint8_t>(header.version >> (shift - 8)));
  return out;
}

Result<SealedHeader> parse_sealed_header(ByteView sealed) {
  if (sealed.size() < sealed_header_octets) return fail(ErrorCode::invalid_argument, "sealed text: shorter than its header");
  if (sealed[0] != sealed_format) return fail(ErrorCode::invalid_argument, "sealed text: of format " + std::to_string(sealed[0]) + ", which is not known");
  if (sealed[1] < static_cast<std::uint8_t>(SealedKind::text) || sealed[1] > static_cast<std::uint8_t>(SealedKind::exported_key)) {
    return fail(ErrorCode::invalid_argument, "sealed text: of kind " + std::to_string(sealed[1]) + ", which is not known");
  }
  SealedHeader out{.kind = static_cast<SealedKind>(sealed[1]), .key = CsaKeyId(sealed.subspan(2, CsaKeyId::size)), .version = 0};
  for (const std::uint8_t octet : sealed.subspan(2 + CsaKeyId::size, 4)) out.version = out.version << 8U | octet;
  return out;
}

Bytes seal_text(const Algorithm& algorithm, const Secret& key, const SealedHeader& header, ByteView nonce, std::string_view context, ByteView plaintext) {
  CHECK(algorithm.family == Family::aead && nonce.size() == crypto::aead_iv);
  Bytes out = concat({encode(header), nonce});
  append(out, crypto::seal(algorithm.aead, key, nonce, associated(header, context), plaintext));
  return out;
}

Result<Secret> open_text(const Algorithm& algorithm, const Secret& key, const SealedHeader& header, std::string_view context, ByteView sealed) {
  CHECK(algorithm.family == Family::aead);
  if (sealed.size() < sealed_overhead) return fail(ErrorCode::invalid_argument, "sealed text: shorter than header, nonce and tag");
  const ByteView nonce = sealed.subspan(sealed_header_octets, crypto::aead_iv);
  return crypto::open(algorithm.aead, key, nonce, associated(header, context), sealed.subspan(sealed_header_octets + crypto::aead_iv));
}

Result<Bytes> wrap_key(const Algorithm& kem, ByteView public_key, const SealedHeader& header, const ExportedAs& as, std::string_view context, const Secret& material,
                       crypto::Rng& rng) {
  const crypto::Suite& suite = crypto::suite(kem.suite);
  const Bytes bound = export_context(header, as, context);
  ASSIGN_OR_RETURN(const SharedKey shared, encapsulate(kem, public_key, bound, rng));
  const ExportKey sealing = export_key(suite, shared.secret);
  Bytes out = concat({encode(header), shared.ciphertext});
  append(out, crypto::seal(suite.aead, sealing.key, sealing.iv.reveal(), bound, material.reveal()));
  return out;
}

Result<Secret> unwrap_key(const Algorithm& kem, const Secret& kem_material, const ExportedAs& as, std::string_view context, ByteView wrapped) {
  ASSIGN_OR_RETURN(const SealedHeader header, parse_sealed_header(wrapped));
  if (header.kind != SealedKind::exported_key) return fail(ErrorCode::invalid_argument, "wrapped key: is no exported key");
  if (wrapped.size() != sealed_header_octets + kem.result + as.algorithm.material + crypto::aead_tag) {
    return fail(ErrorCode::invalid_argument, "wrapped key: has the wrong length for " + std::string(as.algorithm.name) + " under " + std::string(kem.name));
  }
  const crypto::Suite& suite = crypto::suite(kem.suite);
  const Bytes bound = export_context(header, as, context);
  ASSIGN_OR_RETURN(const Secret shared, decapsulate(kem, kem_material, wrapped.subspan(sealed_header_octets, kem.result), bound));
  const ExportKey sealing = export_key(suite, shared);
  return crypto::open(suite.aead, sealing.key, sealing.iv.reveal(), bound, wrapped.subspan(sealed_header_octets + kem.result));
}

}  // namespace qanat::kms::csa
