#include "terminal/media_control.hpp"

#include <algorithm>
#include <array>

#include "terminal/octet_order.hpp"
#include "terminal/rtp.hpp"

namespace qanat::terminal {
namespace {

// RFC 3550 §12.1.
constexpr std::uint8_t sender_report = 200;
constexpr std::uint8_t receiver_report = 201;
constexpr std::uint8_t goodbye = 203;
constexpr std::uint8_t application_defined = 204;
constexpr std::uint8_t version_no_reports = 0x80;  // V = 2, no padding, count 0
constexpr std::uint8_t version_one_source = 0x81;
constexpr std::uint16_t receiver_report_words = 1;  // lengths are in 32-bit words minus one
constexpr std::uint16_t sender_report_words = 6;
constexpr std::uint16_t goodbye_words = 1;
constexpr std::size_t receiver_report_octets = 8;
constexpr std::size_t farewell_octets = 28 + 8;
constexpr std::size_t packet_count_at = 20;
// §6.7: head, name, SID_WK.
constexpr std::array<std::uint8_t, 4> rekey_name{'Q', 'R', 'K', 'Y'};
constexpr std::size_t rekey_name_at = 8;
constexpr std::size_t rekey_sid_at = rekey_name_at + rekey_name.size();
constexpr std::size_t rekey_octets = rekey_sid_at + SidWk::size;
constexpr std::uint16_t rekey_words = rekey_octets / 4 - 1;
constexpr std::uint8_t subtype_bits = 0x1F;

std::optional<MediaControl::Rekeying> parse_rekey(ByteView packet) {
  if (packet.size() != rekey_octets || packet[1] != application_defined || packet[0] >> 5 != version_no_reports >> 5) return std::nullopt;
  if (read_big_endian<std::uint16_t>(packet, 2) != rekey_words || !std::ranges::equal(packet.subspan(rekey_name_at, rekey_name.size()), rekey_name))
    return std::nullopt;
  const auto word = static_cast<RekeyWord>(packet[0] & subtype_bits);
  if (word != RekeyWord::begins && word != RekeyWord::refused && word != RekeyWord::wanted) return std::nullopt;
  return MediaControl::Rekeying{.word = word, .sid_wk = SidWk(packet.subspan(rekey_sid_at))};
}

void append_head(Bytes& out, std::uint8_t first, std::uint8_t type, std::uint16_t words, std::uint32_t ssrc) {
  out.push_back(first);
  out.push_back(type);
  append_big_endian<std::uint16_t>(out, words);
  append_big_endian<std::uint32_t>(out, ssrc);
}

}  // namespace

bool is_media(ByteView datagram) noexcept { return !datagram.empty() && datagram[0] >= 128 && datagram[0] <= 191; }

bool is_rtcp(ByteView datagram) noexcept { return is_media(datagram) && datagram.size() > 1 && datagram[1] >= 192 && datagram[1] <= 223; }

Result<MediaControl> MediaControl::arm(crypto::Aead aead, const MediaKeys& send, const MediaKeys& receive, const SidWk& sid_wk, crypto::Rng& rng) {
  const Mki mki = mki_of(sid_wk);
  ASSIGN_OR_RETURN(SrtpSender sender, SrtpSender::create(aead, send, mki, read_big_endian<std::uint32_t>(rng.bytes(4), 0)));
  ASSIGN_OR_RETURN(SrtpReceiver receiver, SrtpReceiver::create(aead, receive, mki));
  return Result<MediaControl>(MediaControl(std::move(sender), std::move(receiver)));
}

Result<Bytes> MediaControl::confirmation() {
  Bytes packet;
  append_head(packet, version_no_reports, receiver_report, receiver_report_words, sender_.ssrc());
  return sender_.protect_rtcp(packet);
}

Result<Bytes> MediaControl::farewell(std::uint32_t packets_sent) {
  Bytes packet;
  append_head(packet, version_no_reports, sender_report, sender_report_words, sender_.ssrc());
  // No wall clock and no RTP time: nobody plays this stream in step with another (RFC 3550 §6.4.1 allows zero).
  append_big_endian<std::uint64_t>(packet, 0);
  append_big_endian<std::uint32_t>(packet, 0);
  append_big_endian<std::uint32_t>(packet, packets_sent);
  append_big_endian<std::uint32_t>(packet, static_cast<std::uint32_t>(packets_sent * samples_per_packet));
  append_head(packet, version_one_source, goodbye, goodbye_words, sender_.ssrc());
  return sender_.protect_rtcp(packet);
}

Result<Bytes> MediaControl::rekey(RekeyWord word, const SidWk& sid_wk) {
  Bytes packet;
  append_head(packet, static_cast<std::uint8_t>(version_no_reports | static_cast<std::uint8_t>(word)), application_defined, rekey_words, sender_.ssrc());
  append(packet, rekey_name);
  append(packet, sid_wk.view());
  return sender_.protect_rtcp(packet);
}

MediaControl::Heard MediaControl::receive(ByteView datagram) {
  if (!is_rtcp(datagram)) return Heard::nothing;
  const auto opened = receiver_.unprotect_rtcp(datagram);
  if (!opened) return Heard::nothing;
  const Bytes& packet = *opened;
  if (packet.size() == receiver_report_octets && packet[1] == receiver_report) return Heard::confirmation;
  if (const auto said = parse_rekey(packet)) {
    rekeying_ = said;
    return Heard::rekey;
  }
  if (packet.size() != farewell_octets || packet[1] != sender_report) return Heard::nothing;
  announced_ = read_big_endian<std::uint32_t>(packet, packet_count_at);
  return Heard::farewell;
}

}  // namespace qanat::terminal
