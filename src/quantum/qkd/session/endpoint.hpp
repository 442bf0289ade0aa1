// What Alice's and Bob's machines have in common: the state, the channel, and how a step ends.
#pragma once

#include "quantum/qkd/session/assessment.hpp"
#include "quantum/qkd/session/channel.hpp"
#include "quantum/qkd/session/session.hpp"

namespace qanat::qkd {

struct Endpoint {
  Endpoint(const SessionSettings& settings, Direction sending, DurableState state)
      : settings_(settings), channel_(sending, settings.authentication_reserve), state_(std::move(state)) {}

  [[nodiscard]] Hello own_hello(Bytes nonce) const;
  /// The other end's link and settings are ours.
  [[nodiscard]] Result<void> check_peer(const Hello& hello) const;
  [[nodiscard]] bool pools_match(const Hello& hello) const;

  void send_untagged(Step& step, MessageType type, ByteView body);
  [[nodiscard]] Result<void> send_tagged(Step& step, MessageType type, ByteView body);
  /// Gives the block up at both ends.
  void fail_block(Step& step, const Error& error);
  /// Turns a handler's outcome into the step: on failure nothing durable changes and the other end is told.
  [[nodiscard]] Step finish(Step step, const Result<void>& outcome);
  [[nodiscard]] static Result<void> unexpected(MessageType type, std::string_view state);
  /// `block_failed` and `abort` carry a reason.
  [[nodiscard]] static Error reason_of(const Frame& frame);

  const SessionSettings& settings_;
  Channel channel_;
  DurableState state_;
  std::uint64_t block_id_ = 0;
  bool state_changed_ = false;
  bool ended_ = false;
  bool peer_ended_ = false;
};

}  // namespace qanat::qkd
