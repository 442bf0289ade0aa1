// target: qanat_points
// Any octets as evidence of a KMS: refused, or the same text each time it is written and read again.
#include <cstddef>
#include <cstdint>

#include "base/check.hpp"
#include "points/kms_evidence.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  using namespace qanat;
  const auto json = wire::Json::parse(ByteView(octets, size));
  if (!json) return 0;
  const auto evidence = points::read_kms_evidence(*json);
  if (!evidence) return 0;
  const std::string written = points::to_json(*evidence).dump();
  CHECK(points::to_json(points::read_kms_evidence(wire::Json::parse(written).value()).value()).dump() == written);
  return 0;
}
