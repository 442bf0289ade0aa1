// The end that the configuration asks for, as the service drives it, whatever the keys come from.
#pragma once

#include "quantum/qkd/process/settings.hpp"
#include "wire/json.hpp"

namespace qanat::qkd {

struct DrivenEnd {
  /// Photons were there, or only computed. Keys of a maker's key management entity count as measured: nothing here knows better.
  RecordingOrigin origin = RecordingOrigin::simulated;
  std::function<void(bool run)> set_run;
  std::function<EndFacts()> facts;
  std::function<Result<Bytes>(ByteView exchange, Deadline hold, Deadline deadline)> answer;  // Alice's alone
  std::function<Result<void>(Deadline)> turn;                                                // Bob's alone

  /// The Kq-1 record of a block that this end made.
  std::function<wire::Json(std::uint64_t block_id, const BlockSummary& block)> describe_block;
};

/// Opens devices, recordings or the way to the key management entity. `send` brings Bob's exchanges to Alice. `settings` outlives the end.
Result<DrivenEnd> open_end(const QkdSettings& settings, EndParts parts, VendorBob::Send send);

}  // namespace qanat::qkd
