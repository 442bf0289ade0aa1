// The KMS's database as KP keeps it: guarded (store/guard.hpp), its anchor beside it, each opening on record.
#pragma once

#include "node/node.hpp"
#include "store/guard.hpp"

namespace qanat::kms {

/// Opens it, or refuses, on record, what is not as this KMS left it. That a database without a guard is one from before there were guards is believed only where
/// the audit record, whose checkpoints a witness cosigns, knows of none.
Result<std::unique_ptr<store::GuardedStore>> open_database(node::Node& node);
/// The operator's explicit step after such a refusal, with the KMS stopped (qanat kms-database accept). The texts say what was found wrong. On record with the
/// operator's reason. What could be used twice is destroyed at the next start.
Result<std::vector<std::string>> accept_database(node::Node& node, std::string_view reason);

}  // namespace qanat::kms
