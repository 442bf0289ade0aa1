// target: qanat_wire
// Any octets as the links by which a KMS's certificates follow each other: refused, or written again as they were.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/check.hpp"
#include "wire/succession.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  using namespace qanat;
  for (const crypto::SuiteId id : {crypto::SuiteId::gm_hybrid, crypto::SuiteId::intl_hybrid}) {
    const crypto::Suite& suite = crypto::suite(id);
    const auto links = wire::parse_successions(suite, {octets, size});
    if (links) CHECK(std::ranges::equal(wire::encode_successions(suite, *links).value(), ByteView(octets, size)));
  }
  return 0;
}
