#include "crypto/sm4_box.hpp"

#include "crypto/kdf.hpp"

namespace qanat::crypto {
namespace {

constexpr std::size_t box_tag = sm4_block;
constexpr std::size_t box_octets_min = sm4_block + sm4_block + box_tag;
constexpr std::size_t known_octets = 32;

std::string box_label_of(std::string_view kind) { return "qanat " + std::string(kind) + " device seal 1\n"; }
std::string check_label_of(std::string_view kind) { return "qanat " + std::string(kind) + " device keys 1\n"; }

Sm4Block first_block(ByteView octets) {
  Sm4Block out{};
  std::ranges::copy(octets.first(sm4_block), out.begin());
  return out;
}

std::array<std::uint8_t, 8> big_endian(std::uint64_t value) {
  std::array<std::uint8_t, 8> out{};
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::uint8_t>(value >> (8 * (out.size() - 1 - i)));
  return out;
}

/// SM3(label ‖ length of the context ‖ context ‖ IV ‖ ciphertext): label, length and IV have fixed lengths, so nothing can be moved from one part to the next.
TwoBlocks bound(std::string_view kind, ByteView context, ByteView iv_and_ciphertext) {
  const auto length = big_endian(context.size());
  const std::string label = box_label_of(kind);
  const Bytes hash = digest(Hash::sm3, {as_bytes(label), length, context, iv_and_ciphertext});
  TwoBlocks out{};
  std::ranges::copy(hash, out.begin());
  return out;
}

/// What the check in the key file is bound to: the keys as they are wrapped, and by what.
Bytes check_context(std::string_view kind, const Wrapper& wrapper, const WrappedKeys& keys) {
  const std::string label = check_label_of(kind);
  return concat({as_bytes(label), wrapper.octets, digest(Hash::sm3, keys.encryption), digest(Hash::sm3, keys.mac)});
}

Secret known_secret(std::string_view kind) {
  const std::string label = check_label_of(kind);
  return Secret::copy_of(digest(Hash::sm3, as_bytes(label)));
}

/// Two keys that are one would be no encrypt-then-MAC, and a device that makes one key twice makes bad keys. Random octets are encrypted, and thrown away.
Result<void> check_different(Sm4Session& session, Rng& rng) {
  const Sm4Block iv = draw_iv(rng);
  Secret first = rng.secret(known_octets);
  Secret second = first.duplicate();
  TRY(session.encrypt(BoxKey::encryption, iv, first.writable()));
  TRY(session.encrypt(BoxKey::mac, iv, second.writable()));
  if (equal_secret(first, second)) return fail(ErrorCode::internal, "the device made the same key twice");
  return {};
}

}  // namespace

Sm4Block draw_iv(Rng& rng) { return first_block(rng.bytes(sm4_block)); }

Result<Bytes> seal_sm4_box(Sm4Session& session, std::string_view kind, ByteView context, const Sm4Block& iv, const Secret& secret) {
  const std::size_t fill = sm4_block - secret.size() % sm4_block;
  Secret work(secret.size() + fill);
  std::ranges::copy(secret.reveal(), work.writable().begin());
  std::ranges::fill(work.writable().last(fill), static_cast<std::uint8_t>(fill));
  TRY(session.encrypt(BoxKey::encryption, iv, work.writable()));
  Bytes out(iv.begin(), iv.end());
  append(out, work.writable());  // no secret any more
  ASSIGN_OR_RETURN(const Sm4Block tag, session.mac(bound(kind, context, out)));
  append(out, tag);
  return out;
}

std::optional<Sm4BoxParts> parts_of_sm4_box(ByteView box) {
  if (box.size() < box_octets_min || box.size() % sm4_block != 0) return std::nullopt;
  return Sm4BoxParts{.authenticated = box.first(box.size() - box_tag), .tag = box.last(box_tag)};
}

Result<bool> sm4_box_holds(Sm4Session& session, std::string_view kind, ByteView context, const Sm4BoxParts& parts) {
  ASSIGN_OR_RETURN(const Sm4Block tag, session.mac(bound(kind, context, parts.authenticated)));
  return equal_constant_time(tag, parts.tag);
}

Result<Secret> open_sm4_box(Sm4Session& session, const Sm4BoxParts& parts) {
  Secret work = Secret::copy_of(parts.authenticated.subspan(sm4_block));
  TRY(session.decrypt(BoxKey::encryption, first_block(parts.authenticated), work.writable()));
  const ByteView octets = work.reveal();
  const std::size_t fill = octets.back();
  const bool well =
      fill >= 1 && fill <= sm4_block && std::ranges::all_of(octets.last(std::min(fill, sm4_block)), [&](std::uint8_t one) { return one == fill; });
  if (!well) return fail(ErrorCode::internal, "the device decrypts to something else than it encrypted");
  return Result<Secret>(Secret::copy_of(octets.first(octets.size() - fill)));
}

Result<void> check_wrapped_keys(Sm4Session& session, std::string_view kind, const WrappedKeys& keys) {
  const auto parts = parts_of_sm4_box(keys.check);
  if (!parts) return fail(ErrorCode::invalid_argument, "the check of the wrapped keys has a wrong length");
  ASSIGN_OR_RETURN(const bool holds, sm4_box_holds(session, kind, check_context(kind, session.wrapper(), keys), *parts));
  if (!holds) return fail(ErrorCode::denied, "the device's key is not the one that wrapped the keys");
  ASSIGN_OR_RETURN(const Secret opened, open_sm4_box(session, *parts));
  if (!equal_secret(opened, known_secret(kind))) return fail(ErrorCode::internal, "the device does not open what it sealed");
  return {};
}

Result<void> import_wrapped_keys(Sm4Session& session, std::string_view kind, const WrappedKeys& keys) {
  TRY(session.import_key(BoxKey::encryption, keys.encryption));
  TRY(session.import_key(BoxKey::mac, keys.mac));
  return check_wrapped_keys(session, kind, keys);
}

Result<WrappedKeys> make_wrapped_keys(Sm4Session& session, std::string_view kind, Rng& rng) {
  WrappedKeys out{.wrapper = session.wrapper().text, .encryption = {}, .mac = {}, .check = {}};
  ASSIGN_OR_RETURN(out.encryption, session.make_key(BoxKey::encryption));
  ASSIGN_OR_RETURN(out.mac, session.make_key(BoxKey::mac));
  TRY(check_different(session, rng));
  ASSIGN_OR_RETURN(out.check, seal_sm4_box(session, kind, check_context(kind, session.wrapper(), out), draw_iv(rng), known_secret(kind)));
  TRY(import_wrapped_keys(session, kind, out));
  return out;
}

}  // namespace qanat::crypto
