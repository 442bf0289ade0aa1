// The record of security events: append-only, one JSON object per line, each line carrying the hash of the one before, fsynced before the
// action it records is answered. Secrets never go in.
#pragma once

#include <filesystem>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

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

class Log {
 public:
  /// Opens or creates; verifies the whole chain first (a half-written last line, left by a crash, is cut off and recorded). `internal` if a line was altered.
  static Result<std::unique_ptr<Log>> open(const std::filesystem::path& file, std::string element, const Clock& clock);
  virtual ~Log() = default;
  /// Durable when it returns. If it cannot be written the action must be refused.
  virtual Result<void> append(const Event& event) = 0;
};

/// Number of records; `internal` names the first line that does not fit.
Result<std::size_t> verify(const std::filesystem::path& file);

}  // namespace qanat::audit
