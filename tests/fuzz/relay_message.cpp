// target: qanat_qkm
#include "quantum/qkm/relay_message.hpp"

using namespace qanat;
using namespace qanat::qkm;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  const ByteView input(octets, size);
  if (const auto message = parse_relay(input)) {
    const std::size_t count = message->header.secrets;
    const HopKeys keys{.runs = message->header.runs, .mac = Secret(relay_secret_size), .pads = Secret(count * relay_secret_size)};
    (void)unprotect(input, *message, keys);
    // What can be read can be written, and says the same.
    const auto again = protect(message->header, Secret(count * relay_secret_size), keys);
    const std::size_t header = message->authenticated - count * relay_secret_size;
    if (!again || !equal(ByteView(*again).first(header), input.first(header))) __builtin_trap();
  }
  (void)parse_relay_answer(input, BatchId(Bytes(BatchId::size, 0)));
  return 0;
}
