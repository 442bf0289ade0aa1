// Step 10: what a working key is encapsulated to.
#pragma once

#include "node/node.hpp"
#include "services/kms/kp/known_terminals.hpp"

namespace qanat::kms {

/// `denied` unless the certificates of the terminal's encryption keys are good now (chain, validity, use, status) and of one bundle with its signing certificates.
Result<void> check_encryption_certificates(node::Node& node, const KnownTerminal& known, Deadline deadline);

}  // namespace qanat::kms
