#include "quantum/qkd/process/exchange.hpp"

#include "quantum/qkd/session/message.hpp"

namespace qanat::qkd {

Bytes write_exchange(const Exchange& exchange) {
  Bytes out{exchange_version};
  append(out, exchange.connection.view());
  out.push_back(exchange.wants_run ? 1 : 0);
  for (const Bytes& frame : exchange.frames) append(out, frame);
  return out;
}

Result<Exchange> parse_exchange(ByteView octets) {
  OctetReader in(octets);
  if (in.u8() != exchange_version) in.refuse();
  const ByteView connection = in.octets(ConnectionId::size);
  const std::uint8_t wants_run = in.u8();
  if (in.failed() || wants_run > 1) return fail(ErrorCode::invalid_argument, "X-2: malformed head");
  Exchange out{.connection = ConnectionId(connection), .wants_run = wants_run == 1, .frames = {}};
  ByteView rest = octets.last(in.left());
  while (!rest.empty()) {
    ASSIGN_OR_RETURN(const auto size, frame_size(rest));
    if (!size || *size > rest.size()) return fail(ErrorCode::invalid_argument, "X-2: the last frame is cut off");
    out.frames.push_back(to_bytes(rest.first(*size)));
    rest = rest.subspan(*size);
  }
  return out;
}

}  // namespace qanat::qkd
