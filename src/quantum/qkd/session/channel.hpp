// One end's view of the classical channel: numbers the messages, keeps the transcript, tags and checks. A tag covers everything that
// went either way since the last tag, so that one tag each way and round authenticates all messages of the round.
#pragma once

#include "quantum/qkd/session/message.hpp"
#include "quantum/qkd/session/state.hpp"

namespace qanat::qkd {

inline constexpr std::size_t transcript_size_max = std::size_t{64} << 20;

class Channel {
 public:
  Channel(Direction sending, std::size_t reserve) : sending_(sending), reserve_(reserve) {}

  /// A block's transcript begins with the next message sent …
  void restart_transcript() { transcript_.clear(); }
  /// … or with this one, just received.
  void restart_transcript(ByteView received) {
    transcript_.clear();
    record(receiving(), received);
  }
  Bytes untagged(MessageType type, std::uint64_t block_id, ByteView body);
  /// Claims a key: the state must be stored before the frame is sent.
  [[nodiscard]] Result<Bytes> tagged(MessageType type, std::uint64_t block_id, ByteView body, AuthenticationPool& pool);
  /// Parses, checks the number and the tag. denied when the tag does not hold.
  [[nodiscard]] Result<Frame> receive(ByteView octets, AuthenticationPool& pool);

 private:
  void record(Direction direction, ByteView octets);
  [[nodiscard]] Direction receiving() const { return sending_ == Direction::alice_to_bob ? Direction::bob_to_alice : Direction::alice_to_bob; }

  Direction sending_;
  std::size_t reserve_;
  std::uint32_t sent_ = 0;
  std::uint32_t received_ = 0;
  Bytes transcript_;
};

}  // namespace qanat::qkd
