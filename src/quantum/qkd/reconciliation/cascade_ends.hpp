// Cascade's two ends by kind of processor. All say the same to each other; they differ in speed.
#pragma once

#include <memory>

#include "quantum/qkd/reconciliation/reconciliation.hpp"

namespace qanat::qkd::cascade {

/// For a set-up that has passed check_setup().
struct Ends {
  std::unique_ptr<ReconciliationReference> (*reference)(const ReconciliationSetup& setup, const Secret& key);
  std::unique_ptr<ReconciliationCorrector> (*corrector)(const ReconciliationSetup& setup, Secret key);
};

const Ends& portable_ends() noexcept;
/// For x86-64 with AVX2, BMI and LZCNT (x86-64-v3): a search is little else than shifts and counts of leading zeros. portable_ends() elsewhere.
const Ends& bmi_ends() noexcept;
/// The fastest that this processor has.
const Ends& ends() noexcept;

}  // namespace qanat::qkd::cascade
