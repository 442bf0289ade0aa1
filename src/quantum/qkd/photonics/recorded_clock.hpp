// Laying the clocks of two recordings over each other, before they are processed.
#pragma once

#include "quantum/qkd/photonics/event_clock.hpp"
#include "quantum/qkd/photonics/file_device.hpp"

namespace qanat::qkd {

struct ClockWanted {
  Intensity intensity = Intensity::signal;  // Alice's pulses that are looked at: few enough that not every period has one, bright enough to be seen
  std::size_t clicks_max = 4096;            // Bob's first
  std::uint32_t pulses_max = 1U << 20;      // how far the clocks may differ, in periods, to either side
};

/// Bob's clock by Alice's: find_clock() over Alice's pulses of one intensity and Bob's first clicks. Of `bob` the events alone are read. Nothing is used
/// up: which pulse a click belongs to says nothing about bits. not_found when no offset stands out.
Result<ClockSearch> find_recorded_clock(const Recording& alice, const Recording& bob, const ClockWanted& wanted);

}  // namespace qanat::qkd
