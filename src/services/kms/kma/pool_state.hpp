// What a KMS says of its pools to CSO (Mo-2).
#pragma once

#include "node/node.hpp"
#include "points/kms_policy.hpp"
#include "services/kms/kma/ledger.hpp"
#include "store/store.hpp"

namespace qanat::kms {

/// Working keys by state, how many were delivered in the last minute, how many private keys history has (so many are counted as of working keys), and the quantum keys that the QKM has ready; without those where it does not say. Policy,
/// epoch and stocks are the caller's to put in.
Result<points::KmsState> state_of_pools(node::Node& node, store::Store& store, Ledger& ledger, Deadline deadline);

}  // namespace qanat::kms
