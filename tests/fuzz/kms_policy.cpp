// target: qanat_points
// Any octets as what CSO says to a KMS, or a KMS to CSO: refused, or the same once it is written and read again.
#include <cstddef>
#include <cstdint>

#include "base/check.hpp"
#include "points/kms_policy.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  using namespace qanat;
  const auto json = wire::Json::parse(ByteView(octets, size));
  if (!json) return 0;
  if (const auto policy = points::read_kms_policy(*json)) CHECK(points::read_kms_policy(points::to_json(*policy)).value() == *policy);
  if (const auto state = points::read_kms_state(*json)) CHECK(points::read_kms_state(points::to_json(*state)).value() == *state);
  return 0;
}
