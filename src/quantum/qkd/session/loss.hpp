// How much light a link loses, measured on a block that it made: what the QKM and the controller are told of it.
#pragma once

#include <optional>

#include "quantum/qkd/session/settings.hpp"

namespace qanat::qkd {

/// What a photon that leaves Alice has to overcome until a detector that is ready for it fires, in dB: fibre, receiver, detection efficiency and gate
/// together, an estimate of -10 log10 of LinkParameters::transmittance(). Not in it:
///  - dead time. Gates in which detectors were blind are left out: each of the clicks that Bob collected (clicks_needed) blinds both, or one of them, for
///    `dead_time_s` (non-paralyzable: light does not prolong it), and `recovery_time_s` counts as that much more. This is all that is taken from the
///    link's optics; distance, losses and efficiency of the settings do not enter, so the result can be held against them.
///  - clicks without light. Dark counts and afterpulses are as many whatever a pulse's intensity is, and go out with the difference between the
///    brightest intensity and the weakest.
/// `report` is of a block that was made under `settings`. Empty when its counts do not tell: nothing was sent or seen, bright pulses clicked no more
/// often than faint ones, the detectors would have been blind all the time, or the counts do not look like a block of these settings.
std::optional<double> loss_db(const SessionSettings& settings, const BlockReport& report);

}  // namespace qanat::qkd
