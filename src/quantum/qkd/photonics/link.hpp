// One quantum link in the field's own terms: the fibre, the receiver, the detectors (names as in YD/T 3907.2 and in Lim et al.,
// PRA 89, 022307), the sender's choices, and who sits on the line in a simulation.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

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
inline constexpr double brightest_pulse = 2.0;  // mean photons; a brighter source is not a decoy-state source

/// two_decoy: mu3 > 0 is sent. vacuum_weak: mu3 = 0 is sent. one_decoy: the third intensity is never sent (its probability is 0).
enum class DecoyProtocol : std::uint8_t { two_decoy, vacuum_weak, one_decoy };
std::string_view name(DecoyProtocol protocol) noexcept;

/// Which detectors a click blinds for the dead time: the whole receiver (gates are withheld from both) or the one that fired.
enum class DeadTimeScope : std::uint8_t { receiver, detector };
std::string_view name(DeadTimeScope scope) noexcept;
Result<DeadTimeScope> dead_time_scope_from_name(std::string_view text);

/// What a simulated eavesdropper does: photonics/eavesdropper.hpp.
enum class Attack : std::uint8_t { none, intercept_resend, photon_number_splitting, detector_blinding };
/// "none", "intercept-resend", "photon-number-splitting", "detector-blinding".
std::string_view name(Attack attack) noexcept;
Result<Attack> attack_from_name(std::string_view text);

struct Eavesdropper {
  Attack attack = Attack::none;
  double share = 1.0;  // of the pulses that are attacked, each independently

  /// 0 without an attack.
  [[nodiscard]] double attacked_share() const { return attack == Attack::none ? 0.0 : share; }
};

struct LinkParameters {
  // Fibre and receiver.
  double distance_km = 50.0;
  double attenuation_db_per_km = 0.2;
  double receiver_loss_db = 1.5;
  // Misalignment and finite extinction (visibility) together: that a photon in the right basis reaches the wrong detector. An extinction
  // ratio of r dB alone gives 1 / (1 + 10^(r/10)).
  double misalignment_error = 5e-3;
  // Detectors: two, one per bit value, alike.
  double detector_efficiency = 0.25;
  double dark_count_probability = 6e-7;  // per gate and detector
  double afterpulse_probability = 5e-3;  // that a click makes the same detector fire once more because it fired, counted after its dead time
  double afterpulse_decay_s = 100e-9;    // that second firing comes with this decay constant after the dead time
  double dead_time_s = 50e-9;
  DeadTimeScope dead_time_scope = DeadTimeScope::receiver;
  double recovery_time_s = 0.0;             // after the dead time the efficiency comes back as 1 - e^(-t / recovery time); 0: at once
  double timing_jitter_s = 10e-12;          // standard deviation of a photon's detection time
  double effective_gate_width_s = 100e-12;  // a photon whose detection falls outside is lost
  double gate_rate_hz = 1e9;                // gate frequency: pulses, and gates, per second
  double photocurrent_limit_a = 10e-6;      // mean current of one detector above which its monitor alarms; 0: the receiver has no such monitor
  // Source.
  std::array<double, intensity_count> intensity{0.48, 0.21, 2e-4};              // mean photon numbers mu1 > mu2 + mu3, mu2 > mu3 >= 0
  std::array<double, intensity_count> intensity_probability{0.14, 0.56, 0.30};  // of choosing each; they add up to 1; the third 0: one decoy
  double key_basis_probability = 0.70;                                          // q_x, of either side choosing X
  // Simulation only.
  Eavesdropper eavesdropper;

  [[nodiscard]] DecoyProtocol decoy_protocol() const;
  /// That a photon which fires the detector does so inside the gate: jitter against gate width.
  [[nodiscard]] double gate_acceptance() const;
  /// Of one photon: fibre, receiver, detector and gate together.
  [[nodiscard]] double transmittance() const;
  /// The same without the fibre: what Bob's apparatus makes of a photon at his door.
  [[nodiscard]] double receiver_transmittance() const;
  /// Blind gates after a click.
  [[nodiscard]] std::uint64_t dead_gates() const;
  /// That a live gate clicks, without afterpulses and without an eavesdropper: sum over k of p_k D_k.
  [[nodiscard]] double click_probability() const;
  /// Fails with the first value that is out of range.
  [[nodiscard]] Result<void> validate() const;
  /// All values in a fixed order: what both ends compare before they work together.
  [[nodiscard]] Bytes encode() const;
};

}  // namespace qanat::qkd
