// target: qanat_wire
// Steps 7 and 8, and what takes their place while CMSP does not answer.
#include "qfc2_parse.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  using namespace qanat::wire;
  return fuzz<SessionOpen, SessionNotify, SessionGrant, DirectoryOpen>(octets, size);
}
