// target: qanat_wire
// Steps 4 and 11, with what KeyDeliver seals and the certificate chains of enrolment.
#include "qfc2_parse.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  using namespace qanat;
  using namespace qanat::wire;
  for (const crypto::Suite& suite : crypto::all_suites()) {
    const auto payload = parse_payload(suite, Secret::copy_of({octets, size}));
    if (!payload) continue;
    const auto again = encode_payload(suite, *payload);
    if (!again || !equal(again->reveal(), {octets, size})) std::abort();
  }
  if (const auto chain = parse_chain({octets, size})) {
    const auto again = encode_chain(*chain);
    if (!again || !equal(*again, {octets, size})) std::abort();
  }
  return fuzz<KeyRequest, KeyDeliver, DeliverAck, Reject>(octets, size);
}
