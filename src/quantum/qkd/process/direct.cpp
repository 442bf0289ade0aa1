#include "quantum/qkd/process/direct.hpp"

namespace qanat::qkd {
namespace {

/// Sends and tells what a step holds; the number of blocks that ended in it. The error of a session that has ended.
Result<std::size_t> carry_out(FrameStream& channel, const Step& step, const DirectEvents& events) {
  std::size_t ended_blocks = 0;
  for (const KeyBlock& block : step.deliver) {
    events.finished(block);
    ++ended_blocks;
  }
  for (const Bytes& frame : step.send) TRY(channel.send(frame));
  if (step.failed) {
    events.failed(*step.failed);
    ++ended_blocks;
  }
  if (step.ended) return fail(*step.ended);
  return ended_blocks;
}

}  // namespace

Result<void> run_alice(FrameStream& channel, SessionParts<AliceDevice> parts, DurableState state, std::size_t blocks, const DirectEvents& events) {
  AliceSession session(parts, std::move(state));
  std::size_t done = 0;
  while (true) {
    if (session.idle() && done < blocks) {
      ASSIGN_OR_RETURN(const std::size_t ended, carry_out(channel, session.begin_block(), events));
      done += ended;
      if (session.idle()) continue;
    }
    if (done >= blocks) break;
    ASSIGN_OR_RETURN(const Bytes frame, channel.receive());
    ASSIGN_OR_RETURN(const std::size_t ended, carry_out(channel, session.receive(frame), events));
    done += ended;
  }
  channel.close();
  return {};
}

Result<void> run_bob(FrameStream& channel, SessionParts<BobDevice> parts, DurableState state, const DirectEvents& events) {
  BobSession session(parts, std::move(state));
  TRY(carry_out(channel, session.start(), events));
  while (true) {
    const auto frame = channel.receive();
    if (!frame && session.idle()) return {};
    if (!frame) return fail(frame.error());
    TRY(carry_out(channel, session.receive(*frame), events));
  }
}

}  // namespace qanat::qkd
