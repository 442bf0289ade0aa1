// What both ends compute alike from what both know: a block's report, with its length.
#pragma once

#include "quantum/qkd/session/message.hpp"
#include "quantum/qkd/session/settings.hpp"

namespace qanat::qkd {

inline constexpr std::uint64_t tags_per_block = 3;  // close, ack, confirm

/// What the error correction expects the key's error rate to be: the check basis goes through the same optics. Never zero.
double expected_error_rate(const BasisCounts& check);
/// exhausted when too little was sifted, denied when the check basis has too many errors.
Result<void> check_sifted(const SessionSettings& settings, const SiftedBlock& block);
/// The report, but for `agreement` and what the pools take; exhausted when no secret bit is left, denied when the key's own error rate is too
/// high.
Result<BlockReport> assess(const SessionSettings& settings, const SiftedBlock& block, const Reconciled& reconciled);
/// Fresh as long as one of the two nonces is.
RunId run_id(const LinkId& link, std::uint64_t block_id, ByteView alice_nonce, ByteView bob_nonce);

}  // namespace qanat::qkd
