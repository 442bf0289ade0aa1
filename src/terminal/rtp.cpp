#include "terminal/rtp.hpp"

#include <algorithm>
#include <string>

#include "terminal/octet_order.hpp"

namespace qanat::terminal {
namespace {

constexpr std::uint8_t version_2 = 0x80;
constexpr std::uint8_t version_mask = 0xC0;
constexpr std::uint8_t padding_bit = 0x20;
constexpr std::uint8_t extension_bit = 0x10;
constexpr std::uint8_t csrc_count_mask = 0x0F;
constexpr std::uint8_t marker_bit = 0x80;
constexpr std::size_t word = 4;

// Extended sequence numbers begin one wrap up, so that a packet from before the first one seen does not go below zero.
constexpr std::uint64_t first_wrap = 0x10000;

std::unexpected<Error> too_short(std::size_t size, std::size_t least) {
  return fail(ErrorCode::invalid_argument, "rtp: " + std::to_string(size) + " octets where the header says at least " + std::to_string(least));
}

}  // namespace

Bytes encode_rtp(const RtpHeader& header, ByteView payload) {
  Bytes out;
  out.reserve(rtp_header_octets + payload.size());
  out.push_back(version_2);
  out.push_back(static_cast<std::uint8_t>((header.marker ? marker_bit : 0) | (header.payload_type & 0x7F)));
  append_big_endian(out, header.sequence);
  append_big_endian(out, header.timestamp);
  append_big_endian(out, header.ssrc);
  append(out, payload);
  return out;
}

Result<RtpHeader> parse_rtp_header(ByteView packet, std::size_t& header_octets) {
  if (packet.size() < rtp_header_octets) return too_short(packet.size(), rtp_header_octets);
  if ((packet[0] & version_mask) != version_2) return fail(ErrorCode::invalid_argument, "rtp: version " + std::to_string(packet[0] >> 6) + ", only 2 is read");
  std::size_t size = rtp_header_octets + word * (packet[0] & csrc_count_mask);
  if ((packet[0] & extension_bit) != 0) {
    if (packet.size() < size + word) return too_short(packet.size(), size + word);
    size += word + word * read_big_endian<std::uint16_t>(packet, size + 2);  // RFC 3550 §5.3.1
  }
  if (packet.size() < size) return too_short(packet.size(), size);
  header_octets = size;
  return RtpHeader{.marker = (packet[1] & marker_bit) != 0,
                   .payload_type = static_cast<std::uint8_t>(packet[1] & 0x7F),
                   .sequence = read_big_endian<std::uint16_t>(packet, 2),
                   .timestamp = read_big_endian<std::uint32_t>(packet, 4),
                   .ssrc = read_big_endian<std::uint32_t>(packet, 8)};
}

Result<RtpPacket> parse_rtp(ByteView packet) {
  RtpPacket out;
  ASSIGN_OR_RETURN(out.header, parse_rtp_header(packet, out.header_octets));
  ByteView payload = packet.subspan(out.header_octets);
  if ((packet[0] & padding_bit) != 0) {
    // §5.1: the last octet counts the padding, itself included.
    const std::size_t padding = payload.empty() ? 0 : payload.back();
    if (padding == 0 || padding > payload.size())
      return fail(ErrorCode::invalid_argument, "rtp: padding of " + std::to_string(padding) + " octets does not fit");
    payload = payload.first(payload.size() - padding);
  }
  out.payload = to_bytes(payload);
  return out;
}

std::uint64_t ReorderBuffer::extended(std::uint16_t sequence) const {
  if (!highest_) return first_wrap + sequence;
  // The number nearest to the newest one seen.
  const auto step = static_cast<std::int16_t>(static_cast<std::uint16_t>(sequence - static_cast<std::uint16_t>(*highest_)));
  return *highest_ + static_cast<std::uint64_t>(static_cast<std::int64_t>(step));
}

void ReorderBuffer::push(std::uint16_t sequence, Bytes payload) {
  const std::uint64_t at = extended(sequence);
  if (next_ && at < *next_) {
    ++counts_.late;
    return;
  }
  if ((highest_ && (at > *highest_ + gap_max || at + gap_max < *highest_)) || waiting_.size() >= waiting_max) {
    ++counts_.refused;
    return;
  }
  if (!waiting_.emplace(at, std::move(payload)).second) {
    ++counts_.duplicated;
    return;
  }
  ++counts_.received;
  highest_ = highest_ ? std::max(*highest_, at) : at;
}

std::optional<ReorderBuffer::Slot> ReorderBuffer::take() {
  if (waiting_.empty()) return std::nullopt;
  if (!next_) next_ = waiting_.begin()->first;
  Slot slot{.sequence = *next_, .payload = std::nullopt};
  if (const auto found = waiting_.begin(); found->first == *next_) {
    slot.payload = std::move(found->second);
    waiting_.erase(found);
  } else {
    ++counts_.lost;
  }
  ++*next_;
  return slot;
}

std::optional<ReorderBuffer::Slot> ReorderBuffer::pop() {
  if (waiting_.empty()) return std::nullopt;
  const bool next_is_here = next_ && waiting_.begin()->first == *next_;
  // Before the first pop nothing says where the stream begins: the first packets may themselves have changed places.
  if (!next_is_here && waiting_.size() < depth_) return std::nullopt;
  return take();
}

std::optional<ReorderBuffer::Slot> ReorderBuffer::drain() { return take(); }

}  // namespace qanat::terminal
