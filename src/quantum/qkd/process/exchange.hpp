// what one POST from Bob to Alice carries, and its answer. Octets:
//   u8 version ‖ connection id 16 ‖ u8 wants to run (0, 1) ‖ frames, one after the other
// The connection id is Bob's, drawn for each session; all zero and no frames: he only asks whether Alice is there. In the answer the
// connection id is the same one.
#pragma once

#include <vector>

#include "base/id.hpp"
#include "base/result.hpp"

namespace qanat::qkd {

inline constexpr std::uint8_t exchange_version = 1;

struct ConnectionTag;
using ConnectionId = Id<ConnectionTag, 16>;

struct Exchange {
  ConnectionId connection;
  bool wants_run = false;
  std::vector<Bytes> frames;
};

Bytes write_exchange(const Exchange& exchange);
/// Splits into frames; what a frame says is for the session to judge.
Result<Exchange> parse_exchange(ByteView octets);

}  // namespace qanat::qkd
