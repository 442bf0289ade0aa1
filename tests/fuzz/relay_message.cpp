// target: qanat_qkm
#include "quantum/qkm/relay_message.hpp"

using namespace qanat;
using namespace qanat::qkm;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  const ByteView input(octets, size);
  const Secret key = Secret::copy_of(Bytes(relay_secret_size, 1));
  if (const auto message = parse_relay(input)) {
    (void)unprotect(input, *message, key, key);
    // What can be read can be written, and says the same.
    const auto again = protect(message->header, key, key, key);
    if (!again || !equal(ByteView(*again).first(message->authenticated - relay_secret_size), input.first(message->authenticated - relay_secret_size)))
      __builtin_trap();
  }
  (void)parse_relay_answer(input, KeyId(Bytes(16, 0)));
  return 0;
}
