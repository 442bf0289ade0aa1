// target: qanat_wire
// Injection over a wire, the file of a charge, and what both seal.
#include "qfc2_parse.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  using namespace qanat;
  using namespace qanat::wire;
  const ByteView view(octets, size);
  if (const auto payload = parse_charge(Secret::copy_of(view))) {
    const auto again = encode_charge(*payload);
    if (!again || !equal(again->reveal(), view)) std::abort();
  }
  if (const auto file = parse_charge_file(view)) {
    if (!equal(encode(*file), view)) std::abort();
  }
  return fuzz<ChargeRequest, ChargeDeliver, ChargeReceipt>(octets, size);
}
