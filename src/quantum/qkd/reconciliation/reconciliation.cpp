#include "quantum/qkd/reconciliation/reconciliation.hpp"

#include "quantum/qkd/reconciliation/cascade_ends.hpp"
#include "quantum/qkd/reconciliation/cascade_layout.hpp"
#include "quantum/qkd/reconciliation/ldpc.hpp"

namespace qanat::qkd {

std::string_view name(ReconciliationMethod method) noexcept {
  switch (method) {
    case ReconciliationMethod::cascade:
      return "cascade";
    case ReconciliationMethod::ldpc:
      return "ldpc";
  }
  return "unknown";
}

Result<std::unique_ptr<ReconciliationReference>> make_reference(const ReconciliationSetup& setup, const Secret& key) {
  switch (setup.method) {
    case ReconciliationMethod::cascade:
      TRY(cascade::check_setup(setup, key.size()));
      return cascade::ends().reference(setup, key);
    case ReconciliationMethod::ldpc:
      return make_ldpc_reference(setup, key);
  }
  return fail(ErrorCode::invalid_argument, "error correction: unknown method");
}

Result<std::unique_ptr<ReconciliationCorrector>> make_corrector(const ReconciliationSetup& setup, Secret key) {
  switch (setup.method) {
    case ReconciliationMethod::cascade:
      TRY(cascade::check_setup(setup, key.size()));
      return cascade::ends().corrector(setup, std::move(key));
    case ReconciliationMethod::ldpc:
      return make_ldpc_corrector(setup, std::move(key));
  }
  return fail(ErrorCode::invalid_argument, "error correction: unknown method");
}

}  // namespace qanat::qkd
