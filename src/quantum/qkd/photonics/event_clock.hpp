// From time tags to pulse numbers: which of Alice's pulses a click belongs to, and how the two clocks are laid over each other.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "base/result.hpp"
#include "quantum/qkd/photonics/event_file.hpp"

namespace qanat::qkd {

struct EventClock {
  double gate_rate_hz = 1e9;
  std::uint64_t origin = 0;   // time of pulse 0 by the clock of the file, in units of 125 ps
  double origin_phase = 0.0;  // and the rest of a unit, 0 … 1
  double window_s = 0.0;      // how far from its pulse's time an event may lie, to either side; 0: half a period

  [[nodiscard]] double period_units() const { return 1.0 / (gate_rate_hz * event_unit_s); }
  /// Fails with the first value that is out of range.
  [[nodiscard]] Result<void> validate() const;
  /// The pulse of an event at `time`; nothing when it lies before pulse 0 or outside every window.
  [[nodiscard]] std::optional<std::uint64_t> pulse_of(std::uint64_t time) const;
  /// The time of a pulse's middle, `late_s` seconds later, rounded to a unit.
  [[nodiscard]] std::uint64_t time_of(std::uint64_t pulse, double late_s = 0.0) const;
};

/// What find_clock() found.
struct ClockSearch {
  EventClock clock;                // for the later list, such that its pulse numbers are the earlier one's
  std::int64_t offset_pulses = 0;  // how many periods the second list is late
  std::uint64_t coincidences = 0;  // at that offset
  std::uint64_t runner_up = 0;     // at the best other offset
};

/// Finds the clock of `second` from the clock of `first` by trying every offset of up to `pulses_max` periods to either side and counting
/// coincidences; the phase within a period is the circular mean of the tags. Both lists ascend; `first` must be sparse (one pulse in ten
/// periods or fewer, for instance the pulses of one intensity), because offsets cannot be told where every period has its pulse.
/// not_found when no offset stands out: the best must have 8 coincidences, twice those of any other.
Result<ClockSearch> find_clock(const EventClock& first_clock, std::span<const std::uint64_t> first, std::span<const std::uint64_t> second,
                               std::uint32_t pulses_max);

}  // namespace qanat::qkd
