// Step 10: what a working key is encapsulated to.
#pragma once

#include "node/node.hpp"
#include "services/kms/kp/terminals.hpp"

namespace qanat::kms {

/// The terminal's encryption keys. `denied` unless their certificates are good now (chain, validity, use, status) and of one bundle with its signing
/// certificates.
Result<crypto::EncapsulationKey> certified_encryption_key(node::Node& node, const Terminal& terminal, Deadline deadline);

}  // namespace qanat::kms
