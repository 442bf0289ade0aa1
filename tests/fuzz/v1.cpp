// target: qanat_wire
#include "wire/v1.hpp"

#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  using namespace qanat;
  const ByteView view(octets, size);
  if (const auto message = wire::v1::parse_application(view)) {
    if (!equal(wire::v1::encode(*message).value(), view)) std::abort();
  }
  if (const auto message = wire::v1::parse_distribution(view)) {
    if (!equal(wire::v1::encode(*message).value(), view)) std::abort();
  }
  return 0;
}
