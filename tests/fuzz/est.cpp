// target: qanat_wire
// Any octets as a body of EST and as the field Authorization: refused, or what they say says the same again.
#include <cstddef>
#include <cstdint>

#include "base/check.hpp"
#include "wire/est.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  using namespace qanat;
  if (const auto der = wire::parse_est_body({octets, size})) CHECK(wire::parse_est_body(as_bytes(wire::est_body(*der))).value() == *der);
  const auto credentials = wire::parse_basic_authorization(Secret::copy_of({octets, size}));
  if (!credentials) return 0;
  const auto again = wire::parse_basic_authorization(wire::basic_authorization(credentials->user, credentials->password));
  CHECK(again && again->user == credentials->user && equal_secret(again->password, credentials->password));
  return 0;
}
