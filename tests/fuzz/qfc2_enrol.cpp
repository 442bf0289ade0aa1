// target: qanat_wire
// Steps 1 and 2.
#include "qfc2_parse.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  using namespace qanat::wire;
  return fuzz<Enrol, EnrolDeliver, EnrolReceipt>(octets, size);
}
