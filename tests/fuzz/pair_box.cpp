// target: qanat_crypto
// The box of a pair of devices: its parts are the whole, in their order, and nothing of it opens under a key that sealed none.
#include <cstdint>
#include <cstdlib>

#include "crypto/pair_box.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  using namespace qanat;
  const ByteView box(octets, size);
  const auto parts = crypto::parts_of_pair_box(box);
  if (!parts) return 0;
  if (!crypto::begins_as_pair_box(box) || concat({parts->head, parts->sealed}) != to_bytes(box)) std::abort();
  if (parts->boxes[0].size() + parts->boxes[1].size() + 12 != parts->head.size()) std::abort();
  if (crypto::open_pair_box(as_bytes("row"), *parts, Secret(crypto::pair_key_octets))) std::abort();
  return 0;
}
