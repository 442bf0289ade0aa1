// One quantum link in the field's own terms: the fibre, the receiver, the detectors (names as in YD/T 3907.2 and in Lim et al.,
// PRA 89, 022307) and the sender's choices.
#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace qanat::qkd {

/// Key basis X gives the key, check basis Z bounds the eavesdropper (Lim et al. 2014, notation).
enum class Basis : std::uint8_t { key_x, check_z };
/// Which of the three intensities a pulse had: signal mu1, decoy mu2, vacuum-like mu3.
enum class Intensity : std::uint8_t { signal, decoy, vacuum };
inline constexpr std::size_t intensity_count = 3;
inline constexpr std::array all_intensities{Intensity::signal, Intensity::decoy, Intensity::vacuum};
constexpr std::size_t index_of(Intensity intensity) { return static_cast<std::size_t>(intensity); }

struct LinkParameters {
  double distance_km = 50.0;
  double attenuation_db_per_km = 0.2;
  double receiver_loss_db = 1.5;
  double detector_efficiency = 0.25;
  double dark_count_probability = 6e-7;                                         // per gate and detector
  double afterpulse_probability = 5e-3;                                         // that a click makes the same detector fire in the first live gate after it
  double misalignment_error = 5e-3;                                             // probability that a photon in the right basis reaches the wrong detector
  double gate_rate_hz = 1e9;                                                    // pulses, and gates, per second
  double dead_time_s = 50e-9;                                                   // both detectors are blind after a click
  std::array<double, intensity_count> intensity{0.48, 0.21, 2e-4};              // mean photon numbers mu1 > mu2 + mu3, mu2 > mu3 >= 0
  std::array<double, intensity_count> intensity_probability{0.14, 0.56, 0.30};  // of choosing each; they add up to 1
  double key_basis_probability = 0.70;                                          // q_x, of either side choosing X
  double intercepted_share = 0.0;  // pulses that an eavesdropper measures in a random basis and sends on (for demonstrations)

  /// Of one photon: fibre, receiver and detector together.
  [[nodiscard]] double transmittance() const;
  /// Blind gates after a click.
  [[nodiscard]] std::uint64_t dead_gates() const;
  /// That a live gate clicks, without afterpulses: sum over k of p_k D_k.
  [[nodiscard]] double click_probability() const;
  /// Fails with the first value that is out of range.
  [[nodiscard]] Result<void> validate() const;
  /// All values in a fixed order: what both ends compare before they work together.
  [[nodiscard]] Bytes encode() const;
};

}  // namespace qanat::qkd
