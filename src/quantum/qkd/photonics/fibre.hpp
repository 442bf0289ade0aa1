// Nature, simulated once: the clicks of one run, one after the other. Skips the gates in which nothing happens (geometric) and draws
// intensity, photon number, bases, bits and noise given that something does; the distribution is that of going gate by gate.
#pragma once

#include "quantum/qkd/photonics/detectors.hpp"

namespace qanat::qkd {

inline constexpr std::size_t fibre_seed_size = 32;

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
  unsigned fired = 0;      // mask of detectors
  bool is_forced = false;  // by bright light
};

class SimulatedFibre {
 public:
  /// `parameters` must be valid. `seed` (32 octets) stands in for the quantum channel: both devices are given the same.
  SimulatedFibre(const LinkParameters& parameters, const Secret& seed, const RunId& run);
  /// The next click.
  Click next();
  /// Alice's half at a pulse that did not click: the same whenever it is asked for.
  [[nodiscard]] Click quiet_pulse(std::uint64_t index) const;

 private:
  Light light_;
  Detectors detectors_;
  FibreRandom random_;
  Secret quiet_key_;
  std::uint64_t next_event_;  // the gate of the next event of light or darkness
};

}  // namespace qanat::qkd
