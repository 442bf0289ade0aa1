// Small files beside the audit log: replaced whole, so that a reader, and who opens them after a crash, sees the old octets or the new ones and never a
// part. For the audit record's own code, its witness, and the behaviour records that wait.
#pragma once

#include <filesystem>
#include <optional>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace qanat::audit {

/// Whether the new octets must be on the disk before the call returns. `later` is for what can be made again.
enum class Durability : std::uint8_t { later, now };

/// Mode 0600; folders on the way are made, mode 0700. `internal` if it cannot be written (no room, no right): the old file stands.
Result<void> replace_file(const std::filesystem::path& file, ByteView octets, Durability durability);
/// The file's octets, or nothing if there is none; `internal` if it is longer than `octets_max` or cannot be read.
Result<std::optional<Bytes>> read_small_file(const std::filesystem::path& file, std::size_t octets_max);

}  // namespace qanat::audit
