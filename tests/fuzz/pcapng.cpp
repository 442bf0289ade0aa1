// target: qanat_terminal
#include <cstdlib>

#include "terminal/pcapng.hpp"

// What parses can be written and read back, times and packets alike.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
  using namespace qanat::terminal;
  const auto capture = parse_capture({input, size});
  if (!capture) return 0;
  CaptureWriter writer("fuzz");
  for (const CapturedPacket& packet : capture->packets) writer.add(packet.time_ns, packet.octets);
  const auto again = parse_capture(writer.octets());
  if (!again || again->packets.size() + writer.dropped() != capture->packets.size()) std::abort();
  return 0;
}
