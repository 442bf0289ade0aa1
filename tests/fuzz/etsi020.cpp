// target: qanat_kme
// What other makers' key managers send: keys and voidings. Whatever is lifted out of the text is no longer in it.
#include "base/check.hpp"
#include "kme/etsi020.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qanat;
  const kme::Limits limits;
  Bytes body(data, data + size);
  if (const auto keys = kme::etsi020::read_ext_keys(body, limits)) CHECK(!keys->keys.empty() && !keys->targets.empty());
  if (const auto wanted = kme::etsi020::read_void(ByteView(data, size))) CHECK(wanted->ids.size() <= 1024);
  return 0;
}
