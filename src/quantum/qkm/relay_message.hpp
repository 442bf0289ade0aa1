// X-1, version 3: a batch of secrets on one hop of its relay, under link keys that are used for nothing else: one as one-time Poly1305 key
// over everything before the tag, the others as one-time pads. All belong to the sender's half of the link's keys. Octets (integers
// big-endian):
//   u8 version ‖ relay id 12 ‖ path id 8 ‖ origin domain<1..32> ‖ destination domain<1..32> ‖ u8 nodes ‖ nodes × name<1..64> ‖ u8 hop ‖
//   demand 10 ‖ proof 10 ‖ u16 secrets ‖ u8 runs ‖ runs × (batch id 12 ‖ u16 first ‖ u16 count) ‖ ciphertext 32 × secrets ‖ tag 16
// demand: what the keys must be worth; proof: what the link keys of all hops so far are worth together, this one's too
// (points/key_proof.hpp has their octets). The first key of the first run is the MAC key, the others are the pads in their order. The answer:
// either the destination's, which the nodes on the way pass back unchanged, with the proof of all hops,
//   u8 version ‖ u8 1 ‖ relay id 12 ‖ proof 10 ‖ confirmation 32
// or the next node's own, which has not got the chunks that the link keys lie in,
//   u8 version ‖ u8 2 ‖ relay id 12 ‖ u8 chunks ‖ chunks × batch id 12
#pragma once

#include <span>
#include <vector>

#include "base/id.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "points/key_proof.hpp"
#include "points/relay_path.hpp"
#include "quantum/qkm/link_keys.hpp"

namespace qanat::qkm {

inline constexpr std::uint8_t relay_version = 3;
inline constexpr std::size_t relay_secret_size = 32;
inline constexpr std::size_t relay_secrets_max = chunk_keys_max;  // what comes out at an end is one chunk of its stock
inline constexpr std::size_t relay_runs_max = 128;
inline constexpr std::size_t relay_tag_size = 16;
inline constexpr std::size_t relay_confirmation_size = 32;
using points::relay_nodes_max;  // with both ends
static_assert(relay_nodes_max <= 255, "nodes and hop are one octet each");

/// What is known of a path: the first 8 octets of SHA-256 over its nodes' names, each behind its length (one octet). The controller
/// computes the same.
PathId path_id_of(std::span<const ElementName> path);

struct RelayHeader {
  BatchId relay_id;  // also of the keys that come out at both ends
  std::string origin_domain;
  std::string destination_domain;
  std::vector<ElementName> path;  // origin … destination, every node once
  std::uint8_t hop = 1;           // the receiver's place in the path
  points::ProofDemand demand{};
  points::KeyProof proof{};  // of the hops 1 … hop
  std::uint16_t secrets = 0;
  std::vector<KeyRun> runs;  // secrets + 1 link keys

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

/// invalid_argument if the header could not be parsed again, or its runs, the secrets and the keys do not fit together.
Result<Bytes> protect(const RelayHeader& header, const Secret& secrets, const HopKeys& keys);
/// Checks form alone: a path of 2 to relay_nodes_max different nodes, its id, the hop within it, runs of as many keys as belong.
Result<RelayMessage> parse_relay(ByteView octets);
/// The secrets; denied if the tag does not hold. `octets` are those that `message` was parsed from.
Result<Secret> unprotect(ByteView octets, const RelayMessage& message, const HopKeys& keys);

/// The keys that the ends deliver, and the proof that the destination holds the same secrets. Independent of one another (HKDF with different
/// labels), so that the confirmation tells nothing about the keys. It also confirms what the keys are worth: the ends say the same of them.
Secret relayed_keys(const Secret& secrets);
Bytes relay_confirmation(const Secret& secrets, const BatchId& relay_id, const points::KeyProof& proof);

struct RelayAnswer {
  Bytes confirmation;  // empty: the keys did not arrive, because these chunks are not there
  std::vector<BatchId> missing;
  points::KeyProof proof{};  // of all hops
};
Bytes write_relay_answer(const BatchId& relay_id, const points::KeyProof& proof, ByteView confirmation);
Bytes write_relay_missing(const BatchId& relay_id, std::span<const BatchId> missing);
/// denied if the answer is to another relay.
Result<RelayAnswer> parse_relay_answer(ByteView octets, const BatchId& relay_id);

}  // namespace qanat::qkm
