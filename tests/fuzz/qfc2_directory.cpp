// target: qanat_wire
// What a KMS takes from CMSP for the time in which that one does not answer.
#include "qfc2_parse.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  using namespace qanat::wire;
  return fuzz<Directory, DirectoryPage>(octets, size);
}
