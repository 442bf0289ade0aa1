#include "quantum/qkd/session/endpoint.hpp"

namespace qanat::qkd {

Hello Endpoint::own_hello(Bytes nonce) const {
  return {.link = settings_.link.text(),
          .settings_fingerprint = settings_.fingerprint(),
          .nonce = std::move(nonce),
          .last_started = state_.last_started,
          .last_committed = state_.last_committed,
          .prepared = state_.prepared ? state_.prepared->block_id : 0,
          .end_alice_to_bob = state_.pool.end(Direction::alice_to_bob),
          .end_bob_to_alice = state_.pool.end(Direction::bob_to_alice)};
}

Result<void> Endpoint::check_peer(const Hello& hello) const {
  if (hello.link != settings_.link.text()) return fail(ErrorCode::denied, "handshake: the other end serves another link");
  if (hello.settings_fingerprint != settings_.fingerprint()) return fail(ErrorCode::denied, "handshake: the ends have different settings");
  return {};
}

bool Endpoint::pools_match(const Hello& hello) const {
  return hello.end_alice_to_bob == state_.pool.end(Direction::alice_to_bob) && hello.end_bob_to_alice == state_.pool.end(Direction::bob_to_alice);
}

void Endpoint::send_untagged(Step& step, MessageType type, ByteView body) { step.send.push_back(channel_.untagged(type, block_id_, body, state_.pool)); }

Result<void> Endpoint::send_tagged(Step& step, MessageType type, ByteView body) {
  ASSIGN_OR_RETURN(Bytes frame, channel_.tagged(type, block_id_, body, state_.pool));
  state_changed_ = true;
  step.send.push_back(std::move(frame));
  return {};
}

void Endpoint::fail_block(Step& step, const Error& error) {
  send_untagged(step, MessageType::block_failed, Reason{.code = error.code, .text = error.message}.write());
  step.failed = BlockFailure{.block_id = block_id_, .error = error};
}

Step Endpoint::finish(Step step, const Result<void>& outcome) {
  if (!outcome) {
    // What this step changed is not stored: the next session starts from the last stored state.
    Step end;
    end.ended = outcome.error();
    if (!peer_ended_) send_untagged(end, MessageType::abort, Reason{.code = outcome.error().code, .text = outcome.error().message}.write());
    ended_ = true;
    return end;
  }
  if (state_changed_) step.persist = state_.encode();
  state_changed_ = false;
  return step;
}

Result<void> Endpoint::unexpected(MessageType type, std::string_view state) {
  return fail(ErrorCode::conflict, "qkd session: message of type " + std::to_string(static_cast<unsigned>(type)) + " while " + std::string(state));
}

Error Endpoint::reason_of(const Frame& frame) {
  const Result<Reason> reason = Reason::read(frame.body);
  if (!reason) return {.code = ErrorCode::conflict, .message = "the other end gave no readable reason"};
  return {.code = reason->code, .message = "the other end: " + reason->text};
}

}  // namespace qanat::qkd
