#include "quantum/qkd/reconciliation/cascade_ends.hpp"

#include <utility>

#include "quantum/qkd/reconciliation/cascade_corrector.hpp"
#include "quantum/qkd/reconciliation/cascade_reference.hpp"

namespace qanat::qkd::cascade {

const Ends& portable_ends() noexcept {
  static constexpr Ends portable{.reference = [](const ReconciliationSetup& setup, const Secret& key) -> std::unique_ptr<ReconciliationReference> {
                                   return std::make_unique<Reference>(setup, key, portable_kernels());
                                 },
                                 .corrector = [](const ReconciliationSetup& setup, Secret key) -> std::unique_ptr<ReconciliationCorrector> {
                                   return std::make_unique<Corrector>(setup, std::move(key), portable_kernels());
                                 }};
  return portable;
}

const Ends& ends() noexcept { return has_fast_path() ? bmi_ends() : portable_ends(); }

}  // namespace qanat::qkd::cascade
