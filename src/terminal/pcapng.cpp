#include "terminal/pcapng.hpp"

#include <string>

#include "terminal/ipv4.hpp"
#include "terminal/octet_order.hpp"

namespace qanat::terminal {
namespace {

constexpr std::uint32_t section_header_block = 0x0A0D0D0A;
constexpr std::uint32_t interface_block = 1;
constexpr std::uint32_t enhanced_packet_block = 6;
constexpr std::uint32_t byte_order_magic = 0x1A2B3C4D;
constexpr std::uint16_t option_end = 0;
constexpr std::uint16_t option_user_application = 4;  // shb_userappl
constexpr std::uint16_t option_interface_name = 2;    // if_name
constexpr std::uint16_t option_time_resolution = 9;   // if_tsresol
constexpr std::uint8_t nanoseconds = 9;               // 10^-9 s
constexpr std::uint32_t snap_length = 0x40000;
constexpr std::size_t block_frame = 12;  // type, length, and the length again behind the body
constexpr std::size_t section_fixed = 16;
constexpr std::size_t interface_fixed = 8;
constexpr std::size_t packet_fixed = 20;

std::size_t padding(std::size_t size) { return (4 - size % 4) % 4; }

void append_padded(Bytes& out, ByteView octets) {
  append(out, octets);
  out.insert(out.end(), padding(octets.size()), 0);
}

void append_option(Bytes& out, std::uint16_t code, ByteView value) {
  append_little_endian(out, code);
  append_little_endian(out, static_cast<std::uint16_t>(value.size()));
  append_padded(out, value);
}

void append_block(Bytes& out, std::uint32_t type, ByteView body) {
  const auto length = static_cast<std::uint32_t>(block_frame + body.size());
  append_little_endian(out, type);
  append_little_endian(out, length);
  append(out, body);
  append_little_endian(out, length);
}

std::unexpected<Error> refuse(std::size_t at, const std::string& what) {
  return fail(ErrorCode::invalid_argument, "pcapng: at octet " + std::to_string(at) + ": " + what);
}

Result<void> read_section(ByteView body, std::size_t at) {
  if (body.size() < section_fixed) return refuse(at, "section header too short");
  if (read_little_endian<std::uint32_t>(body, 0) != byte_order_magic) return refuse(at, "not in little-endian order");
  if (read_little_endian<std::uint16_t>(body, 4) != 1) return refuse(at, "major version other than 1");
  return {};
}

Result<void> read_interface(ByteView body, std::size_t at, Capture& capture) {
  if (body.size() < interface_fixed) return refuse(at, "interface description too short");
  capture.link_type = read_little_endian<std::uint16_t>(body, 0);
  for (ByteView options = body.subspan(interface_fixed); options.size() >= 4;) {
    const auto code = read_little_endian<std::uint16_t>(options, 0);
    const std::size_t size = read_little_endian<std::uint16_t>(options, 2);
    if (code == option_end) break;
    if (4 + size + padding(size) > options.size()) return refuse(at, "an interface option runs past its block");
    if (code == option_time_resolution && size == 1 && options[4] == nanoseconds) return {};
    options = options.subspan(4 + size + padding(size));
  }
  return refuse(at, "times are not in nanoseconds");
}

Result<void> read_packet(ByteView body, std::size_t at, Capture& capture) {
  if (body.size() < packet_fixed) return refuse(at, "packet block too short");
  if (read_little_endian<std::uint32_t>(body, 0) != 0) return refuse(at, "packet of an interface that was not described");
  const std::size_t size = read_little_endian<std::uint32_t>(body, 12);
  if (size > body.size() - packet_fixed) return refuse(at, "packet runs past its block");
  if (capture.packets.size() == capture_packets_max) return refuse(at, "more than " + std::to_string(capture_packets_max) + " packets");
  const std::uint64_t high = read_little_endian<std::uint32_t>(body, 4);
  capture.packets.push_back({.time_ns = high << 32 | read_little_endian<std::uint32_t>(body, 8), .octets = to_bytes(body.subspan(packet_fixed, size))});
  return {};
}

}  // namespace

CaptureWriter::CaptureWriter(std::string_view interface_name) {
  Bytes section;
  append_little_endian(section, byte_order_magic);
  append_little_endian(section, std::uint16_t{1});
  append_little_endian(section, std::uint16_t{0});
  append_little_endian(section, ~std::uint64_t{0});  // section length not given
  append_option(section, option_user_application, as_bytes("qanat"));
  append_option(section, option_end, {});
  append_block(octets_, section_header_block, section);

  Bytes interface;
  append_little_endian(interface, link_type_raw_ip);
  append_little_endian(interface, std::uint16_t{0});
  append_little_endian(interface, snap_length);
  append_option(interface, option_interface_name, as_bytes(interface_name));
  append_option(interface, option_time_resolution, ByteView(&nanoseconds, 1));
  append_option(interface, option_end, {});
  append_block(octets_, interface_block, interface);
}

void CaptureWriter::add(std::uint64_t time_ns, ByteView ip_packet) {
  if (ip_packet.size() > snap_length || octets_.size() + block_frame + packet_fixed + ip_packet.size() + 4 > capture_octets_max) {
    ++dropped_;
    return;
  }
  Bytes body;
  append_little_endian(body, std::uint32_t{0});
  append_little_endian(body, static_cast<std::uint32_t>(time_ns >> 32));
  append_little_endian(body, static_cast<std::uint32_t>(time_ns));
  append_little_endian(body, static_cast<std::uint32_t>(ip_packet.size()));
  append_little_endian(body, static_cast<std::uint32_t>(ip_packet.size()));
  append_padded(body, ip_packet);
  append_block(octets_, enhanced_packet_block, body);
  ++packets_;
}

Result<void> CaptureWriter::add_udp(std::uint64_t time_ns, const net::Endpoint& from, const net::Endpoint& to, ByteView payload) {
  ASSIGN_OR_RETURN(const Bytes packet, ipv4_udp_packet(from, to, payload));
  add(time_ns, packet);
  return {};
}

Result<Capture> parse_capture(ByteView file) {
  if (file.size() > capture_octets_max) return refuse(0, std::to_string(file.size()) + " octets, at most " + std::to_string(capture_octets_max) + " are read");
  Capture capture;
  bool have_section = false;
  bool have_interface = false;
  for (std::size_t at = 0; at < file.size();) {
    if (file.size() - at < block_frame) return refuse(at, "the file ends inside a block");
    const auto type = read_little_endian<std::uint32_t>(file, at);
    const std::size_t length = read_little_endian<std::uint32_t>(file, at + 4);
    if (length < block_frame || length % 4 != 0 || length > file.size() - at) return refuse(at, "block of " + std::to_string(length) + " octets");
    if (read_little_endian<std::uint32_t>(file, at + length - 4) != length) return refuse(at, "the two lengths of a block differ");
    const ByteView body = file.subspan(at + 8, length - block_frame);
    if (have_section != (type != section_header_block)) return refuse(at, have_section ? "a second section" : "no section header first");
    if (type == section_header_block) {
      TRY(read_section(body, at));
      have_section = true;
    } else if (type == interface_block) {
      if (have_interface) return refuse(at, "a second interface");
      TRY(read_interface(body, at, capture));
      have_interface = true;
    } else if (type == enhanced_packet_block) {
      if (!have_interface) return refuse(at, "a packet before its interface");
      TRY(read_packet(body, at, capture));
    }
    at += length;
  }
  if (!have_section) return refuse(0, "empty file");
  return capture;
}

}  // namespace qanat::terminal
