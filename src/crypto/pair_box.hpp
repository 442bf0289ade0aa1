// The box of a pair of devices (own design, docs/adr/0022-devices.md):
//   "qanatpr1" ‖ length (2) ‖ the first device's box of the data key ‖ length (2) ‖ the second's ‖ nonce (12) ‖ AES-256-GCM under the data key
// A length of zero: that device did not work when this was sealed. Private to crypto.
#pragma once

#include <array>
#include <optional>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "crypto/random.hpp"

namespace qanat::crypto {

inline constexpr std::size_t pair_key_octets = 32;

/// What the data key is sealed under at a device (0 or 1) for a secret of this context.
Bytes pair_key_context(std::size_t device, ByteView context);

/// One of `boxes` may be empty, and none longer than 65,535 octets.
Bytes seal_pair_box(ByteView context, const std::array<Bytes, 2>& boxes, const Secret& data_key, const Secret& secret, Rng& rng);

struct PairBoxParts {
  std::array<ByteView, 2> boxes;
  ByteView head;    // everything before the nonce
  ByteView sealed;  // nonce ‖ ciphertext ‖ tag
};
/// Whether the octets begin as such a box does.
bool begins_as_pair_box(ByteView octets);
/// Nothing if they can be none.
std::optional<PairBoxParts> parts_of_pair_box(ByteView octets);
/// `denied` if anything was changed or moved.
Result<Secret> open_pair_box(ByteView context, const PairBoxParts& parts, const Secret& data_key);

}  // namespace qanat::crypto
