// The simulated attacks, and what is known about each:
//   intercept_resend         measures a pulse in a random basis and sends on what she found. Half of the time the basis is wrong and the bit
//                            arrives random: a quarter of errors.
//   photon_number_splitting  counts the photons without disturbing them, keeps one of every pulse that has several, sends the rest on without
//                            the fibre's loss, and blocks single photons until the clicks are as many as before. No errors, and after the
//                            bases are announced she knows every bit; but the intensities' click rates no longer fit together.
//   detector_blinding        stands at Bob's door with a receiver like his, keeps his detectors blind by bright light and makes the one that she
//                            wants click by a still brighter pulse. It clicks only if his basis is hers. No errors, about half of the clicks;
//                            but the light makes a current, and there are no double clicks.
#pragma once

#include <array>

#include "quantum/qkd/photonics/link.hpp"

namespace qanat::qkd {

/// Largest photon number of a pulse that is told from fewer; a pulse of mean 2 has more with a probability below 10^-24.
inline constexpr unsigned photons_max = 32;

/// How the splitting attack is set, so that the clicks over all intensities are as many as without it (or as near as she gets).
struct SplittingPlan {
  double single_pass = 0.0;  // share of single photons that she lets pass
  double forwarded = 0.0;    // that a photon which she sends on is detected: her own channel and Bob's receiver
  double receiver = 0.0;     // the same for a single photon that she lets pass
  /// Y_n: that a pulse of n photons is detected (dark counts apart).
  [[nodiscard]] double yield(unsigned photons) const;
  /// The same averaged over a coherent pulse of this mean.
  [[nodiscard]] double gain(double mean) const;
};
SplittingPlan plan_splitting(const LinkParameters& link);

/// e^-mean mean^n / n! for n = 0 … photons_max.
std::array<double, photons_max + 1> poisson_weights(double mean);

}  // namespace qanat::qkd
