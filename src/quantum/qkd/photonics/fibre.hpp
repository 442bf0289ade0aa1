// Nature, simulated once: the clicks of one run, one after the other. Skips the gates in which nothing happens (geometric) and draws
// intensity, photon number, bases, bits and noise given that there is a click; the distribution is that of going gate by gate.
#pragma once

#include <memory>
#include <span>

#include "base/secret.hpp"
#include "crypto/aead.hpp"
#include "quantum/qkd/photonics/device.hpp"

namespace qanat::qkd {

inline constexpr std::size_t fibre_seed_size = 32;

/// A deterministic stream of random numbers from a secret key (AES-256 in counter mode).
class FibreRandom {
 public:
  explicit FibreRandom(Secret key) : key_(std::move(key)) {}
  std::uint64_t word();
  /// In [0, 1), 53 bits.
  double uniform() { return static_cast<double>(word() >> 11) * 0x1p-53; }
  bool chance(double probability) { return uniform() < probability; }
  bool coin() { return (word() & 1U) != 0; }
  /// Poisson with small mean, by inversion; `at_least_one` conditions on a count above zero.
  unsigned poisson(double mean);
  unsigned poisson_at_least_one(double mean);

 private:
  unsigned invert_poisson(double mean, double below);
  Secret key_;
  Secret buffer_;
  std::size_t at_ = 0;
  std::uint64_t chunk_ = 0;
};

/// Both halves of one event. Only the simulated devices read it, each its own half; tests read all.
struct Click {
  std::uint64_t index = 0;
  Basis alice_basis{};
  Intensity intensity{};
  bool alice_bit = false;
  unsigned photons = 0;  // that left Alice
  Basis bob_basis{};
  bool bob_bit = false;
  bool is_double = false;
};

class SimulatedFibre {
 public:
  /// `parameters` must be valid. `seed` (32 octets) stands in for the quantum channel: both devices are given the same.
  SimulatedFibre(const LinkParameters& parameters, const Secret& seed, const RunId& run);
  /// The next click.
  Click next();
  /// Alice's half at a pulse that did not click: the prior choice, the same whenever it is asked for.
  [[nodiscard]] Click quiet_pulse(std::uint64_t index) const;

 private:
  Click draw_click(std::uint64_t index, bool afterpulse);
  unsigned fired_detectors(const Click& click, unsigned detected);
  static Intensity pick(const std::array<double, intensity_count>& weights, double u);

  LinkParameters parameters_;
  double transmittance_;
  double click_probability_;
  std::array<double, intensity_count> click_weight_{};  // P(intensity | click)
  std::array<double, intensity_count> photon_share_{};  // P(a photon was detected | click, intensity)
  FibreRandom random_;
  Secret quiet_key_;
  std::uint64_t next_live_gate_ = 0;
  bool after_click_ = false;
  bool last_detector_ = false;
};

}  // namespace qanat::qkd
