// a secret on one hop of its relay, under two link keys that are used for nothing else: one as one-time pad, one as one-time
// Poly1305 key over everything before the tag. Both belong to the sender's half of the link's keys. Octets (integers big-endian):
//   u8 version ‖ relay id 16 ‖ path id 8 ‖ origin domain<1..32> ‖ destination domain<1..32> ‖ u8 nodes ‖ nodes × name<1..64> ‖ u8 hop ‖
//   pad key id 16 ‖ MAC key id 16 ‖ ciphertext 32 ‖ tag 16
// and the answer, which the destination makes and the nodes on the way pass back unchanged:
//   u8 version ‖ relay id 16 ‖ confirmation 32
#pragma once

#include <span>
#include <vector>

#include "base/id.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

namespace qanat::qkm {

inline constexpr std::uint8_t relay_version = 1;
inline constexpr std::size_t relay_secret_size = 32;
inline constexpr std::size_t relay_tag_size = 16;
inline constexpr std::size_t relay_confirmation_size = 32;
inline constexpr std::size_t relay_nodes_max = 16;  // with both ends

/// What is known of a path: the first 8 octets of SHA-256 over its nodes' names, each behind its length (one octet). The controller
/// computes the same.
PathId path_id_of(std::span<const ElementName> path);

struct RelayHeader {
  KeyId relay_id;  // also the id of the key that comes out at both ends
  std::string origin_domain;
  std::string destination_domain;
  std::vector<ElementName> path;  // origin … destination, every node once
  std::uint8_t hop = 1;           // the receiver's place in the path
  KeyId pad_id;
  KeyId mac_id;

  [[nodiscard]] const ElementName& sender() const { return path[hop - 1U]; }
  [[nodiscard]] const ElementName& receiver() const { return path[hop]; }
  [[nodiscard]] const ElementName& origin() const { return path.front(); }
  [[nodiscard]] const ElementName& destination() const { return path.back(); }
  /// Trusted nodes between the ends.
  [[nodiscard]] std::uint8_t relays() const { return static_cast<std::uint8_t>(path.size() - 2); }
  bool operator==(const RelayHeader&) const = default;
};

struct RelayMessage {
  RelayHeader header;
  Bytes ciphertext;
  Bytes tag;
  std::size_t authenticated = 0;  // octets in front of the tag
};

/// invalid_argument if the header could not be parsed again, or the secret or a key is not 32 octets.
Result<Bytes> protect(const RelayHeader& header, const Secret& secret, const Secret& pad, const Secret& mac_key);
/// Checks form alone: a path of 2 to 16 different nodes, its id, the hop within it, two different key ids.
Result<RelayMessage> parse_relay(ByteView octets);
/// The secret; denied if the tag does not hold. `octets` are those that `message` was parsed from.
Result<Secret> unprotect(ByteView octets, const RelayMessage& message, const Secret& pad, const Secret& mac_key);

/// The key that the ends deliver, and the proof that the destination holds the same secret. Independent of one another (HKDF-Expand with
/// different labels), so that the confirmation tells nothing about the key.
Secret relayed_key(const Secret& secret);
Bytes relay_confirmation(const Secret& secret, const KeyId& relay_id);

Bytes write_relay_answer(const KeyId& relay_id, ByteView confirmation);
/// The confirmation; denied if the answer is to another relay.
Result<Bytes> parse_relay_answer(ByteView octets, const KeyId& relay_id);

}  // namespace qanat::qkm
