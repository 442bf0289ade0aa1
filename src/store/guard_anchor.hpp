// The anchor: a small file beside a guarded database (guard.hpp) that says between which epochs the database must be. Private to store.
//
// It is written before an epoch beyond its ceiling comes into the database, and its floor is an epoch that is on the disk. So a process that is killed leaves,
// wherever that happens, a database between the two; an older copy of the database is below the floor.
#pragma once

#include <filesystem>
#include <optional>

#include "base/result.hpp"
#include "base/secret.hpp"
#include "crypto/suite.hpp"

namespace qanat::store {

struct Anchor {
  std::int64_t floor = 0;
  std::int64_t ceiling = 0;
  bool operator==(const Anchor&) const = default;
};

/// One line: "qanat-anchor 1 <shard> <floor> <ceiling> <HMAC in hexadecimal>".
std::string write_anchor(const Anchor& anchor, std::string_view shard, crypto::Hash hash, const Secret& key);
/// `denied` for anything that write_anchor() did not make for this shard under this key.
Result<Anchor> parse_anchor(std::string_view text, std::string_view shard, crypto::Hash hash, const Secret& key);

/// Takes the place of the file that is there, whole or not at all, and is on the disk before this returns.
Result<void> place_anchor(const std::filesystem::path& file, std::string_view text);
/// Nothing if there is none.
Result<std::optional<std::string>> read_anchor(const std::filesystem::path& file);

}  // namespace qanat::store
