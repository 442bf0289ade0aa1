#include "crypto/pair_box.hpp"

#include <algorithm>

#include "base/check.hpp"
#include "crypto/aead.hpp"

namespace qanat::crypto {
namespace {

constexpr std::string_view pair_magic = "qanatpr1";
constexpr std::string_view pair_key_label = "qanat pair key 1\n";
constexpr std::string_view pair_seal_label = "qanat pair seal 1\n";
constexpr std::size_t pair_length_octets = 2;
constexpr std::size_t pair_box_octets_max = 0xFFFF;

/// The head has one length for each of its contents, so nothing can be moved between it and the context.
Bytes pair_aad(ByteView head, ByteView context) { return concat({as_bytes(pair_seal_label), head, context}); }

}  // namespace

Bytes pair_key_context(std::size_t device, ByteView context) {
  const std::array<std::uint8_t, 2> place{static_cast<std::uint8_t>('1' + device), '\n'};
  return concat({as_bytes(pair_key_label), place, context});
}

Bytes seal_pair_box(ByteView context, const std::array<Bytes, 2>& boxes, const Secret& data_key, const Secret& secret, Rng& rng) {
  Bytes out = to_bytes(pair_magic);
  for (const Bytes& box : boxes) {
    CHECK(box.size() <= pair_box_octets_max);
    out.push_back(static_cast<std::uint8_t>(box.size() >> 8U));
    out.push_back(static_cast<std::uint8_t>(box.size()));
    append(out, box);
  }
  const Bytes aad = pair_aad(out, context);
  const Bytes nonce = rng.bytes(aead_iv);  // fresh: the key is used for this alone
  append(out, nonce);
  append(out, seal(Aead::aes_256_gcm, data_key, nonce, aad, secret.reveal()));
  return out;
}

bool begins_as_pair_box(ByteView octets) {
  return octets.size() >= pair_magic.size() && std::ranges::equal(octets.first(pair_magic.size()), as_bytes(pair_magic));
}

std::optional<PairBoxParts> parts_of_pair_box(ByteView octets) {
  if (!begins_as_pair_box(octets)) return std::nullopt;
  PairBoxParts out;
  ByteView rest = octets.subspan(pair_magic.size());
  for (ByteView& box : out.boxes) {
    if (rest.size() < pair_length_octets) return std::nullopt;
    const std::size_t length = static_cast<std::size_t>(rest[0]) << 8U | rest[1];
    rest = rest.subspan(pair_length_octets);
    if (rest.size() < length) return std::nullopt;
    box = rest.first(length);
    rest = rest.subspan(length);
  }
  if (rest.size() < aead_iv + aead_tag) return std::nullopt;
  out.head = octets.first(octets.size() - rest.size());
  out.sealed = rest;
  return out;
}

Result<Secret> open_pair_box(ByteView context, const PairBoxParts& parts, const Secret& data_key) {
  if (data_key.size() != pair_key_octets) return fail(ErrorCode::denied, "device: a box of a pair holds no data key");
  auto secret = open(Aead::aes_256_gcm, data_key, parts.sealed.first(aead_iv), pair_aad(parts.head, context), parts.sealed.subspan(aead_iv));
  if (!secret) return fail(ErrorCode::denied, "device: sealed octets were changed, moved, or sealed by another device");
  return secret;
}

}  // namespace qanat::crypto
