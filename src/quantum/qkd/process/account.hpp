// A block's account for others: the Kq-1 record (design 04 §5: link, block, counts by intensity, error rates, leak, length, epsilons, bound,
// authentication spent, agreement of the ends, times) as JSON, and one line for the log.
#pragma once

#include "quantum/qkd/process/records.hpp"
#include "wire/json.hpp"

namespace qanat::qkd {

/// The Kq-1 record. `simulated` stands in it because the only optics there are here are simulated ones.
wire::Json describe(const LinkId& link, std::uint64_t block_id, const BlockSummary& block);
/// How a link's blocks are processed: reconciliation, bound, leak model, block size, epsilons.
wire::Json describe(const SessionSettings& settings);
/// The bound with everything that went into it and came out: for the log.
std::string account_of(const BlockReport& report);

}  // namespace qanat::qkd
