// Brings a database to the version that the program knows. Private to store.
#pragma once

#include <span>

#include "base/result.hpp"
#include "store/database.hpp"

namespace qanat::store {

/// Runs the migrations that `schema_version` does not list yet, each in a transaction of its own. `invalid_argument` unless the versions are
/// 1, 2, 3 …; `conflict` for a database of a later version; `internal` if a migration fails (nothing of it stays) or leaves a table
/// that is not STRICT.
Result<void> migrate(Database& database, std::span<const Migration> migrations);

}  // namespace qanat::store
