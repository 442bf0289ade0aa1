// target: qanat_kms
// A file of the archive of keys that somebody else wrote: no crash; what is taken is as long as was asked for, and its lines make it up.
#include <cstdlib>
#include <sstream>

#include "services/kms/kma/history_segment.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qanat;
  if (size < 2) return 0;
  const std::int64_t octets = data[0] << 8 | data[1];
  std::istringstream in(std::string(as_text(ByteView(data, size).subspan(2))));
  std::int64_t records = 0;
  const auto read = kms::read_segment(in, octets, [&](std::string_view line) -> Result<void> {
    if (line.size() > kms::segment_line_max || line.contains('\n')) std::abort();
    ++records;
    return {};
  });
  if (read && (read->records != records || (octets > 0 && read->octets != octets))) std::abort();
  return 0;
}
