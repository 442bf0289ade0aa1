#include "terminal/ipv4.hpp"

#include <charconv>
#include <string>

#include "terminal/octet_order.hpp"

namespace qanat::terminal {
namespace {

constexpr std::size_t ip_header_octets = 20;
constexpr std::size_t ip_checksum_at = 10;
constexpr std::size_t udp_header_octets = 8;
constexpr std::size_t udp_checksum_at = 6;
constexpr std::uint8_t protocol_udp = 17;
constexpr std::uint8_t time_to_live = 64;

template <class T>
std::optional<T> parse_decimal(std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || (text.size() > 1 && text.front() == '0')) return std::nullopt;
  return value;
}

/// RFC 1071 over big-endian words; an odd last octet is padded with zero.
std::uint16_t checksum(ByteView octets) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < octets.size(); i += 2) sum += static_cast<std::uint32_t>(octets[i]) << 8 | (i + 1 < octets.size() ? octets[i + 1] : 0U);
  while (sum > 0xFFFF) sum = (sum & 0xFFFF) + (sum >> 16);
  return static_cast<std::uint16_t>(~sum);
}

void put(Bytes& out, std::size_t at, std::uint16_t value) {
  out[at] = static_cast<std::uint8_t>(value >> 8);
  out[at + 1] = static_cast<std::uint8_t>(value);
}

}  // namespace

std::optional<Ipv4> parse_ipv4(std::string_view text) {
  Ipv4 out{};
  for (std::size_t i = 0; i < out.size(); ++i) {
    const std::size_t dot = text.find('.');
    if ((dot == std::string_view::npos) != (i + 1 == out.size())) return std::nullopt;
    const auto number = parse_decimal<std::uint8_t>(text.substr(0, dot));
    if (!number) return std::nullopt;
    out[i] = *number;
    text.remove_prefix(dot == std::string_view::npos ? text.size() : dot + 1);
  }
  return out;
}

std::optional<net::Endpoint> parse_endpoint(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos || !parse_ipv4(text.substr(0, colon))) return std::nullopt;
  const auto port = parse_decimal<std::uint16_t>(text.substr(colon + 1));
  if (!port || *port == 0) return std::nullopt;
  return net::Endpoint{.host = std::string(text.substr(0, colon)), .port = *port};
}

std::string to_text(const net::Endpoint& endpoint) { return endpoint.host + ":" + std::to_string(endpoint.port); }

Result<Bytes> ipv4_udp_packet(const net::Endpoint& from, const net::Endpoint& to, ByteView payload) {
  const auto source = parse_ipv4(from.host);
  const auto destination = parse_ipv4(to.host);
  if (!source || !destination) return fail(ErrorCode::invalid_argument, "ipv4: " + from.host + " to " + to.host + ": not two IPv4 addresses");
  if (payload.size() > udp_payload_max) return fail(ErrorCode::invalid_argument, "ipv4: UDP payload of " + std::to_string(payload.size()) + " octets");
  const auto udp_length = static_cast<std::uint16_t>(udp_header_octets + payload.size());

  Bytes out;
  out.reserve(ip_header_octets + udp_length);
  append_big_endian(out, std::uint16_t{0x4500});  // version 4, 5 words, no DSCP
  append_big_endian(out, static_cast<std::uint16_t>(ip_header_octets + udp_length));
  append_big_endian(out, std::uint32_t{0x00004000});  // identification 0, don't fragment
  out.push_back(time_to_live);
  out.push_back(protocol_udp);
  append_big_endian(out, std::uint16_t{0});
  append(out, *source);
  append(out, *destination);
  put(out, ip_checksum_at, checksum(out));

  Bytes udp;
  udp.reserve(udp_length);
  append_big_endian(udp, from.port);
  append_big_endian(udp, to.port);
  append_big_endian(udp, udp_length);
  append_big_endian(udp, std::uint16_t{0});
  append(udp, payload);
  // RFC 768: the pseudo-header of addresses, protocol and length comes first; a sum of zero is sent as all ones.
  Bytes covered = concat({*source, *destination});
  append_big_endian(covered, std::uint16_t{protocol_udp});
  append_big_endian(covered, udp_length);
  append(covered, udp);
  const std::uint16_t sum = checksum(covered);
  put(udp, udp_checksum_at, sum == 0 ? std::uint16_t{0xFFFF} : sum);
  append(out, udp);
  return out;
}

}  // namespace qanat::terminal
