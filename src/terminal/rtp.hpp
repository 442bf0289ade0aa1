// RTP (RFC 3550) as the terminal speaks it: PCMA/8000 (payload type 8, RFC 3551), one packet per 20 ms.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace qanat::terminal {

inline constexpr std::uint8_t rtp_pcma = 8;
inline constexpr std::chrono::milliseconds packet_time{20};
inline constexpr std::size_t samples_per_packet = 160;  // 20 ms at 8000 Hz
inline constexpr std::size_t rtp_header_octets = 12;    // without CSRCs and extension
inline constexpr std::size_t rtp_packet_octets_max = 1500;

/// The fixed header, RFC 3550 §5.1. We send neither CSRC, extension nor padding, and read past the first two.
struct RtpHeader {
  bool marker = false;  // first packet of a talk spurt (RFC 3551 §4.1)
  std::uint8_t payload_type = rtp_pcma;
  std::uint16_t sequence = 0;
  std::uint32_t timestamp = 0;  // in samples
  std::uint32_t ssrc = 0;
  bool operator==(const RtpHeader&) const = default;
};

struct RtpPacket {
  RtpHeader header;
  std::size_t header_octets = 0;  // with CSRCs and extension: what SRTP authenticates but does not encrypt
  Bytes payload;
};

Bytes encode_rtp(const RtpHeader& header, ByteView payload);
/// invalid_argument if it is not version 2 or shorter than its own header says.
Result<RtpPacket> parse_rtp(ByteView packet);
/// The header alone; `header_octets` receives where the payload begins. Works on RTP and SRTP alike (padding is inside what SRTP encrypts).
Result<RtpHeader> parse_rtp_header(ByteView packet, std::size_t& header_octets);

/// Puts packets back in order and says which are missing. Pure: what has waited behind `depth` newer packets is given up, no clock is read.
class ReorderBuffer {
 public:
  static constexpr std::size_t depth_default = 8;   // 160 ms
  static constexpr std::uint32_t gap_max = 3000;    // a jump of a minute is not our stream (RFC 3550 A.1, MAX_DROPOUT)
  static constexpr std::size_t waiting_max = 1024;  // for a caller that does not pop

  struct Slot {
    std::uint64_t sequence = 0;    // extended by the number of wraps
    std::optional<Bytes> payload;  // nothing: this packet is lost
  };
  struct Counts {
    std::uint64_t received = 0;    // taken into the buffer
    std::uint64_t lost = 0;        // given up
    std::uint64_t duplicated = 0;  // came a second time while still waiting
    std::uint64_t late = 0;        // came after it was played or given up
    std::uint64_t refused = 0;     // too far from the newest, or the buffer is full
    bool operator==(const Counts&) const = default;
  };

  explicit ReorderBuffer(std::size_t depth = depth_default) : depth_(depth) {}

  void push(std::uint16_t sequence, Bytes payload);
  /// The next packet in order, or its loss; nothing while it may still come.
  std::optional<Slot> pop();
  /// As pop(), when nothing more will come: what is missing before a waiting packet is lost at once.
  std::optional<Slot> drain();
  [[nodiscard]] const Counts& counts() const noexcept { return counts_; }

 private:
  [[nodiscard]] std::uint64_t extended(std::uint16_t sequence) const;
  std::optional<Slot> take();

  std::size_t depth_;
  std::map<std::uint64_t, Bytes> waiting_;
  std::optional<std::uint64_t> next_;     // the sequence that pop() owes; set by the first pop
  std::optional<std::uint64_t> highest_;  // the newest seen
  Counts counts_;
};

}  // namespace qanat::terminal
