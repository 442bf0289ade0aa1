#include "quantum/qkd/photonics/detectors.hpp"

#include <algorithm>
#include <bit>

namespace qanat::qkd {
namespace {

constexpr double longest_delay_gates = 0x1p60;

}  // namespace

Detectors::Detectors(const LinkParameters& parameters)
    : dead_gates_(parameters.dead_gates()),
      scope_(parameters.dead_time_scope),
      recovery_gates_(parameters.recovery_time_s * parameters.gate_rate_hz),
      afterpulse_probability_(parameters.afterpulse_probability),
      afterpulse_decay_gates_(parameters.afterpulse_decay_s * parameters.gate_rate_hz) {}

std::uint64_t Detectors::discard_lost() {
  // A carrier that is freed while its detector is blind starts nothing.
  while (!afterpulses_.empty() && afterpulses_.front().gate < ready_from_[afterpulses_.front().detector]) {
    std::ranges::pop_heap(afterpulses_, std::greater());
    afterpulses_.pop_back();
  }
  return afterpulses_.empty() ? never : afterpulses_.front().gate;
}

unsigned Detectors::take_afterpulses(std::uint64_t gate) {
  unsigned fired = 0;
  while (next_afterpulse() <= gate) {
    fired |= 1U << afterpulses_.front().detector;
    std::ranges::pop_heap(afterpulses_, std::greater());
    afterpulses_.pop_back();
  }
  return fired;
}

bool Detectors::sees_one(std::uint64_t gate, std::size_t detector, unsigned photons, FibreRandom& random) const {
  if (recovery_gates_ <= 0.0 || !was_blind_[detector]) return photons > 0;
  // Counted from the end of the dead time to the middle of the gate.
  const double missing = std::exp(-(static_cast<double>(gate - ready_from_[detector]) + 0.5) / recovery_gates_);
  for (unsigned i = 0; i < photons; ++i) {
    if (!random.chance(missing)) return true;
  }
  return false;
}

unsigned Detectors::fire(std::uint64_t gate, const GateEvent& event, FibreRandom& random) {
  unsigned fired = event.dark;
  if (!afterpulses_.empty()) {
    const unsigned again = take_afterpulses(gate);
    // A detector under bright light is a photodiode: no avalanche, hence no afterpulse.
    if (!event.is_blinded) fired |= again;
  }
  unsigned ready = 0;
  for (std::size_t detector = 0; detector < 2; ++detector) {
    if (gate < ready_from_[detector]) continue;
    ready |= 1U << detector;
    fired |= static_cast<unsigned>(sees_one(gate, detector, event.arrivals[detector], random)) << detector;
  }
  fired = (fired | event.forced) & ready;
  if (fired != 0) remember(gate, fired, !event.is_blinded, random);
  return fired;
}

void Detectors::remember(std::uint64_t gate, unsigned fired, bool is_avalanche, FibreRandom& random) {
  const std::uint64_t ready = gate + 1 + dead_gates_;
  const unsigned blind = scope_ == DeadTimeScope::receiver ? 3U : fired;
  for (unsigned detector = 0; detector < 2; ++detector) {
    if ((blind >> detector & 1U) == 0) continue;
    ready_from_[detector] = ready;
    was_blind_[detector] = true;
  }
  if (!is_avalanche) return;
  // The lowest detector that fired, then the other if it did too.
  for (unsigned left = fired; left != 0; left &= left - 1) {
    if (!random.chance(afterpulse_probability_)) continue;
    const double delay = std::min(random.exponential() * afterpulse_decay_gates_, longest_delay_gates);
    afterpulses_.push_back({.gate = ready + static_cast<std::uint64_t>(delay), .detector = static_cast<unsigned>(std::countr_zero(left))});
    std::ranges::push_heap(afterpulses_, std::greater());
  }
}

}  // namespace qanat::qkd
