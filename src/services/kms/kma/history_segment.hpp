// The files of the history library's archive (key_history.hpp): a line that says which segment it is, then a line of JSON for each key, as any tool reads them.
// A file grows at its end and is otherwise never changed. Over its lines there is a hash chain (record_chain.hpp), whose first link is the line that has the
// end of the segment before: all segments of a KMS are one chain.
#pragma once

#include <filesystem>
#include <functional>
#include <istream>
#include <string>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace qanat::kms {

inline constexpr std::size_t segment_line_max = 16384;  // octets

struct SegmentHead {
  std::string kms;
  std::int64_t life = 0;    // of the database (incarnation.hpp): what a restore brings back does not write where its successor has written
  std::int64_t number = 0;  // from 1
  Bytes previous;           // the digest of the segment before; empty for the first

  /// "keys-0-1.jsonl"
  [[nodiscard]] std::string file_name() const;
  [[nodiscard]] std::string line() const;
};

/// How far a segment is. What stands behind that in its file is not of the archive: a process was killed before the database knew of it.
struct SegmentExtent {
  std::int64_t records = 0;
  std::int64_t octets = 0;
  Bytes digest;

  static SegmentExtent begun_with(std::string_view head);
  void add(std::string_view line);
  bool operator==(const SegmentExtent&) const = default;
};

/// Puts `text` behind the first `octets` octets, in place of what is there; on the disk when this returns. Without any it begins the file, mode 0600, in a
/// folder that is made if there is none; a file of that name which is no beginning of `text` becomes "….former-1" (2, 3 …). `internal` if the file is shorter
/// than that, or not there: somebody else has cut it or taken it away.
Result<void> extend_segment(const std::filesystem::path& file, std::int64_t octets, std::string_view text);
/// The line that begins at this octet. not_found if there is no such file, `internal` if no line ends there within segment_line_max.
Result<std::string> line_of_segment(const std::filesystem::path& file, std::int64_t place);
/// Goes through the first `octets` octets, each line but the first to `each`; what they are. invalid_argument if they end before, are no lines, or `each`
/// fails.
Result<SegmentExtent> read_segment(std::istream& in, std::int64_t octets, const std::function<Result<void>(std::string_view line)>& each);

}  // namespace qanat::kms
