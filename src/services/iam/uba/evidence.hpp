// What the rules ask of the register, answered from indexes and three small tables that are kept up with each record: the cost of a record does not grow with
// its subject's history. All in the caller's transaction, which brings the records in.
#pragma once

#include "services/iam/uba/rules.hpp"

namespace qanat::iam {

/// Takes a record into the tables. Once for each, before the rules look at any of the same report.
Result<void> take_in(store::Transaction& transaction, const StoredBehaviour& fresh);
/// What the rules that are on ask about it.
Result<Evidence> gather(store::Transaction& transaction, const RuleSettings& rules, const StoredBehaviour& fresh);
/// Drops what no rule asks about any more.
Result<void> prune(store::Transaction& transaction, const RuleSettings& rules, const Uid& uid, UnixMs now);

}  // namespace qanat::iam
