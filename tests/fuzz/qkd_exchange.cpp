// target: qanat_qkd
#include <algorithm>

#include "quantum/qkd/process/exchange.hpp"
#include "quantum/qkd/session/message.hpp"

using namespace qanat;
using namespace qanat::qkd;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  const ByteView input(octets, size);
  if (const auto exchange = parse_exchange(input); exchange && !equal(write_exchange(*exchange), input)) __builtin_trap();
  // Whatever comes in whatever pieces: the frames that come out are whole.
  FrameInlet inlet;
  for (std::size_t at = 0; at < size; at += 7) {
    const auto frames = inlet.take(input.subspan(at, std::min<std::size_t>(7, size - at)));
    if (!frames) break;
    for (const Bytes& frame : *frames) {
      const auto length = frame_size(frame);
      if (!length || !*length || **length != frame.size()) __builtin_trap();
    }
  }
  return 0;
}
