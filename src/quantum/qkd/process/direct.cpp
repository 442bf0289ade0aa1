#include "quantum/qkd/process/direct.hpp"

#include "quantum/qkd/process/large_blocks.hpp"

namespace qanat::qkd {
namespace {

/// Tells and sends what a step holds; the error of a session that has ended.
Result<void> carry_out(FrameStream& channel, const Step& step, const DirectEvents& events) {
  for (const KeyBlock& block : step.deliver) events.finished(block);
  for (const Bytes& frame : step.send) TRY(channel.send(frame));
  if (step.failed) events.failed(*step.failed);
  if (step.ended) return fail(*step.ended);
  return {};
}

}  // namespace

Result<void> run_alice(FrameStream& channel, SessionParts<AliceDevice> parts, DurableState state, const std::function<bool()>& more,
                       const DirectEvents& events) {
  keep_large_blocks();
  AliceSession session(parts, std::move(state));
  bool greeted = false;
  while (true) {
    if (session.idle()) {
      greeted = true;
      if (!more()) break;
      TRY(carry_out(channel, session.begin_block(), events));
      continue;
    }
    const auto frame = channel.receive();
    if (!frame) return fail(frame.error().code, frame.error().message + (greeted ? "" : ", before it greeted"));
    TRY(carry_out(channel, session.receive(*frame), events));
  }
  channel.close();
  return {};
}

Result<void> run_bob(FrameStream& channel, SessionParts<BobDevice> parts, DurableState state, const DirectEvents& events) {
  keep_large_blocks();
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
