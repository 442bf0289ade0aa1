// A link whose two ends are joined by a socket and keep nothing on disk: for laboratories, planning and demonstrations. The sessions are
// those of the QKD processes; only the storage is missing, so nothing here survives its process.
#pragma once

#include <functional>

#include "quantum/qkd/process/frame_stream.hpp"
#include "quantum/qkd/session/session.hpp"

namespace qanat::qkd {

/// What the caller hears of.
struct DirectEvents {
  std::function<void(const KeyBlock&)> finished;
  std::function<void(const BlockFailure&)> failed;
};

/// Alice makes block after block, good or failed, while `more` says so, and then closes the channel. Fails when the session or the channel ends
/// before.
Result<void> run_alice(FrameStream& channel, SessionParts<AliceDevice> parts, DurableState state, const std::function<bool()>& more,
                       const DirectEvents& events);
/// Bob works until Alice closes the channel between two blocks.
Result<void> run_bob(FrameStream& channel, SessionParts<BobDevice> parts, DurableState state, const DirectEvents& events);

}  // namespace qanat::qkd
