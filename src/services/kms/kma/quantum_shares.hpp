// The quantum key shares of one agreement.
#pragma once

#include <vector>

#include "base/clock.hpp"
#include "base/secret.hpp"
#include "wire/qfc2.hpp"

namespace qanat::kms {

struct QuantumShares {
  std::vector<wire::ShareRef> refs;
  std::vector<Secret> keys;          // same order
  std::vector<std::uint8_t> relays;  // on the path of each; same order
  bool quantum_grade = true;  // false if any of them travelled without a site key
  UnixMs fetch_until_ms = 0;  // until then the far end surely keeps all of them; 0: the QKM has not said
};

/// What a working key rests on.
struct RestsOn {
  wire::Assurance assurance = wire::Assurance::local_rng;
  std::uint8_t n_paths = 0;   // different QKD paths that the quantum keys in it came over
  std::uint8_t path_min = 0;  // relays on the shortest of them
};
/// By these of the shares (places in `refs`), which went into it. So both KMSs say the same, whatever else either had taken or fetched; of the grade each speaks
/// for its own site.
RestsOn rests_on(const QuantumShares& shares, const std::vector<std::size_t>& used);

}  // namespace qanat::kms
