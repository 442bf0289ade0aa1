// The classical channel's messages, and their binary form:
//   u32 length of what follows ‖ u8 version ‖ u8 type ‖ u64 block id ‖ u32 sequence number ‖ body [ ‖ u64 key position ‖ 16-octet tag ]
// The last two fields stand in tagged types alone. Integers are big-endian.
#pragma once

#include <optional>
#include <vector>

#include "quantum/qkd/authentication/pool.hpp"
#include "quantum/qkd/photonics/device.hpp"
#include "quantum/qkd/reconciliation/reconciliation.hpp"
#include "quantum/qkd/sifting/sifting.hpp"

namespace qanat::qkd {

inline constexpr std::uint8_t protocol_version = 4;
inline constexpr std::size_t frame_length_size = 4;
inline constexpr std::size_t frame_header_size = frame_length_size + 14;
inline constexpr std::size_t frame_trailer_size = 8 + tag_size;
inline constexpr std::size_t frame_size_max = std::size_t{32} << 20;  // a seed or a round of questions for a key of 2^27 bits
inline constexpr std::size_t nonce_size = 16;
inline constexpr std::size_t fingerprint_size = 32;
inline constexpr std::size_t reason_size_max = 200;

enum class MessageType : std::uint8_t {
  hello = 1,     // both, tagged: who, settings, what is committed
  begin,         // A: a block begins
  detections,    // B: a chunk of clicks
  verdict,       // A: which of them count
  question,      // B: of the error correction
  answer,        // A
  reconciled,    // B: done correcting
  close,         // A, tagged: verification hash, length, privacy amplification seed
  ack,           // B, tagged: I have the block safely
  confirm,       // A, tagged: so have I; release it
  block_failed,  // either: this block yields nothing
  abort,         // either: this connection is over
};
bool is_tagged(MessageType type) noexcept;

struct Frame {
  MessageType type{};
  std::uint64_t block_id = 0;
  std::uint32_t sequence = 0;
  ByteView body;
  std::uint64_t key_position = 0;  // tagged types
  ByteView tag;
  ByteView authenticated;  // the frame without its tag
};

/// How long the frame is that begins with `prefix`; nothing while the length itself is incomplete; invalid_argument when it is longer
/// than a frame may be. For readers of a stream.
Result<std::optional<std::size_t>> frame_size(ByteView prefix);
/// Views into `octets`, which must be exactly one frame.
Result<Frame> parse_frame(ByteView octets);
/// The frame, for a tagged type up to and without the tag.
Bytes write_frame(MessageType type, std::uint64_t block_id, std::uint32_t sequence, ByteView body, std::uint64_t key_position);

struct Hello {
  std::string link;
  Bytes settings_fingerprint;
  Bytes nonce;
  std::uint64_t last_started = 0;
  std::uint64_t last_committed = 0;
  std::uint64_t prepared = 0;          // block id, 0 for none
  std::uint64_t end_alice_to_bob = 0;  // of the authentication pools, in keys since the first
  std::uint64_t end_bob_to_alice = 0;

  [[nodiscard]] Bytes write() const;
  static Result<Hello> read(ByteView body);
};

struct Begin {
  Bytes nonce;
  [[nodiscard]] Bytes write() const { return nonce; }
  static Result<Begin> read(ByteView body);
};

struct Detections {
  Bytes nonce;              // Bob's, the same in each chunk
  std::uint32_t total = 0;  // clicks of the run
  std::uint64_t gates = 0;
  Announcement clicks;

  [[nodiscard]] Bytes write() const;
  static Result<Detections> read(ByteView body);
};

/// `clicks`: how many Bob announced. The seed of the error correction comes with the last verdict.
struct VerdictMessage {
  Verdict verdict;
  Bytes seed;  // reconciliation_seed_size octets or none

  [[nodiscard]] Bytes write() const;
  static Result<VerdictMessage> read(ByteView body, std::size_t clicks);
};

/// What only Bob knows of the error correction: which bits he flipped, by intensity.
struct Reconciled {
  Disclosed disclosed;
  std::array<std::uint64_t, intensity_count> errors{};
  [[nodiscard]] Bytes write() const;
  static Result<Reconciled> read(ByteView body);
};

struct Close {
  Bytes verification_key;
  Bytes verification_hash;
  std::uint64_t length = 0;
  std::uint32_t refill_alice_to_bob = 0;
  std::uint32_t refill_bob_to_alice = 0;
  Bytes agreement;  // BlockReport::digest
  Bytes toeplitz_seed;

  [[nodiscard]] Bytes write() const;
  static Result<Close> read(ByteView body);
};

/// Why a block or the connection failed, for people; unauthenticated, therefore reduced to printable ASCII.
struct Reason {
  ErrorCode code{};
  std::string text;
  [[nodiscard]] Bytes write() const;
  static Result<Reason> read(ByteView body);
};

}  // namespace qanat::qkd
