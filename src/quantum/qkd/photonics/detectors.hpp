// Bob's two detectors and what each remembers: dead time, recovery, afterpulses. All of it in sequence, gate after gate, per detector.
#pragma once

#include <limits>
#include <vector>

#include "quantum/qkd/photonics/light.hpp"

namespace qanat::qkd {

class Detectors {
 public:
  static constexpr std::uint64_t never = std::numeric_limits<std::uint64_t>::max();

  explicit Detectors(const LinkParameters& parameters);

  /// The first gate in which some detector is ready.
  [[nodiscard]] std::uint64_t ready_from() const { return std::min(ready_from_[0], ready_from_[1]); }
  /// The next gate in which a ready detector would fire again because it fired; `never` if there is none.
  std::uint64_t next_afterpulse() { return afterpulses_.empty() ? never : discard_lost(); }
  /// What fires in this gate (mask), with what follows from it. Gates ascend from call to call.
  unsigned fire(std::uint64_t gate, const GateEvent& event, FibreRandom& random);

 private:
  struct Afterpulse {
    std::uint64_t gate;
    unsigned detector;
    bool operator>(const Afterpulse& other) const { return gate > other.gate; }
  };
  std::uint64_t discard_lost();
  unsigned take_afterpulses(std::uint64_t gate);
  [[nodiscard]] bool sees_one(std::uint64_t gate, std::size_t detector, unsigned photons, FibreRandom& random) const;
  void remember(std::uint64_t gate, unsigned fired, bool is_avalanche, FibreRandom& random);

  std::uint64_t dead_gates_;
  DeadTimeScope scope_;
  double recovery_gates_;
  double afterpulse_probability_;
  double afterpulse_decay_gates_;
  std::array<std::uint64_t, 2> ready_from_{};
  std::array<bool, 2> was_blind_{};      // before that, so that there is something to recover from
  std::vector<Afterpulse> afterpulses_;  // a heap, the earliest first
};

}  // namespace qanat::qkd
