// The record of security events: append-only, one JSON object per line, each line carrying the hash of the one before, fsynced before the
// action it records is answered. Secrets never go in.
#pragma once

#include <filesystem>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "audit/merkle.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"

namespace qanat::audit {

enum class Outcome : std::uint8_t { success, refused, failure };
std::string_view name(Outcome outcome) noexcept;
/// Which outcome an error code is recorded as: a table with no default.
Outcome outcome_of(ErrorCode code) noexcept;

struct Event {
  std::string_view action;  // "km-1.application", "tls.handshake", "key.destroyed" …
  Outcome outcome{};
  std::string_view subject;  // who: SAN URI, uid
  std::string_view object;   // on what: sid_wk, key id, serial
  std::string_view reason;   // for refusals and failures
  std::string_view request_id;
};

/// Beside the file, in a folder of the same name without extension, stand the tiles of the Merkle tree over its lines (tiles.hpp) and its checkpoint
/// (checkpoints.hpp). The lines are the record; tiles are made from them.
class Log {
 public:
  /// Opens or creates; verifies first: the whole chain (a half-written last line, left by a crash, is cut off and recorded), and that the lines are those
  /// of the last checkpoint. Tiles that are missing are made; one that does not fit the lines is made anew and recorded. `internal` if a line was altered,
  /// or lines are gone that a tile or the checkpoint has.
  static Result<std::unique_ptr<Log>> open(const std::filesystem::path& file, std::string element, const Clock& clock);
  virtual ~Log() = default;
  /// Durable when it returns, in this order and with one wait for the disk. If they cannot be written their actions must be refused.
  virtual Result<void> append(std::span<const Event> events) = 0;
  Result<void> append(const Event& event) { return append(std::span(&event, 1)); }

  /// Writes the tiles of all lines that are on the disk; the value is the tree over them. After a failure append() refuses everything. Whoever owns the
  /// log calls this now and then: 32 octets wait for it per line.
  virtual Result<TreeHead> publish() = 0;
  /// append() fails with this from now on: what must stand beside the lines could not be written.
  virtual void refuse(Error why) = 0;
  /// The folder of the tiles and the checkpoint.
  [[nodiscard]] virtual const std::filesystem::path& folder() const noexcept = 0;
  /// The published tree's subtrees at that size, out of the tiles on the disk. The log must outlive the reader.
  [[nodiscard]] virtual SubtreeReader published(std::uint64_t size) const = 0;
};

/// Where the tiles of the log in `file` are.
std::filesystem::path tree_folder(const std::filesystem::path& file);

/// Number of records; `internal` names the first line that does not fit.
Result<std::size_t> verify(const std::filesystem::path& file);

}  // namespace qanat::audit
