// target: qanat_terminal
#include <algorithm>

#include "base/check.hpp"
#include "terminal/ax_carrier.hpp"

// The input is a run of datagrams, each behind one octet that says how long it is (in units of 8 octets), after the beginning that every
// fragment of the session has.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  using namespace qanat;
  using namespace qanat::terminal;
  const SidWk sid_wk(Bytes(SidWk::size, 7));
  AxCarrier initiator(AxEnd::initiator, sid_wk);
  AxCarrier responder(AxEnd::responder, sid_wk);
  ByteView rest(octets, size);
  while (!rest.empty()) {
    const std::size_t taken = std::min<std::size_t>(std::size_t{rest.front()} * 8, rest.size() - 1);
    Bytes datagram = concat({as_bytes("QAX\x01"), ByteView(sid_wk.view()).first(8), rest.subspan(1, taken)});
    rest = rest.subspan(1 + taken);
    if (const auto fragment = parse_fragment(datagram, sid_wk)) CHECK(fragment->index < fragment->count && fragment->count <= fragments_max);
    for (AxCarrier* end : {&initiator, &responder}) {
      if (end->receive(datagram) != AxCarrier::Arrival::message) continue;
      const Bytes message = end->take_message();
      CHECK(!message.empty() && message.size() <= ax_message_octets_max);
    }
  }
  return 0;
}
