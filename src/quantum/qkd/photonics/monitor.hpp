// What the receiver observes about itself. A key-rate formula believes the detectors; this is where that belief is checked. Bright light can
// turn an avalanche detector into an ordinary photodiode that clicks at the attacker's will and never errs (Lydersen et al., Nature Photonics
// 4, 686 (2010)); it cannot do so without a current, and it does not reproduce the coincidences that chance would have made.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "quantum/qkd/photonics/link.hpp"

namespace qanat::qkd {

/// Of the gates of one run.
struct MonitorRecord {
  std::uint64_t gates = 0;
  std::array<std::uint64_t, 2> firings{};  // of each detector; a double click counts in both
  std::uint64_t double_clicks = 0;
  std::optional<std::array<double, 2>> photocurrent_a;  // mean current of each detector, amperes; nothing: not measured
};

/// Charge of one avalanche, coulombs: a gain of 10^6. Our choice for the simulator and for what check_monitor allows a busy detector.
inline constexpr double avalanche_charge_c = 1.6e-13;
/// Current of a detector that bright light keeps blind, amperes. Our choice for the simulator: about a milliwatt on a diode of 1 A/W.
inline constexpr double blinding_photocurrent_a = 1e-3;

/// That a gate makes both detectors fire, without afterpulses and without an eavesdropper.
double double_click_probability(const LinkParameters& link);

/// denied, with the number that is out of place, when the photocurrent exceeds `photocurrent_limit_a` plus what the avalanches explain, when
/// double clicks are too few or too many for this link, or when one detector fires much more often than the other. A receiver that has no
/// photocurrent monitor must say so by photocurrent_limit_a = 0.
Result<void> check_monitor(const MonitorRecord& record, const LinkParameters& link);

}  // namespace qanat::qkd
