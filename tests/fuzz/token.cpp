// target: qanat_wire
#include "wire/token.hpp"
#include "base/check.hpp"

// Whatever parses has one encoding: the one that was read.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  const auto parsed = qanat::wire::parse<qanat::wire::Token>({octets, size});
  if (!parsed) return 0;
  const auto again = qanat::wire::encode(*parsed->suite, parsed->header.policy_epoch, parsed->message);
  CHECK(again && qanat::equal(*again, parsed->header_and_body()));
  return 0;
}
