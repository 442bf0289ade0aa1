// What both ends compute alike from what both know: a block's report, with its length.
#pragma once

#include "quantum/qkd/session/message.hpp"
#include "quantum/qkd/session/settings.hpp"

namespace qanat::qkd {

inline constexpr std::uint64_t tags_per_block = 3;  // close, ack, confirm

struct BlockFacts {
  BasisCounts key;
  BasisCounts check;
  std::uint64_t parities = 0;   // that Alice gave
  std::uint64_t corrected = 0;  // bits that Bob flipped
  std::uint64_t gates = 0;
};

/// exhausted when too little was sifted, denied when the error rate is too high.
Result<void> check_sifted(const SessionSettings& settings, const BasisCounts& key, const BasisCounts& check);
/// The report; exhausted when no secret bit is left, denied when the key's own error rate is too high.
Result<BlockReport> assess(const SessionSettings& settings, const BlockFacts& facts);
/// Fresh as long as one of the two nonces is.
RunId run_id(const LinkId& link, std::uint64_t block_id, ByteView alice_nonce, ByteView bob_nonce);

}  // namespace qanat::qkd
