// target: qanat_terminal
#include <algorithm>
#include <cstdlib>

#include "terminal/media_session.hpp"

namespace {

using namespace qanat;
using namespace qanat::terminal;

constexpr std::size_t packet_octets_max = 255;

MediaKeys keys() { return {.key = Secret(16), .salt = Secret(srtp_salt_octets)}; }

}  // namespace

// RTP parsing, the SRTP and SRTCP receivers, and the reorder buffer. The input is packets, each behind an octet of length. Nobody without the key
// gets one accepted; what is sealed with it and opens is what was sealed.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
  const Mki mki(Bytes(mki_octets, 0));
  auto receiver = SrtpReceiver::create(crypto::Aead::sm4_gcm, keys(), mki).value();
  auto sender = SrtpSender::create(crypto::Aead::sm4_gcm, keys(), mki, 0).value();
  ReorderBuffer reorder;
  ByteView rest(input, size);
  while (!rest.empty()) {
    const std::size_t length = std::min<std::size_t>(std::min<std::size_t>(rest[0], packet_octets_max), rest.size() - 1);
    const ByteView packet = rest.subspan(1, length);
    rest = rest.subspan(1 + length);
    (void)receiver.unprotect(packet);
    (void)receiver.unprotect_rtcp(packet);
    if (const auto sealed = sender.protect(packet)) {
      auto fresh = SrtpReceiver::create(crypto::Aead::sm4_gcm, keys(), mki).value();
      std::size_t header_octets = 0;
      // A receiver that begins here counts the wraps from zero, as the sender does until the first of them.
      const auto opened = fresh.unprotect(*sealed);
      if (opened && !equal(*opened, packet)) std::abort();
      if (!parse_rtp_header(packet, header_octets)) std::abort();
    }
    if (auto parsed = parse_rtp(packet)) reorder.push(parsed->header.sequence, std::move(parsed->payload));
    while (reorder.pop()) {
    }
  }
  while (reorder.drain()) {
  }
  if (receiver.counts().accepted != 0 || receiver.rtcp_counts().accepted != 0) std::abort();
  return 0;
}
