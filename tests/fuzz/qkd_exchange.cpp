// target: qanat_qkd
#include "quantum/qkd/process/exchange.hpp"

using namespace qanat;
using namespace qanat::qkd;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  const ByteView input(octets, size);
  if (const auto exchange = parse_exchange(input); exchange && !equal(write_exchange(*exchange), input)) __builtin_trap();
  return 0;
}
