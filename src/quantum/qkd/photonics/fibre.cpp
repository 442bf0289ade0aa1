#include "quantum/qkd/photonics/fibre.hpp"

#include "base/check.hpp"

namespace qanat::qkd {

SimulatedFibre::SimulatedFibre(const LinkParameters& parameters, const Secret& seed, const RunId& run)
    : light_(parameters),
      detectors_(parameters),
      random_(fibre_key(seed, run, "qanat simulated fibre: clicks")),
      quiet_key_(fibre_key(seed, run, "qanat simulated fibre: quiet pulses")),
      next_event_(light_.quiet_gates(random_)) {
  CHECK(seed.size() == fibre_seed_size);
}

Click SimulatedFibre::next() {
  for (;;) {
    // Events that fall on a blind receiver are as good as none; they have no memory, so the search begins anew where it can see.
    if (next_event_ < detectors_.ready_from()) next_event_ = detectors_.ready_from() + light_.quiet_gates(random_);
    const std::uint64_t afterpulse = detectors_.next_afterpulse();
    const std::uint64_t gate = std::min(next_event_, afterpulse);
    const GateEvent event = gate == next_event_ ? light_.eventful(random_) : light_.quiet(random_);
    if (gate == next_event_) next_event_ = gate + 1 + light_.quiet_gates(random_);
    const unsigned fired = detectors_.fire(gate, event, random_);
    if (fired == 0) continue;
    const bool is_double = fired == 3U;
    return {.index = gate,
            .alice_basis = event.alice_basis,
            .intensity = event.intensity,
            .alice_bit = event.alice_bit,
            .photons = event.photons,
            .bob_basis = event.bob_basis,
            // Lim et al. assume that a double click becomes a random bit: dropping it would let an attacker steer which events count.
            .bob_bit = is_double ? random_.coin() : fired == 2U,
            .is_double = is_double,
            .fired = fired,
            .is_forced = event.forced != 0};
  }
}

Click SimulatedFibre::quiet_pulse(std::uint64_t index) const {
  const GateEvent event = light_.quiet_choice(words_at(quiet_key_, index));
  Click click;
  click.index = index;
  click.alice_basis = event.alice_basis;
  click.intensity = event.intensity;
  click.alice_bit = event.alice_bit;
  return click;
}

}  // namespace qanat::qkd
