// Captures that Wireshark opens: pcapng (draft-ietf-opsawg-pcapng) with one interface of raw IP packets and times in nanoseconds.
#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "net/udp.hpp"

namespace qanat::terminal {

inline constexpr std::uint16_t link_type_raw_ip = 101;  // LINKTYPE_RAW
inline constexpr std::size_t capture_octets_max = std::size_t{64} << 20;

/// Collects a capture in memory, at most capture_octets_max octets; what comes after is counted, not kept.
class CaptureWriter {
 public:
  /// `interface_name` is shown by Wireshark as the interface.
  explicit CaptureWriter(std::string_view interface_name);
  /// `time_ns` since the Unix epoch; `ip_packet` from the IP header on.
  void add(std::uint64_t time_ns, ByteView ip_packet);
  /// A datagram between two IPv4 endpoints.
  Result<void> add_udp(std::uint64_t time_ns, const net::Endpoint& from, const net::Endpoint& to, ByteView payload);

  [[nodiscard]] const Bytes& octets() const noexcept { return octets_; }
  [[nodiscard]] std::size_t packets() const noexcept { return packets_; }
  [[nodiscard]] std::size_t dropped() const noexcept { return dropped_; }

 private:
  Bytes octets_;
  std::size_t packets_ = 0;
  std::size_t dropped_ = 0;
};

struct CapturedPacket {
  std::uint64_t time_ns = 0;
  Bytes octets;
};

struct Capture {
  std::uint16_t link_type = 0;
  std::vector<CapturedPacket> packets;
};

inline constexpr std::size_t capture_packets_max = 1'000'000;

/// Reads one section in little-endian order with one interface in nanoseconds, which is what CaptureWriter makes; block kinds that it does not
/// know are passed over. invalid_argument with the offset otherwise.
Result<Capture> parse_capture(ByteView file);

}  // namespace qanat::terminal
