// target: qanat_wire
// Step 9.
#include "qfc2_parse.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  using namespace qanat::wire;
  return fuzz<KmsOffer, KmsAccept, KmsConfirm>(octets, size);
}
