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
struct Accepted {
  std::vector<std::string> findings;  // what was wrong
  std::int64_t destroyed = 0;         // working keys that could be delivered
};
/// The operator's explicit step after such a refusal, with the KMS stopped (qanat kms accept-database). On record with the operator's reason. It may be an earlier
/// copy: with the rows begins a new life (kma/incarnation.hpp), which has nothing that could be used twice and takes no message of before `not_before_ms`. Charged
/// keys stay: a terminal names no index twice, and what it said before is not taken.
Result<Accepted> accept_database(node::Node& node, std::string_view reason, UnixMs not_before_ms);

}  // namespace qanat::kms
