#include "quantum/qkd/photonics/recorded_clock.hpp"

#include <cmath>
#include <vector>

namespace qanat::qkd {
namespace {

constexpr std::size_t pulses_read_max = 1U << 24;  // of Alice's, 128 MiB

Result<std::vector<std::uint64_t>> first_clicks(const Recording& bob, std::size_t count) {
  ASSIGN_OR_RETURN(auto source, open_octet_file(bob.events));
  EventReader events(std::move(source), bob.events.string());
  std::vector<std::uint64_t> out;
  while (out.size() < count) {
    ASSIGN_OR_RETURN(const auto event, events.next());
    if (!event) break;
    out.push_back(event->time);
  }
  return out;
}

/// Times of Alice's pulses of one intensity, up to `until`.
Result<std::vector<std::uint64_t>> pulses_until(const Recording& alice, Intensity intensity, std::uint64_t until) {
  ASSIGN_OR_RETURN(auto events_source, open_octet_file(alice.events));
  ASSIGN_OR_RETURN(auto side_source, open_octet_file(alice.side));
  EventReader events(std::move(events_source), alice.events.string());
  SideReader side(std::move(side_source), alice.side.string(), RecordingSide::alice);
  std::vector<std::uint64_t> out;
  for (;;) {
    ASSIGN_OR_RETURN(const auto event, events.next());
    if (!event || event->time > until) return out;
    ASSIGN_OR_RETURN(const auto entry, side.next());
    if (!entry) return fail(ErrorCode::invalid_argument, alice.side.string() + ": has fewer entries than there are events");
    if (entry->intensity != intensity) continue;
    if (out.size() == pulses_read_max) return fail(ErrorCode::exhausted, alice.events.string() + ": too many pulses before Bob's clicks; cut the recording, or name a rarer intensity");
    out.push_back(event->time);
  }
}

}  // namespace

Result<ClockSearch> find_recorded_clock(const Recording& alice, const Recording& bob, const ClockWanted& wanted) {
  TRY(alice.clock.validate());
  ASSIGN_OR_RETURN(const auto clicks, first_clicks(bob, wanted.clicks_max));
  if (clicks.empty()) return fail(ErrorCode::invalid_argument, bob.events.string() + ": holds no events");
  const double reach = std::ceil(static_cast<double>(wanted.pulses_max) * alice.clock.period_units());
  ASSIGN_OR_RETURN(const auto pulses, pulses_until(alice, wanted.intensity, clicks.back() + static_cast<std::uint64_t>(reach)));
  if (pulses.empty()) return fail(ErrorCode::not_found, alice.events.string() + ": holds no pulse of this intensity before Bob's clicks");
  return find_clock(alice.clock, pulses, clicks, wanted.pulses_max);
}

}  // namespace qanat::qkd
