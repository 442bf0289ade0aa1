// A block's account for others: the Kq-1 record (design 04 §5: link, block, counts by intensity, error rates, leak, length, epsilons, bound,
// authentication spent, agreement of the ends, times) as JSON, and one line for the log.
#pragma once

#include "quantum/qkd/photonics/event_file.hpp"
#include "quantum/qkd/process/records.hpp"
#include "wire/json.hpp"

namespace qanat::qkd {

/// The Kq-1 record of a block that was made under these settings. The time of the optics is "simulated_time_s" or, of a recording that was measured,
/// "recorded_time_s". "loss_db" (session/loss.hpp: fibre, receiver and detectors, without dead time and dark counts) is missing where it is not known.
wire::Json describe(const SessionSettings& settings, std::uint64_t block_id, const BlockSummary& block, RecordingOrigin origin);
/// The Kq-1 record of keys that a maker's key management entity delivered: nothing is known of counts, errors, leak and bound, and none of them stands in it
/// but `qber`, which a QKM wants and which is 0. `rate_bps` is over the time that fetching and agreeing took: how fast keys came, not how fast they are made.
wire::Json describe_vendor_block(const LinkId& link, std::uint64_t block_id, const BlockSummary& block);
/// How a link's blocks are processed: reconciliation, bound, leak model, block size, epsilons.
wire::Json describe(const SessionSettings& settings);
/// The bound with everything that went into it and came out: for the log.
std::string account_of(const BlockReport& report);

}  // namespace qanat::qkd
