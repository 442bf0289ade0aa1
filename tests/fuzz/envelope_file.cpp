// target: qanat_terminal
// The header of a file encrypted by envelope: what is read is written back as it was.
#include "terminal/envelope_file.hpp"

#include "base/check.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qanat;
  const ByteView octets(data, size);
  if (const auto read = terminal::parse_envelope_header(octets)) {
    const auto again = terminal::encode_envelope_header(read->header);
    CHECK(again && equal(*again, octets.first(read->size)));
  }
  return 0;
}
