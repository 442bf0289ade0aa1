// target: qanat_kme
// What other makers' key managers send: keys, voidings, acknowledgements and refusals. Whatever is lifted out of the text is no longer in it.
#include "base/check.hpp"
#include "kme/etsi020.hpp"
#include "kme/etsi020_client.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qanat;
  const kme::Limits limits;
  Bytes body(data, data + size);
  if (const auto keys = kme::etsi020::read_ext_keys(body, limits)) CHECK(!keys->keys.empty() && !keys->targets.empty());
  if (const auto wanted = kme::etsi020::read_void(ByteView(data, size))) CHECK(wanted->ids.size() <= 1024);
  if (const auto acks = kme::etsi020::read_acks(ByteView(data, size))) {
    CHECK(!acks->empty() && acks->size() <= 64);
    for (const kme::etsi020::Ack& ack : *acks) CHECK(!ack.ids.empty() && ack.ids.size() <= 1024 && ack.message.size() <= 200 && !ack.target.empty());
  }
  const Error refusal = kme::etsi020::refusal_of(400, ByteView(data, size));
  CHECK(refusal.message.size() < 300);
  return 0;
}
