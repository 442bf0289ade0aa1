// One end's view of the classical channel: numbers the messages, hashes the transcript, tags and checks. A tag covers everything that
// went either way since the last tag, and that tag itself, so that one tag each way and round authenticates all messages of the round.
//
// Of a tagged message the next transcript has the header, the key's position and the tag, not the body again: a tag that held at a position, which is
// used once, stands for the whole transcript under it but for the forger's chance, which was counted when it was checked.
//
// The transcript itself is not kept. While it is short it is buffered, and hashed under whichever key the tag then names; once it grows, it is
// hashed as it comes, under the key of the tag that must come next: a block's first is Alice's, and after a tag it is the other end's turn.
// Both ends agree on that key because no tag was lost since the greetings (a lost one ends the connection); a tag of the other direction or at any
// other position is refused. The key is not used up by that: until the tag is sent, nothing that depends on it has left the process.
#pragma once

#include "quantum/qkd/session/message.hpp"
#include "quantum/qkd/session/state.hpp"

namespace qanat::qkd {

/// Octets between two tags, at most: polynomial_collision() of it is what a forger is left with.
inline constexpr std::uint64_t transcript_size_max = std::uint64_t{4} << 30;
inline constexpr std::size_t transcript_buffered_max = std::size_t{64} << 10;

class Channel {
 public:
  Channel(Direction sending, std::size_t reserve) : sending_(sending), reserve_(reserve) {}

  /// A block's transcript begins with the next message sent …
  void restart_transcript() { restart_transcript(Direction::alice_to_bob); }
  /// … or with this one, just received.
  void restart_transcript(ByteView received, const AuthenticationPool& pool);
  [[nodiscard]] Bytes untagged(MessageType type, std::uint64_t block_id, ByteView body, const AuthenticationPool& pool);
  /// Claims a key: the state must be stored before the frame is sent.
  [[nodiscard]] Result<Bytes> tagged(MessageType type, std::uint64_t block_id, ByteView body, AuthenticationPool& pool);
  /// Parses, checks the number and the tag. denied when the tag does not hold.
  [[nodiscard]] Result<Frame> receive(ByteView octets, AuthenticationPool& pool);

 private:
  struct Transcript {
    Direction next = Direction::bob_to_alice;  // whose tag ends it; a connection's first is Bob's greeting
    std::uint64_t size = 0;
    Bytes buffer;  // the whole of it, until it is hashed as it comes
    bool hashing = false;
    std::uint64_t position = 0;          // of the key that it is hashed under
    std::optional<PolynomialHash> hash;  // none: no such key is left
  };

  void restart_transcript(Direction next) {
    transcript_ = Transcript();
    transcript_.next = next;
  }
  /// What comes behind a tagged message, given without its tag.
  void follow(Direction direction, ByteView authenticated, ByteView tag, const AuthenticationPool& pool);
  void record(Direction direction, ByteView octets, const AuthenticationPool& pool);
  void begin_hashing(const AuthenticationPool& pool);
  /// The tag over the transcript under `key`, which stands at `position`. Ends the transcript.
  [[nodiscard]] Result<std::array<std::uint8_t, tag_size>> tag(Direction direction, std::uint64_t position, const Secret& key);
  [[nodiscard]] Direction receiving() const { return sending_ == Direction::alice_to_bob ? Direction::bob_to_alice : Direction::alice_to_bob; }

  Direction sending_;
  std::size_t reserve_;
  std::uint32_t sent_ = 0;
  std::uint32_t received_ = 0;
  Transcript transcript_;
};

}  // namespace qanat::qkd
