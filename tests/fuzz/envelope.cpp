// target: qanat_wire
#include "base/check.hpp"
#include "wire/envelope.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  const auto parsed = qanat::wire::parse_envelope({octets, size});
  if (parsed) CHECK(qanat::equal(qanat::wire::encode(*parsed), {octets, size}));
  return 0;
}
