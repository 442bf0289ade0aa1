#include "quantum/qkd/photonics/event_clock.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

namespace qanat::qkd {
namespace {

constexpr std::uint64_t coincidences_min = 8;
constexpr double coherence_min = 0.5;  // of the tags' phases; evenly spread tags have 0
constexpr std::uint32_t search_max = 1U << 24;

/// The phase of the tags within a period, in units, 0 … period.
Result<double> phase_of(std::span<const std::uint64_t> times, double period) {
  double x = 0.0;
  double y = 0.0;
  for (const std::uint64_t time : times) {
    const double angle = 2.0 * std::numbers::pi * std::fmod(static_cast<double>(time - times.front()), period) / period;
    x += std::cos(angle);
    y += std::sin(angle);
  }
  if (std::hypot(x, y) < coherence_min * static_cast<double>(times.size())) {
    return fail(ErrorCode::not_found, "clock search: the tags do not follow the gate frequency");
  }
  double angle = std::atan2(y, x);
  if (angle < 0.0) angle += 2.0 * std::numbers::pi;
  return angle * period / (2.0 * std::numbers::pi);
}

/// Pulse numbers that begin anywhere: whole periods since the first tag.
std::vector<std::int64_t> periods_of(std::span<const std::uint64_t> times, double phase, double period) {
  std::vector<std::int64_t> out;
  out.reserve(times.size());
  for (const std::uint64_t time : times) out.push_back(std::llround((static_cast<double>(time - times.front()) - phase) / period));
  return out;
}

}  // namespace

Result<void> EventClock::validate() const {
  if (!(gate_rate_hz >= 1.0 && gate_rate_hz <= 0.5 / event_unit_s)) {
    return fail(ErrorCode::invalid_argument, "event clock: gate_rate_hz must be between 1 and 4e9: a period has at least two units of 125 ps");
  }
  if (!(origin_phase >= 0.0 && origin_phase < 1.0)) return fail(ErrorCode::invalid_argument, "event clock: origin_phase must lie between 0 and 1");
  if (!(window_s >= 0.0 && window_s * gate_rate_hz <= 0.5)) return fail(ErrorCode::invalid_argument, "event clock: window_s exceeds half a period");
  return {};
}

std::optional<std::uint64_t> EventClock::pulse_of(std::uint64_t time) const {
  const double period = period_units();
  // A pulse 0 that jitters may be tagged before its time.
  const double since = (time >= origin ? static_cast<double>(time - origin) : -static_cast<double>(origin - time)) - origin_phase;
  const double pulse = std::round(since / period);
  if (pulse < 0.0) return {};
  if (window_s > 0.0 && std::abs(since - pulse * period) > window_s / event_unit_s) return {};
  return static_cast<std::uint64_t>(pulse);
}

std::uint64_t EventClock::time_of(std::uint64_t pulse, double late_s) const {
  const double since = static_cast<double>(pulse) * period_units() + origin_phase + late_s / event_unit_s;
  return origin + static_cast<std::uint64_t>(std::max(0LL, std::llround(since)));
}

Result<ClockSearch> find_clock(const EventClock& first_clock, std::span<const std::uint64_t> first, std::span<const std::uint64_t> second,
                               std::uint32_t pulses_max) {
  TRY(first_clock.validate());
  if (first.empty() || second.empty()) return fail(ErrorCode::invalid_argument, "clock search: no events");
  if (pulses_max == 0 || pulses_max > search_max) return fail(ErrorCode::invalid_argument, "clock search: 1 to 2^24 periods to either side");
  if (!std::ranges::is_sorted(first) || !std::ranges::is_sorted(second)) return fail(ErrorCode::invalid_argument, "clock search: times descend");
  const double period = first_clock.period_units();
  std::vector<std::int64_t> pulses;
  for (const std::uint64_t time : first) {
    if (const auto pulse = first_clock.pulse_of(time)) pulses.push_back(static_cast<std::int64_t>(*pulse));
  }
  if (pulses.empty()) return fail(ErrorCode::not_found, "clock search: no event of the first list belongs to a pulse");
  ASSIGN_OR_RETURN(const double phase, phase_of(second, period));
  // Both lists as periods since pulse 0 of the first clock, taken by the second list's own clock.
  const double lead = (second.front() >= first_clock.origin ? static_cast<double>(second.front() - first_clock.origin)
                                                            : -static_cast<double>(first_clock.origin - second.front()));
  const std::int64_t base = std::llround((lead + phase - first_clock.origin_phase) / period);
  const std::vector<std::int64_t> periods = periods_of(second, phase, period);

  const auto reach = static_cast<std::int64_t>(pulses_max);
  std::vector<std::uint32_t> counts(2 * static_cast<std::size_t>(pulses_max) + 1);
  std::size_t from = 0;
  for (const std::int64_t raw : periods) {
    const std::int64_t at = base + raw;
    while (from < pulses.size() && pulses[from] < at - reach) ++from;
    for (std::size_t i = from; i < pulses.size() && pulses[i] <= at + reach; ++i) ++counts[static_cast<std::size_t>(at - pulses[i] + reach)];
  }
  const auto best = std::ranges::max_element(counts);
  ClockSearch found;
  found.offset_pulses = (best - counts.begin()) - reach;
  found.coincidences = *best;
  *best = 0;
  found.runner_up = std::ranges::max(counts);
  if (found.coincidences < coincidences_min || found.coincidences < 2 * found.runner_up) {
    return fail(ErrorCode::not_found, "clock search: no offset stands out: " + std::to_string(found.coincidences) + " coincidences at the best, " +
                                          std::to_string(found.runner_up) + " at another");
  }
  // Pulse 0 by the second clock.
  const double zero = static_cast<double>(found.offset_pulses - base) * period + phase;
  const double whole = std::floor(zero);
  const auto shift = static_cast<std::int64_t>(whole);
  if (shift < 0 && static_cast<std::uint64_t>(-shift) > second.front())
    return fail(ErrorCode::not_found, "clock search: pulse 0 lies before the second clock began");
  found.clock = first_clock;
  found.clock.origin = shift >= 0 ? second.front() + static_cast<std::uint64_t>(shift) : second.front() - static_cast<std::uint64_t>(-shift);
  found.clock.origin_phase = std::clamp(zero - whole, 0.0, 0x1.fffffffffffffp-1);
  return found;
}

}  // namespace qanat::qkd
