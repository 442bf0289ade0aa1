// What the rules ask of the register, answered from indexes and three small tables that are kept up with each record: what a record costs does not grow with
// its subject's history.
#pragma once

#include <utility>

#include "services/iam/uba/rules.hpp"

namespace qanat::iam {

/// What the records of a report bring to light, each with its subject. They stand in the register; once for each report, in the transaction that brings it in.
Result<std::vector<std::pair<Uid, Finding>>> judge(store::Transaction& transaction, const RuleSettings& rules, const std::vector<StoredBehaviour>& fresh,
                                                   UnixMs now);

}  // namespace qanat::iam
