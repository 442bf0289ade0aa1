#include "quantum/qkd/reconciliation/cascade_ends.hpp"

#if defined(__x86_64__)
#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "quantum/qkd/reconciliation/cascade_frames.hpp"
#include "quantum/qkd/reconciliation/cascade_subset.hpp"

// Everything from here on may use these instructions; it runs only after has_fast_path() has asked the processor for them. Headers with functions
// that others share stand above: what follows is in a namespace of this file alone, so no other file can get a copy compiled this way.
#define QANAT_CASCADE_PROCESSOR with_bmi
#pragma clang attribute push(__attribute__((target("avx2,bmi,bmi2,lzcnt,popcnt"))), apply_to = function)
// NOLINTBEGIN(bugprone-suspicious-include): the same sources a second time, for other processors
#include "quantum/qkd/reconciliation/cascade_corrector.cpp"
#include "quantum/qkd/reconciliation/cascade_pieces.cpp"
#include "quantum/qkd/reconciliation/cascade_reference.cpp"
// NOLINTEND(bugprone-suspicious-include)
#pragma clang attribute pop

namespace qanat::qkd::cascade {

const Ends& bmi_ends() noexcept {
  static constexpr Ends fast{.reference = [](const ReconciliationSetup& setup, const Secret& key) -> std::unique_ptr<ReconciliationReference> {
                               return std::make_unique<Reference>(setup, key, kernels());
                             },
                             .corrector = [](const ReconciliationSetup& setup, Secret key) -> std::unique_ptr<ReconciliationCorrector> {
                               return std::make_unique<Corrector>(setup, std::move(key), kernels());
                             }};
  return fast;
}

}  // namespace qanat::qkd::cascade
#else
namespace qanat::qkd::cascade {
const Ends& bmi_ends() noexcept { return portable_ends(); }
}  // namespace qanat::qkd::cascade
#endif
