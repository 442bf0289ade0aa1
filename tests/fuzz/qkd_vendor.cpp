// target: qanat_qkd
// X-2 of ends whose keys a maker delivers, and the state that such an end stores: what is read is written the same again.
#include "base/check.hpp"
#include "quantum/qkd/process/vendor_state.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qanat;
  const ByteView octets(data, size);
  if (const auto message = qkd::VendorMessage::read(octets)) {
    CHECK(message->ids.size() <= qkd::vendor_keys_max && message->block_id <= qkd::vendor_block_id_max);
    const Bytes again = message->write();
    CHECK(again.size() == size);
    CHECK(message->kind == qkd::VendorKind::refuse || again == to_bytes(octets));
  }
  if (const auto state = qkd::VendorState::decode(octets)) CHECK(equal_secret(state->encode(), Secret::copy_of(octets)));
  return 0;
}
