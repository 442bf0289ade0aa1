#include "terminal/media_session.hpp"

#include <string>

#include "terminal/octet_order.hpp"

namespace qanat::terminal {
namespace {

template <std::unsigned_integral T>
T draw(crypto::Rng& rng) {
  return read_big_endian<T>(rng.bytes(sizeof(T)), 0);
}

}  // namespace

std::optional<std::chrono::milliseconds> MediaSender::due() const {
  if (sent_ == packets_total()) return std::nullopt;
  return packet_time * static_cast<std::int64_t>(sent_);
}

Result<Bytes> MediaSender::next() {
  if (sent_ == packets_total()) return fail(ErrorCode::exhausted, "media: all " + std::to_string(sent_) + " packets are sent");
  const std::size_t begin = sent_ * samples_per_packet;
  std::vector<std::int16_t> samples(samples_.begin() + static_cast<std::ptrdiff_t>(begin),
                                    samples_.begin() + static_cast<std::ptrdiff_t>(std::min(begin + samples_per_packet, samples_.size())));
  samples.resize(samples_per_packet);
  const RtpHeader header{.marker = sent_ == 0, .payload_type = rtp_pcma, .sequence = sequence_, .timestamp = timestamp_, .ssrc = srtp_.ssrc()};
  ASSIGN_OR_RETURN(Bytes packet, srtp_.protect(encode_rtp(header, alaw_encode(samples))));
  ++sent_;
  ++sequence_;
  timestamp_ += samples_per_packet;
  return packet;
}

void MediaReceiver::receive(ByteView datagram) {
  if (finished_) return;
  const auto opened = srtp_.unprotect(datagram);
  if (!opened) return;
  auto packet = parse_rtp(*opened);
  if (!packet || packet->header.payload_type != rtp_pcma || packet->payload.size() != samples_per_packet) {
    ++foreign_payloads_;
    return;
  }
  reorder_.push(packet->header.sequence, std::move(packet->payload));
  while (const auto slot = reorder_.pop()) play(*slot);
}

void MediaReceiver::play(const ReorderBuffer::Slot& slot) {
  if (heard_.size() + samples_per_packet > wav_samples_max) return;
  if (!slot.payload) {
    heard_.resize(heard_.size() + samples_per_packet);
    return;
  }
  const auto samples = alaw_decode(*slot.payload);
  heard_.insert(heard_.end(), samples.begin(), samples.end());
}

std::vector<std::int16_t> MediaReceiver::finish() {
  finished_ = true;
  while (const auto slot = reorder_.drain()) play(*slot);
  return std::move(heard_);
}

Result<MediaSession> MediaSession::arm(crypto::Aead aead, const MediaKeys& send, const MediaKeys& receive, const SidWk& sid_wk,
                                       std::vector<std::int16_t> samples, crypto::Rng& rng) {
  if (equal_secret(send.key, receive.key)) return fail(ErrorCode::invalid_argument, "media: both directions have the same key");
  if (samples.size() > wav_samples_max) {
    return fail(ErrorCode::invalid_argument, "media: " + std::to_string(samples.size()) + " samples, at most " + std::to_string(wav_samples_max));
  }
  const Mki mki = mki_of(sid_wk);
  ASSIGN_OR_RETURN(SrtpSender sender, SrtpSender::create(aead, send, mki, draw<std::uint32_t>(rng)));
  ASSIGN_OR_RETURN(SrtpReceiver receiver, SrtpReceiver::create(aead, receive, mki));
  // The first sequence number stays in the lower half: a receiver that misses the first packets then still counts the wraps right (RFC 3711 §3.3.1).
  const auto first_sequence = static_cast<std::uint16_t>(draw<std::uint16_t>(rng) & 0x7FFF);
  return Result<MediaSession>(MediaSession{.sender = MediaSender(std::move(samples), std::move(sender), first_sequence, draw<std::uint32_t>(rng)),
                                           .receiver = MediaReceiver(std::move(receiver))});
}

}  // namespace qanat::terminal
