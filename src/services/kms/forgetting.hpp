// What the KMS forgets in the background: what is past its time and of no use to anybody, a bounded number each time.
#pragma once

#include "services/kms/settings.hpp"
#include "store/store.hpp"

namespace qanat::kms {

/// To be called every second or so. Each table by itself: a row that was changed underneath, which the guard does not let go (store/guard.hpp), keeps nothing
/// else from being forgotten. The first failure, if there was one.
Result<void> forget_what_is_over(store::Store& store, const PolicySettings& policy, UnixMs now);

}  // namespace qanat::kms
