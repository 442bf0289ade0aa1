// target: qanat_terminal
#include <cstdlib>

#include "crypto/random.hpp"
#include "terminal/sip.hpp"

namespace {

using namespace qanat;
using namespace qanat::terminal;

class ZeroRng final : public crypto::Rng {
 public:
  void fill(std::span<std::uint8_t> out) override {
    for (std::uint8_t& octet : out) octet = ++count_;
  }

 private:
  std::uint8_t count_ = 0;
};

const Number caller("+861001");
const Number callee("+861002");
const net::Endpoint caller_at{.host = "127.0.0.1", .port = 5060};
const net::Endpoint callee_at{.host = "127.0.0.1", .port = 5062};

SessionDescription offer() {
  const CallNonce nonce;
  return {.media = {.host = "127.0.0.1", .port = 4000},
          .sid_call = make_sid_call(caller, callee, nonce),
          .sid_wk = SidWk(),
          .kms = ElementName("kms-a"),
          .nonce = nonce};
}

/// What parses is written so that it parses to the same.
void round_trip(ByteView input) {
  const auto message = parse_sip(input);
  if (!message) return;
  (void)sip_essentials(*message);
  SipMessage copy = *message;
  std::erase_if(copy.headers, [](const SipHeader& header) { return same_sip_name(header.name, "Content-Length"); });
  if (copy.headers.size() == sip_headers_max) return;
  const auto again = parse_sip(encode_sip(copy));
  // A folded header may be longer than one line may be.
  if (again && (again->method != copy.method || again->status != copy.status || again->body != copy.body || again->headers.size() != copy.headers.size() + 1))
    std::abort();
  if (const auto session = parse_sdp(message->body)) {
    const auto text = encode_sdp(*session);
    if (!text || parse_sdp(*text).value() != *session) std::abort();
  }
}

}  // namespace

// SIP and SDP parsing, and the agent in each of its states fed with the input as a datagram.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
  const ByteView octets(input, size);
  round_trip(octets);
  (void)parse_sdp(as_text(octets));

  const SipTime now{};
  ZeroRng rng;
  SipAgent calling(caller, caller_at, rng);
  const auto invite = calling.invite(callee, callee_at, offer(), now).value();
  SipAgent called(callee, callee_at, rng);
  (void)called.receive(caller_at, octets, now);
  if (called.idle()) (void)called.receive(caller_at, invite.send.at(0).octets, now);
  (void)called.receive(caller_at, octets, now);
  (void)calling.receive(callee_at, octets, now);
  if (const auto answered = called.answer(offer(), now)) {
    for (const SipDatagram& datagram : answered->send) (void)calling.receive(callee_at, datagram.octets, now);
  }
  (void)calling.receive(callee_at, octets, now);
  (void)called.receive(caller_at, octets, now);
  (void)calling.hang_up(now);
  (void)calling.receive(callee_at, octets, now);
  (void)calling.tick(now + sip_give_up);
  (void)called.tick(now + sip_give_up);
  return 0;
}
