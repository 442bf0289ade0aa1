// X-2 between two ends whose keys a maker's key management entities deliver (driver "etsi014"): what one POST from Bob to Alice carries, and its answer.
// Octets, integers big-endian, own design:
//   u8 0x81 ‖ u8 kind ‖ text link (u16 length) ‖ u64 block id ‖ body of the kind
//     ask          u8 wants to run (0, 1)            B: is there a block for me? The block id is the last one that is done with here.
//     acknowledge  tag 32                            B: I have this block safely, and this proves that it is the same
//     refuse       text reason                       B: I cannot have this block
//     nothing                                        A: no block at present
//     offer        tag 32 ‖ u16 count ‖ ids 16 each  A: these keys, in this order
//     released                                       A: the block is a key at both ends
//     voided                                         A: the block is a key at neither end
// There is no authentication pool in this mode: messages are authenticated by the elements' mutual TLS alone. Key ids are public; keys never travel.
#pragma once

#include <string>
#include <vector>

#include "base/id.hpp"
#include "base/result.hpp"
#include "quantum/qkd/session/key_block.hpp"

namespace qanat::qkd {

inline constexpr std::uint8_t vendor_exchange_version = 0x81;  // not that of exchange.hpp: an end with another driver refuses it
inline constexpr std::size_t vendor_keys_max = 1024;           // per block
inline constexpr std::size_t vendor_tag_size = 32;
inline constexpr std::uint64_t vendor_block_id_max = (std::uint64_t{1} << 53) - 1;  // what Kq-1 can carry

enum class VendorKind : std::uint8_t { ask = 1, acknowledge, refuse, nothing, offer, released, voided };

struct VendorMessage {
  VendorKind kind{};
  LinkId link;
  std::uint64_t block_id = 0;
  bool wants_run = false;  // ask
  Bytes tag;               // acknowledge, offer
  std::vector<KeyId> ids;  // offer
  std::string reason;      // refuse; printable ASCII once it is read

  [[nodiscard]] Bytes write() const;
  static Result<VendorMessage> read(ByteView octets);
};

/// The names of the two proofs differ, so that one end's proof is none for the other.
enum class VendorProver : std::uint8_t { alice = 1, bob = 2 };
/// That the prover has the block's keys: HMAC-SHA-256 over prover, link, block id and key ids, under HKDF-SHA-256 of the keys. Hides the keys as far as
/// HMAC is a pseudorandom function: computationally, which is all that a connection to a key management entity gives anyway.
Bytes vendor_proof(VendorProver prover, const LinkId& link, std::uint64_t block_id, const std::vector<KeyId>& ids, const Secret& keys);

}  // namespace qanat::qkd
