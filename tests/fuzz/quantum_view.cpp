// target: qanat_cmsp
#include "services/cmsp/csm/quantum_network.hpp"

using namespace qanat;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  const auto body = wire::Json::parse(ByteView(octets, size));
  if (!body) return 0;
  const auto view = cmsp::read_quantum_view(*body);
  if (view && (view->nodes_up > view->nodes || view->links_active > view->links)) __builtin_trap();
  return 0;
}
