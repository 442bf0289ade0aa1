// Backup and restoration of a KMS's database, such that no key which was in it when it was copied is ever delivered from the copy.
#pragma once

#include <filesystem>
#include <optional>

#include "node/node.hpp"
#include "services/kms/settings.hpp"

namespace qanat::kms {

/// Copies the database of a KMS that does not run (`conflict` otherwise) into a new file. In the copy all keys that could be delivered are destroyed, and it
/// does not serve before restore() has been there. A PostgreSQL database is copied by the server's own means: invalid_argument.
Result<void> backup(node::Node& node, const std::filesystem::path& file);

struct Restored {
  std::int64_t destroyed = 0;  // working keys that were still there
  UnixMs not_before_ms = 0;    // applications and sessions of an earlier time are refused
};
/// Makes what the operator has brought back serve: a copy made by backup(), which takes the place of the database, or the database as it stands (a PostgreSQL
/// server that was restored, a file that was put there). `conflict` while a front end runs. On record before it serves.
Result<Restored> restore(node::Node& node, const KmsSettings& settings, const std::optional<std::filesystem::path>& file);

}  // namespace qanat::kms
