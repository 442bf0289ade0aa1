// target: qanat_terminal
// What comes from strongSwan's socket: what is accepted keeps the bounds and is written again as it was read.
#include "base/check.hpp"
#include "terminal/gateway/vici_message.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qanat;
  using namespace qanat::terminal::gateway;
  const ByteView packet(data, size);
  const auto got = decode_vici(packet);
  if (!got) return 0;
  const auto again = encode_vici(got->type, got->name, got->message);
  CHECK(again);
  CHECK(equal(again->reveal().subspan(4), packet));
  return 0;
}
