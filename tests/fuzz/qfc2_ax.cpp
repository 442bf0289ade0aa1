// target: qanat_wire
// Step 12.
#include "qfc2_parse.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  using namespace qanat::wire;
  return fuzz<Ax1, Ax2, Ax3>(octets, size);
}
