// what one POST from Bob to Alice carries, and its answer. Octets:
//   u8 version ‖ connection id 16 ‖ u8 flags ‖ a piece of the stream of frames
// The connection id is Bob's, drawn for each session; all zero and no piece: he only asks whether Alice is there. In the answer the
// connection id is the same one. Flags: 1 the sender wants to run, 2 the sender has more of the stream, 4 the piece is
// no part of a stream but of the agreement on a first key (first_key.hpp), and the connection id is zero. Frames may be longer than a piece:
// each way is a stream, cut where the pieces end.
#pragma once

#include <vector>

#include "base/id.hpp"
#include "base/result.hpp"

namespace qanat::qkd {

inline constexpr std::uint8_t exchange_version = 2;
inline constexpr std::size_t exchange_head_size = 18;
/// With the head within what an HTTP answer may hold here (net::response_body_max) and a request at X-2.
inline constexpr std::size_t exchange_piece_max = std::size_t{900} << 10;

struct ConnectionTag;
using ConnectionId = Id<ConnectionTag, 16>;

struct Exchange {
  ConnectionId connection;
  bool wants_run = false;
  bool has_more = false;
  bool is_first_key = false;
  Bytes piece;
};

Bytes write_exchange(const Exchange& exchange);
/// What the piece says is for the reader of the stream to judge.
Result<Exchange> parse_exchange(ByteView octets);

/// The sending side of one way: takes frames, hands out pieces.
class FrameOutlet {
 public:
  void add(Bytes frame);
  void clear();
  [[nodiscard]] bool empty() const noexcept { return frames_.empty(); }
  /// The next piece, of at most exchange_piece_max octets.
  [[nodiscard]] Bytes take();

 private:
  std::vector<Bytes> frames_;  // in order; the first `at_` octets of the first are gone
  std::size_t at_ = 0;
};

/// The receiving side of one way: takes pieces, hands out whole frames. Holds at most one frame that is incomplete.
class FrameInlet {
 public:
  /// The frames that are complete now; invalid_argument for a frame that is longer than frames are.
  [[nodiscard]] Result<std::vector<Bytes>> take(ByteView piece);
  /// A frame has begun and not ended.
  [[nodiscard]] bool awaits_more() const noexcept { return !rest_.empty(); }
  void clear() { rest_ = Bytes(); }

 private:
  Bytes rest_;
};

}  // namespace qanat::qkd
