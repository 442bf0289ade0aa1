// target: qanat_wire
// Group calls.
#include "qfc2_parse.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  using namespace qanat::wire;
  return fuzz<GroupRequest, GroupState, GroupKey>(octets, size);
}
