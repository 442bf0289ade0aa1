// target: qanat_wire
// Keys for SAEs, ahead of demand.
#include "qfc2_parse.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  using namespace qanat::wire;
  return fuzz<SupplyOffer, SupplyAccept>(octets, size);
}
