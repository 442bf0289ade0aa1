// target: qanat_qkd
#include <cstddef>
#include <cstdint>

#include "quantum/qkd/session/message.hpp"
#include "quantum/qkd/session/state.hpp"

using namespace qanat;
using namespace qanat::qkd;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  const ByteView input(octets, size);
  (void)frame_size(input);
  (void)DurableState::decode(input);
  if (const auto frame = parse_frame(input)) {
    const Bytes again = write_frame(frame->type, frame->block_id, frame->sequence, frame->body, frame->key_position);
    if (!equal(again, frame->authenticated)) __builtin_trap();
  }
  if (size == 0) return 0;
  const ByteView body = input.subspan(1);
  switch (input[0] % 7) {
    case 0:
      if (const auto hello = Hello::read(body); hello && !equal(hello->write(), body)) __builtin_trap();
      break;
    case 1:
      (void)Begin::read(body);
      break;
    case 2:
      (void)Detections::read(body);
      break;
    case 3:
      (void)VerdictMessage::read(body, size % 257);
      break;
    case 4:
      if (const auto reconciled = Reconciled::read(body); reconciled && !equal(reconciled->write(), body)) __builtin_trap();
      break;
    case 5:
      if (const auto close = Close::read(body); close && !equal(close->write(), body)) __builtin_trap();
      break;
    default:
      (void)Reason::read(body);
      break;
  }
  return 0;
}
