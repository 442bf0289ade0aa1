// target: qanat_terminal
#include <algorithm>
#include <cstdlib>

#include "terminal/media_control.hpp"
#include "terminal/octet_order.hpp"

namespace {

using namespace qanat;
using namespace qanat::terminal;

constexpr std::size_t ssrc_at = 4;
constexpr std::size_t rekey_packet_octets = 28;

class Zeros final : public crypto::Rng {
 public:
  void fill(std::span<std::uint8_t> out) override { std::ranges::fill(out, std::uint8_t{0}); }
};

MediaKeys keys() { return {.key = Secret(16), .salt = Secret(srtp_salt_octets)}; }

}  // namespace

// What an end that has the keys may say about its media besides the media: the input is one RTCP packet, which is sealed as the other end would.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* input, std::size_t size) {
  Zeros rng;
  const ByteView packet(input, size);
  auto control = MediaControl::arm(crypto::Aead::sm4_gcm, keys(), keys(), SidWk(), rng).value();
  (void)control.receive(packet);
  if (packet.size() < ssrc_at + 4) return 0;
  auto sender = SrtpSender::create(crypto::Aead::sm4_gcm, keys(), mki_of(SidWk()), read_big_endian<std::uint32_t>(packet, ssrc_at)).value();
  const auto sealed = sender.protect_rtcp(packet);
  if (!sealed) return 0;
  if (control.receive(*sealed) == MediaControl::Heard::rekey) {
    const auto& said = control.rekeying();
    if (packet.size() != rekey_packet_octets || !said || !equal(said->sid_wk.view(), packet.last(SidWk::size))) std::abort();
    if (said->word < RekeyWord::begins || said->word > RekeyWord::wanted) std::abort();
  }
  return 0;
}
