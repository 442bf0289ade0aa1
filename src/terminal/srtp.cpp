#include "terminal/srtp.hpp"

#include <algorithm>
#include <numeric>
#include <string>

#include "terminal/octet_order.hpp"
#include "terminal/rtp.hpp"

namespace qanat::terminal {
namespace {

constexpr std::size_t rtcp_header_octets = 8;  // the part of the first RTCP header that stays in clear: up to the SSRC
constexpr std::size_t rtcp_ssrc_at = 4;
constexpr std::size_t rtcp_index_octets = 4;
constexpr std::uint32_t encrypted_flag = 0x8000'0000;  // E, RFC 3711 §3.4
constexpr unsigned sequence_bits = 16;
constexpr std::uint16_t half_sequence = 0x8000;
constexpr std::uint8_t rtp_version = 2;

Result<void> check_keys(crypto::Aead aead, const MediaKeys& keys) {
  if (keys.key.size() != crypto::key_size(aead) || keys.salt.size() != srtp_salt_octets) {
    return fail(ErrorCode::invalid_argument, "srtp: master key of " + std::to_string(keys.key.size()) + " octets and salt of " +
                                                 std::to_string(keys.salt.size()) + ", " + std::to_string(crypto::key_size(aead)) + " and " +
                                                 std::to_string(srtp_salt_octets) + " belong");
  }
  return {};
}

bool has_rtcp_shape(ByteView packet) { return packet.size() >= rtcp_header_octets && packet[0] >> 6 == rtp_version; }

constexpr std::size_t receive_keys_max = 2;  // the former and the next

Mki mki_at_end_of(ByteView packet) { return Mki(packet.last(mki_octets)); }

SrtpDrop drop_of(ReplayWindow::Verdict verdict) { return verdict == ReplayWindow::Verdict::replayed ? SrtpDrop::replayed : SrtpDrop::too_old; }

std::expected<Bytes, SrtpDrop> counted(std::expected<Bytes, SrtpDrop> outcome, SrtpCounts& counts) {
  if (outcome) {
    ++counts.accepted;
  } else {
    ++counts.dropped[static_cast<std::size_t>(outcome.error())];
  }
  return outcome;
}

}  // namespace

SrtpTransform::SrtpTransform(crypto::Aead aead, const Secret& key, Secret salt) : cipher_(aead, key), salt_(std::move(salt)) {
  CHECK(salt_.size() == crypto::aead_iv);
}

SrtpTransform SrtpTransform::for_rtp(crypto::Aead aead, const MediaKeys& master) {
  return SrtpTransform(aead, derive_srtp(aead, master, SrtpLabel::rtp_key, crypto::key_size(aead)),
                       derive_srtp(aead, master, SrtpLabel::rtp_salt, srtp_salt_octets));
}

SrtpTransform SrtpTransform::for_rtcp(crypto::Aead aead, const MediaKeys& master) {
  return SrtpTransform(aead, derive_srtp(aead, master, SrtpLabel::rtcp_key, crypto::key_size(aead)),
                       derive_srtp(aead, master, SrtpLabel::rtcp_salt, srtp_salt_octets));
}

// RFC 7714 §8.1: 00 00 ‖ SSRC ‖ ROC ‖ SEQ, XOR salt. §9.1 for SRTCP: 00 00 ‖ SSRC ‖ 00 00 ‖ 0 ‖ index of 31 bits, which is the same layout
// with the index as a 48-bit number.
std::array<std::uint8_t, crypto::aead_iv> SrtpTransform::nonce(std::uint32_t ssrc, std::uint64_t index) const {
  std::array<std::uint8_t, crypto::aead_iv> out{};
  const ByteView salt = salt_.reveal();
  for (std::size_t i = 0; i < 4; ++i) out[2 + i] = static_cast<std::uint8_t>(ssrc >> (8 * (3 - i)));
  for (std::size_t i = 0; i < 6; ++i) out[6 + i] = static_cast<std::uint8_t>(index >> (8 * (5 - i)));
  for (std::size_t i = 0; i < out.size(); ++i) out[i] = static_cast<std::uint8_t>(out[i] ^ salt[i]);
  return out;
}

Bytes SrtpTransform::seal_rtp(std::uint32_t ssrc, std::uint64_t index, ByteView packet, std::size_t header_octets) {
  CHECK(header_octets <= packet.size() && index <= srtp_index_max);
  Bytes out;
  out.reserve(packet.size() + srtp_tag_octets + mki_octets);
  append(out, packet.first(header_octets));
  cipher_.seal(nonce(ssrc, index), packet.first(header_octets), packet.subspan(header_octets), out);
  return out;
}

std::optional<Bytes> SrtpTransform::open_rtp(std::uint32_t ssrc, std::uint64_t index, ByteView sealed, std::size_t header_octets) {
  CHECK(header_octets <= sealed.size() && index <= srtp_index_max);
  if (sealed.size() - header_octets < srtp_tag_octets) return std::nullopt;
  Bytes out;
  out.reserve(sealed.size());
  append(out, sealed.first(header_octets));
  if (!cipher_.open(nonce(ssrc, index), sealed.first(header_octets), sealed.subspan(header_octets), out)) return std::nullopt;
  return out;
}

Bytes SrtpTransform::seal_rtcp(std::uint32_t ssrc, std::uint32_t index, ByteView packet) {
  CHECK(packet.size() >= rtcp_header_octets && index <= srtcp_index_max);
  Bytes trailer;
  append_big_endian(trailer, index | encrypted_flag);
  const Bytes associated = concat({packet.first(rtcp_header_octets), trailer});
  Bytes out = to_bytes(packet.first(rtcp_header_octets));
  cipher_.seal(nonce(ssrc, index), associated, packet.subspan(rtcp_header_octets), out);
  append(out, trailer);
  return out;
}

std::optional<Bytes> SrtpTransform::open_rtcp(std::uint32_t ssrc, ByteView sealed) {
  if (sealed.size() < rtcp_header_octets + srtp_tag_octets + rtcp_index_octets) return std::nullopt;
  const ByteView trailer = sealed.last(rtcp_index_octets);
  const ByteView packet = sealed.first(sealed.size() - rtcp_index_octets);
  const auto word = read_big_endian<std::uint32_t>(trailer, 0);
  const auto iv = nonce(ssrc, word & ~encrypted_flag);
  if ((word & encrypted_flag) == 0) {
    // §9.3: everything but the tag is associated data, nothing is encrypted.
    const ByteView clear = packet.first(packet.size() - srtp_tag_octets);
    Bytes nothing;
    if (!cipher_.open(iv, concat({clear, trailer}), packet.last(srtp_tag_octets), nothing)) return std::nullopt;
    return to_bytes(clear);
  }
  Bytes out = to_bytes(packet.first(rtcp_header_octets));
  if (!cipher_.open(iv, concat({packet.first(rtcp_header_octets), trailer}), packet.subspan(rtcp_header_octets), out)) return std::nullopt;
  return out;
}

ReplayWindow::Verdict ReplayWindow::judge(std::uint64_t index) const {
  if (!highest_ || index > *highest_) return Verdict::fresh;
  const std::uint64_t behind = *highest_ - index;
  if (behind >= replay_window_packets) return Verdict::too_old;
  return seen_.test(behind) ? Verdict::replayed : Verdict::fresh;
}

void ReplayWindow::take(std::uint64_t index) {
  CHECK(judge(index) == Verdict::fresh);
  if (!highest_) {
    highest_ = index;
  } else if (index > *highest_) {
    const std::uint64_t ahead = index - *highest_;
    if (ahead >= replay_window_packets) {
      seen_.reset();
    } else {
      seen_ <<= ahead;
    }
    highest_ = index;
  }
  seen_.set(*highest_ - index);
}

SrtpSender::SrtpSender(crypto::Aead aead, const MediaKeys& keys, const Mki& mki, std::uint32_t ssrc, std::uint32_t first_roc)
    : rtp_(SrtpTransform::for_rtp(aead, keys)), rtcp_(SrtpTransform::for_rtcp(aead, keys)), mki_(mki), ssrc_(ssrc), roc_(first_roc) {}

Result<SrtpSender> SrtpSender::create(crypto::Aead aead, const MediaKeys& keys, const Mki& mki, std::uint32_t ssrc, std::uint32_t first_roc) {
  TRY(check_keys(aead, keys));
  return Result<SrtpSender>(SrtpSender(aead, keys, mki, ssrc, first_roc));
}

Result<Bytes> SrtpSender::protect(ByteView rtp_packet) {
  std::size_t header_octets = 0;
  ASSIGN_OR_RETURN(const auto header, parse_rtp_header(rtp_packet, header_octets));
  if (header.ssrc != ssrc_) return fail(ErrorCode::conflict, "srtp: the packet is of another source than the key");
  std::uint64_t index = static_cast<std::uint64_t>(roc_) << sequence_bits | header.sequence;
  if (last_index_) {
    const auto ahead = static_cast<std::uint16_t>(header.sequence - static_cast<std::uint16_t>(*last_index_));
    if (ahead == 0 || ahead >= half_sequence) {
      return fail(ErrorCode::conflict, "srtp: sequence number " + std::to_string(header.sequence) + " is not ahead of the last one sent");
    }
    index = *last_index_ + ahead;
    // RFC 3711 §9.2: past the last index the key must not be used again.
    if (index > srtp_index_max) {
      last_index_ = srtp_index_max;
      return fail(ErrorCode::exhausted, "srtp: all 2^48 packet indexes of this key are behind us");
    }
  }
  Bytes out = rtp_.seal_rtp(ssrc_, index, rtp_packet, header_octets);
  append(out, mki_.view());
  last_index_ = index;
  return out;
}

Result<Bytes> SrtpSender::protect_rtcp(ByteView rtcp_packet) {
  if (!has_rtcp_shape(rtcp_packet)) return fail(ErrorCode::invalid_argument, "srtcp: not an RTCP packet");
  if (read_big_endian<std::uint32_t>(rtcp_packet, rtcp_ssrc_at) != ssrc_)
    return fail(ErrorCode::conflict, "srtcp: the packet is of another source than the key");
  if (next_rtcp_index_ > srtcp_index_max) return fail(ErrorCode::exhausted, "srtcp: all 2^31 packet indexes of this key are behind us");
  Bytes out = rtcp_.seal_rtcp(ssrc_, static_cast<std::uint32_t>(next_rtcp_index_), rtcp_packet);
  append(out, mki_.view());
  ++next_rtcp_index_;
  return out;
}

Result<void> SrtpSender::rekey(crypto::Aead aead, const MediaKeys& keys, const Mki& mki) {
  TRY(check_keys(aead, keys));
  if (mki == mki_) return fail(ErrorCode::conflict, "srtp: the key in use has this MKI");
  rtp_ = SrtpTransform::for_rtp(aead, keys);
  rtcp_ = SrtpTransform::for_rtcp(aead, keys);
  mki_ = mki;
  return {};
}

std::string_view name(SrtpDrop reason) noexcept {
  switch (reason) {
    case SrtpDrop::malformed:
      return "malformed";
    case SrtpDrop::wrong_mki:
      return "wrong_mki";
    case SrtpDrop::wrong_ssrc:
      return "wrong_ssrc";
    case SrtpDrop::replayed:
      return "replayed";
    case SrtpDrop::too_old:
      return "too_old";
    case SrtpDrop::bad_tag:
      return "bad_tag";
  }
  CHECK(false);
}

std::uint64_t SrtpCounts::dropped_total() const { return std::accumulate(dropped.begin(), dropped.end(), std::uint64_t{0}); }

SrtpReceiver::SrtpReceiver(crypto::Aead aead, const MediaKeys& keys, const Mki& mki, std::uint32_t first_roc) : first_roc_(first_roc) {
  keys_.reserve(receive_keys_max);
  keys_.push_back({.rtp = SrtpTransform::for_rtp(aead, keys), .rtcp = SrtpTransform::for_rtcp(aead, keys), .mki = mki});
}

Result<SrtpReceiver> SrtpReceiver::create(crypto::Aead aead, const MediaKeys& keys, const Mki& mki, std::uint32_t first_roc) {
  TRY(check_keys(aead, keys));
  return Result<SrtpReceiver>(SrtpReceiver(aead, keys, mki, first_roc));
}

Result<void> SrtpReceiver::add_key(crypto::Aead aead, const MediaKeys& keys, const Mki& mki) {
  TRY(check_keys(aead, keys));
  if (keys_.size() == receive_keys_max) return fail(ErrorCode::conflict, "srtp: two keys are held already");
  if (std::ranges::find(keys_, mki, &Key::mki) != keys_.end()) return fail(ErrorCode::conflict, "srtp: a key of this MKI is held already");
  keys_.push_back({.rtp = SrtpTransform::for_rtp(aead, keys), .rtcp = SrtpTransform::for_rtcp(aead, keys), .mki = mki});
  return {};
}

void SrtpReceiver::drop_key(const Mki& mki) {
  const auto place = std::ranges::find(keys_, mki, &Key::mki);
  if (place != keys_.end() && keys_.size() > 1) keys_.erase(place);
}

SrtpReceiver::Key* SrtpReceiver::key_of(ByteView packet) {
  const auto place = std::ranges::find(keys_, mki_at_end_of(packet), &Key::mki);
  return place == keys_.end() ? nullptr : &*place;
}

// RFC 3711 §3.3.1 and appendix A: the 48-bit index nearest to the newest one; nothing if that lies outside the key's space.
std::optional<std::uint64_t> SrtpReceiver::index_of(std::uint16_t sequence) const {
  const auto newest = window_.highest();
  if (!newest) return static_cast<std::uint64_t>(first_roc_) << sequence_bits | sequence;
  const auto step = static_cast<std::int16_t>(static_cast<std::uint16_t>(sequence - static_cast<std::uint16_t>(*newest)));
  const std::int64_t index = static_cast<std::int64_t>(*newest) + step;
  if (index < 0 || index > static_cast<std::int64_t>(srtp_index_max)) return std::nullopt;
  return static_cast<std::uint64_t>(index);
}

std::expected<Bytes, SrtpDrop> SrtpReceiver::unprotect(ByteView srtp_packet) { return counted(open(srtp_packet), counts_); }

std::expected<Bytes, SrtpDrop> SrtpReceiver::unprotect_rtcp(ByteView srtcp_packet) { return counted(open_rtcp(srtcp_packet), rtcp_counts_); }

std::expected<Bytes, SrtpDrop> SrtpReceiver::open(ByteView packet) {
  if (packet.size() > rtp_packet_octets_max || packet.size() < mki_octets) return std::unexpected(SrtpDrop::malformed);
  Key* const key = key_of(packet);
  if (key == nullptr) return std::unexpected(SrtpDrop::wrong_mki);
  const ByteView sealed = packet.first(packet.size() - mki_octets);
  std::size_t header_octets = 0;
  const auto header = parse_rtp_header(sealed, header_octets);
  if (!header || sealed.size() < header_octets + srtp_tag_octets) return std::unexpected(SrtpDrop::malformed);
  if (ssrc_ && header->ssrc != *ssrc_) return std::unexpected(SrtpDrop::wrong_ssrc);
  const auto index = index_of(header->sequence);
  if (!index) return std::unexpected(SrtpDrop::too_old);
  if (const auto verdict = window_.judge(*index); verdict != ReplayWindow::Verdict::fresh) return std::unexpected(drop_of(verdict));
  auto opened = key->rtp.open_rtp(header->ssrc, *index, sealed, header_octets);
  if (!opened) return std::unexpected(SrtpDrop::bad_tag);
  window_.take(*index);
  ssrc_ = header->ssrc;
  return std::move(*opened);
}

std::expected<Bytes, SrtpDrop> SrtpReceiver::open_rtcp(ByteView packet) {
  if (packet.size() > rtp_packet_octets_max || packet.size() < mki_octets) return std::unexpected(SrtpDrop::malformed);
  Key* const key = key_of(packet);
  if (key == nullptr) return std::unexpected(SrtpDrop::wrong_mki);
  const ByteView sealed = packet.first(packet.size() - mki_octets);
  if (!has_rtcp_shape(sealed) || sealed.size() < rtcp_header_octets + srtp_tag_octets + rtcp_index_octets) return std::unexpected(SrtpDrop::malformed);
  const auto ssrc = read_big_endian<std::uint32_t>(sealed, rtcp_ssrc_at);
  if (ssrc_ && ssrc != *ssrc_) return std::unexpected(SrtpDrop::wrong_ssrc);
  const std::uint64_t index = read_big_endian<std::uint32_t>(sealed, sealed.size() - rtcp_index_octets) & ~encrypted_flag;
  if (const auto verdict = rtcp_window_.judge(index); verdict != ReplayWindow::Verdict::fresh) return std::unexpected(drop_of(verdict));
  auto opened = key->rtcp.open_rtcp(ssrc, sealed);
  if (!opened) return std::unexpected(SrtpDrop::bad_tag);
  rtcp_window_.take(index);
  ssrc_ = ssrc;
  return std::move(*opened);
}

}  // namespace qanat::terminal
