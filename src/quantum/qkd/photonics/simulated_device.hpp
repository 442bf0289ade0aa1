// The two device drivers of a simulated link. Alice and Bob are separate processes with only a classical channel between them, so the
// quantum channel itself is simulated: both drivers are given the same secret seed (`qanat up` names it "simulated fibre"), compute
// the same events from it, and each hands out its own half only. The key's secrecy then rests on that seed: this is a simulation of
// a link, not a link.
#pragma once

#include <memory>
#include <optional>

#include "quantum/qkd/photonics/fibre.hpp"

namespace qanat::qkd {

/// `parameters` invalid or a seed of the wrong size: invalid_argument.
Result<std::unique_ptr<AliceDevice>> open_simulated_alice(const LinkParameters& parameters, Secret fibre_seed);
Result<std::unique_ptr<BobDevice>> open_simulated_bob(const LinkParameters& parameters, Secret fibre_seed);

}  // namespace qanat::qkd
