// The quantum key shares of one agreement.
#pragma once

#include <vector>

#include "base/clock.hpp"
#include "base/secret.hpp"
#include "wire/qfc2.hpp"

namespace qanat::kms {

struct QuantumShares {
  std::vector<wire::ShareRef> refs;
  std::vector<Secret> keys;  // same order
  std::uint8_t relays_min = 0;
  bool quantum_grade = true;  // false if any of them travelled without a site key
  UnixMs fetch_until_ms = 0;  // until then the far end surely keeps all of them; 0: the QKM has not said

  [[nodiscard]] wire::Assurance assurance(std::size_t used) const;
};

}  // namespace qanat::kms
