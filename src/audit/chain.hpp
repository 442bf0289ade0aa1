// The lines of the audit log and the chain that binds them; no I/O, so that every octet of it can be tested and fuzzed.
//
// A line is one JSON object with its fields in this order and no white space, ended by LF:
//   {"n":1,"time":1700000000000,"element":"kms-a","action":"…","outcome":"success","subject":"…","object":"…","reason":"…",
//    "request_id":"…","prev":"<64 hex>","hash":"<64 hex>"}
// `n` counts from 1; `time` is Unix milliseconds; `prev` is the `hash` of the line before (64 zeros in the first); `hash` is SHA-256 of
// the object without its `hash` field, that is of everything up to `,"hash":` and a closing brace.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "audit/audit.hpp"
#include "base/bytes.hpp"
#include "base/result.hpp"

namespace qanat::audit {

/// A longer text in an event is cut at a character boundary and ends in "…".
inline constexpr std::size_t text_octets_max = 1024;
/// Texts per line: element, action, subject, object, reason, request_id. One octet takes at most six as \u00XX.
inline constexpr std::size_t line_octets_max = 6 * 6 * (text_octets_max + 3) + 512;

/// The text as it stands between the quotes of a JSON string: valid UTF-8 (octets that are not become U+FFFD), quotes, backslash and
/// control characters escaped, cut to text_octets_max.
std::string json_text(std::string_view text);

/// Where the chain stands: what the next line must carry.
struct Link {
  std::uint64_t lines = 0;
  std::string last_hash = std::string(64, '0');
};

/// The next line with its LF; moves `link` on.
std::string render_line(Link& link, std::string_view element, UnixMs time, const Event& event);

/// Takes a log in pieces of any size and checks line after line.
class ChainVerifier {
 public:
  /// With an element's name, lines of another element do not fit either.
  explicit ChainVerifier(std::string_view element = {}) : element_(json_text(element)) {}
  /// Called with each line (without LF) that has been checked; its failure is feed()'s.
  void on_line(std::function<Result<void>(std::string_view)> taken) { on_line_ = std::move(taken); }
  /// `internal`, naming the line and what is wrong with it. After a failure the verifier is of no further use.
  Result<void> feed(ByteView piece);
  [[nodiscard]] const Link& link() const noexcept { return link_; }
  /// Octets after the last LF: what a crash in the middle of a write leaves behind.
  [[nodiscard]] std::size_t unfinished_octets() const noexcept { return line_.size(); }

 private:
  Result<void> check_line(std::string_view line);
  std::string element_;
  std::string line_;  // what was read of the line that is not complete yet, at most line_octets_max
  Link link_;
  std::function<Result<void>(std::string_view)> on_line_;
};

}  // namespace qanat::audit
