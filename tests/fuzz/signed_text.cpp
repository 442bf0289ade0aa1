// target: qanat_wire
// Any octets as a signed document: refused, or written again as they were.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/check.hpp"
#include "wire/signed_text.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  using namespace qanat;
  for (const crypto::SuiteId id : {crypto::SuiteId::gm_hybrid, crypto::SuiteId::intl_hybrid}) {
    const crypto::Suite& suite = crypto::suite(id);
    const auto document = wire::parse_signed_text(suite, {octets, size});
    if (document) CHECK(std::ranges::equal(wire::encode(suite, *document).value(), ByteView(octets, size)));
  }
  return 0;
}
