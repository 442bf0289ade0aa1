// What an end must keep across a restart. The caller seals and stores it as one value.
#pragma once

#include <optional>

#include "quantum/qkd/authentication/pool.hpp"
#include "quantum/qkd/session/key_block.hpp"

namespace qanat::qkd {

inline constexpr std::size_t prepared_output_size_max = reconciliation_bits_max / 8;

/// A block that Bob has finished and Alice may or may not have released.
struct PreparedBlock {
  std::uint64_t block_id = 0;
  Secret output;                          // all `report.length` bits, the refills in front
  std::uint32_t refill_alice_to_bob = 0;  // keys
  std::uint32_t refill_bob_to_alice = 0;
  BlockReport report;
};

struct DurableState {
  AuthenticationPool pool;
  std::uint64_t last_started = 0;  // block ids start at 1 and are never used again
  std::uint64_t last_committed = 0;
  std::optional<PreparedBlock> prepared;  // Bob only

  [[nodiscard]] static Result<DurableState> fresh(const Secret& preshared);
  [[nodiscard]] Secret encode() const;
  [[nodiscard]] static Result<DurableState> decode(ByteView octets);

  /// Puts the block's share into the pools, marks it committed and returns the rest for release.
  [[nodiscard]] Result<KeyBlock> commit(PreparedBlock block);
};

}  // namespace qanat::qkd
