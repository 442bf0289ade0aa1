// Mc-2 at the KMS: what it shows CMSP of itself.
#pragma once

#include "node/node.hpp"
#include "points/kms_evidence.hpp"
#include "services/kms/kma/ledger.hpp"
#include "store/store.hpp"

namespace qanat::kms {

/// Runs the self-tests again (their outcome is on record first), looks at random octets of the device, and counts. Takes some 50 ms.
Result<points::KmsEvidence> gather_evidence(node::Node& node, store::Store& store, Ledger& ledger);
/// Gathers and hands it to CMSP; its findings.
Result<std::vector<std::string>> show_evidence(node::Node& node, store::Store& store, Ledger& ledger, Deadline deadline);

}  // namespace qanat::kms
