// target: qanat_kme
// What a key management entity of another maker answers: containers, status, errors. What is accepted keeps the bounds, and no key stays in the text.
#include <algorithm>

#include "base/check.hpp"
#include "kme/etsi014_client.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qanat;
  Bytes body(data, data + size);
  if (const auto keys = kme::etsi014::read_key_container(body, 4, 64)) {
    CHECK(!keys->empty() && keys->size() <= 4);
    for (const kme::Key& key : *keys) CHECK(key.octets.size() == 8);
    CHECK(std::ranges::count(body, '#') >= static_cast<std::ptrdiff_t>(12 * keys->size()));
  }
  if (const auto status = kme::etsi014::read_server_status(ByteView(data, size))) CHECK(status->stored_key_count >= 0 && status->max_key_per_request >= 0);
  CHECK(kme::etsi014::refusal_of(400, ByteView(data, size)).message.size() < 256);
  return 0;
}
