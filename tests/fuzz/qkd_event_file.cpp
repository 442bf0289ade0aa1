// target: qanat_qkd
#include <cstdlib>
#include <sstream>
#include <vector>

#include "quantum/qkd/photonics/event_clock.hpp"
#include "quantum/qkd/photonics/event_file.hpp"

using namespace qanat;
using namespace qanat::qkd;

namespace {

/// What parses can be written and read back.
void events(ByteView input) {
  EventReader reader(octets_in_memory(input), "fuzz");
  std::ostringstream out;
  EventWriter writer(out);
  std::vector<TimedEvent> all;
  const EventClock clock{.gate_rate_hz = 1e9, .origin = 12345, .origin_phase = 0.5, .window_s = 2e-10};
  for (;;) {
    const auto event = reader.next();
    if (!event) return;
    if (!*event) break;
    if (!writer.write(**event)) std::abort();
    (void)clock.pulse_of((*event)->time);
    all.push_back(**event);
  }
  if (!writer.finish()) std::abort();
  const std::string text = out.str();
  EventReader again(octets_in_memory(as_bytes(text)), "again");
  for (const TimedEvent& event : all) {
    const auto read = again.next();
    if (!read || *read != event) std::abort();
  }
  const auto end = again.next();
  if (!end || *end) std::abort();
}

/// The form is unique but for a not-a-number's bits.
void entries(ByteView input, RecordingSide side) {
  SideReader reader(octets_in_memory(input), "fuzz", side);
  std::ostringstream out;
  SideWriter writer(out, side);
  for (;;) {
    const auto entry = reader.next();
    if (!entry) return;
    if (!*entry) break;
    writer.write(**entry);
  }
  if (!writer.finish(reader.trailer()) || out.str().size() != input.size()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
  if (size == 0) return 0;
  const ByteView body(input + 1, size - 1);
  switch (input[0] % 3) {
    case 0:
      events(body);
      break;
    case 1:
      entries(body, RecordingSide::alice);
      break;
    default:
      entries(body, RecordingSide::bob);
      break;
  }
  return 0;
}
