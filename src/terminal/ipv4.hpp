// IPv4 addresses as text, and a UDP datagram as it would stand on the wire (for captures).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/bytes.hpp"
#include "net/udp.hpp"

namespace qanat::terminal {

using Ipv4 = std::array<std::uint8_t, 4>;

/// "127.0.0.1": four decimal numbers without leading zeros.
std::optional<Ipv4> parse_ipv4(std::string_view text);
/// "127.0.0.1:5060"; the port is 1..65535.
std::optional<net::Endpoint> parse_endpoint(std::string_view text);
std::string to_text(const net::Endpoint& endpoint);

inline constexpr std::size_t udp_payload_max = 65'507;

/// IPv4 header ‖ UDP header ‖ payload with both checksums (RFC 791, RFC 768); invalid_argument if a host is not IPv4 or the payload is too long.
Result<Bytes> ipv4_udp_packet(const net::Endpoint& from, const net::Endpoint& to, ByteView payload);

}  // namespace qanat::terminal
