// The KMS's database as KP keeps it: guarded (store/guard.hpp), its anchor beside it, each opening on record.
#pragma once

#include "node/node.hpp"
#include "store/guard.hpp"

namespace qanat::kms {

/// Opens it, or refuses, on record, what is not as this KMS left it. That a database without a guard is one from before there were guards is believed only where
/// the audit record, whose checkpoints a witness cosigns, knows of none.
/// A database in PostgreSQL has no guard: its rows are changed by several processes, and which of them was the last to change what an anchor on one machine would
/// speak of is not known there. It is said in the log and on record.
struct Database {
  std::unique_ptr<store::Store> store;
  store::GuardedStore* guard = nullptr;  // the same object; nullptr in PostgreSQL
};
Result<Database> open_kms_database(node::Node& node, std::function<Result<void>(store::Transaction&)> on_other_history = {});
/// The guarded one, in its file.
Result<std::unique_ptr<store::GuardedStore>> open_database(node::Node& node);
/// The operator's explicit step after such a refusal, with the KMS stopped (qanat kms-database accept). The texts say what was found wrong. On record with the
/// operator's reason. What could be used twice is destroyed at the next start.
Result<std::vector<std::string>> accept_database(node::Node& node, std::string_view reason);

}  // namespace qanat::kms
