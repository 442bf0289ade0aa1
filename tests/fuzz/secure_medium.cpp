// target: qanat_terminal
// The header copies and the slots of a secure medium: what parses is written to the same octets.
#include <cstdlib>

#include "terminal/media/medium_format.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  using namespace qanat;
  using namespace qanat::terminal;
  Bytes block(octets, octets + size);
  block.resize(header_block_size);
  if (const auto header = parse_header_block(block)) {
    const auto again = encode_header_block(header->header, header->mac);
    if (!again || *again != block) std::abort();
  }
  Bytes octets_of_slot(octets, octets + size);
  octets_of_slot.resize(slot_size);
  if (const auto slot = parse_slot(octets_of_slot); slot && *slot) {
    if (encode_slot(**slot) != octets_of_slot) std::abort();
  }
  return 0;
}
