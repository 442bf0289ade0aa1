#include "terminal/pcapng.hpp"

#include <gtest/gtest.h>

#include "terminal/ipv4.hpp"
#include "terminal/octet_order.hpp"

namespace qanat::terminal {
namespace {

const net::Endpoint a{.host = "127.0.0.1", .port = 5060};
const net::Endpoint b{.host = "127.0.0.1", .port = 40'000};
constexpr std::uint64_t time_ns = 1'760'000'000'123'456'789;

CaptureWriter some_capture() {
  CaptureWriter writer("lo");
  EXPECT_TRUE(writer.add_udp(time_ns, a, b, as_bytes("odd")));
  EXPECT_TRUE(writer.add_udp(time_ns + 20'000'000, b, a, as_bytes("even")));
  return writer;
}

/// RFC 1071: the sum over a region that holds its own checksum is all ones.
std::uint16_t folded_sum(ByteView octets) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < octets.size(); ++i) sum += i % 2 == 0 ? static_cast<std::uint32_t>(octets[i]) << 8 : octets[i];
  while (sum > 0xFFFF) sum = (sum & 0xFFFF) + (sum >> 16);
  return static_cast<std::uint16_t>(sum);
}

void expect_capture_refused(ByteView file, std::string_view what) {
  const auto capture = parse_capture(file);
  ASSERT_FALSE(capture);
  EXPECT_EQ(capture.error().code, ErrorCode::invalid_argument);
  EXPECT_NE(capture.error().message.find(what), std::string::npos) << capture.error().message;
}

TEST(CaptureTest, ReadsBackWhatItWrote) {
  const auto capture = parse_capture(some_capture().octets());
  ASSERT_TRUE(capture) << capture.error().message;
  EXPECT_EQ(capture->link_type, link_type_raw_ip);
  ASSERT_EQ(capture->packets.size(), 2U);
  EXPECT_EQ(capture->packets[0].time_ns, time_ns);
  EXPECT_EQ(capture->packets[1].time_ns, time_ns + 20'000'000);
  EXPECT_EQ(capture->packets[0].octets, ipv4_udp_packet(a, b, as_bytes("odd")).value());
}

TEST(CaptureTest, BlocksAreAlignedAndFramedByTheirLengths) {
  const Bytes file = some_capture().octets();
  EXPECT_EQ(to_hex(ByteView(file).first(4)), "0a0d0d0a");
  std::size_t at = 0;
  std::size_t blocks = 0;
  for (; at < file.size(); ++blocks) {
    const auto length = read_little_endian<std::uint32_t>(file, at + 4);
    ASSERT_EQ(length % 4, 0U);
    ASSERT_EQ(read_little_endian<std::uint32_t>(file, at + length - 4), length);
    at += length;
  }
  EXPECT_EQ(at, file.size());
  EXPECT_EQ(blocks, 4U);
}

TEST(CaptureTest, RefusesDamagedFiles) {
  const Bytes file = some_capture().octets();
  for (std::size_t size = 1; size < file.size(); ++size) {
    const auto capture = parse_capture(ByteView(file).first(size));
    if (capture) EXPECT_LT(capture->packets.size(), 2U) << size;
  }
  expect_capture_refused({}, "empty");
  expect_capture_refused(ByteView(file).subspan(read_little_endian<std::uint32_t>(file, 4)), "no section header");
  expect_capture_refused(concat({file, file}), "second section");
  Bytes altered = file;
  altered[8] = 0x1A;
  expect_capture_refused(altered, "little-endian");
  altered = file;
  altered[file.size() - 4] ^= 4;
  expect_capture_refused(altered, "two lengths");
}

TEST(CaptureTest, CountsWhatItDoesNotKeep) {
  CaptureWriter writer("lo");
  writer.add(0, Bytes(300'000));
  EXPECT_EQ(writer.dropped(), 1U);
  EXPECT_EQ(writer.packets(), 0U);
}

TEST(Ipv4Test, BothChecksumsHold) {
  for (const std::string_view payload : {"", "odd", "even"}) {
    const Bytes packet = ipv4_udp_packet(a, b, as_bytes(payload)).value();
    ASSERT_EQ(packet.size(), 28U + payload.size());
    EXPECT_EQ(folded_sum(ByteView(packet).first(20)), 0xFFFF);
    // RFC 768's pseudo-header: addresses, protocol, UDP length.
    Bytes covered = to_bytes(ByteView(packet).subspan(12, 8));
    append_big_endian(covered, std::uint16_t{17});
    append_big_endian(covered, static_cast<std::uint16_t>(8 + payload.size()));
    append(covered, ByteView(packet).subspan(20));
    EXPECT_EQ(folded_sum(covered), 0xFFFF) << payload;
  }
}

TEST(Ipv4Test, RefusesWhatItCannotWrite) {
  EXPECT_FALSE(ipv4_udp_packet({.host = "localhost", .port = 1}, b, {}));
  EXPECT_FALSE(ipv4_udp_packet(a, {.host = "::1", .port = 1}, {}));
  EXPECT_FALSE(ipv4_udp_packet(a, b, Bytes(udp_payload_max + 1)));
  EXPECT_TRUE(ipv4_udp_packet(a, b, Bytes(udp_payload_max)));
}

TEST(Ipv4Test, ReadsAddressesStrictly) {
  EXPECT_EQ(parse_ipv4("192.0.2.255"), (Ipv4{192, 0, 2, 255}));
  for (const auto* wrong : {"", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1..3.4", "1.2.3.4 ", "a.b.c.d"}) EXPECT_FALSE(parse_ipv4(wrong)) << wrong;
  EXPECT_TRUE(parse_endpoint("127.0.0.1:65535"));
  for (const auto* wrong : {"127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:-1"}) EXPECT_FALSE(parse_endpoint(wrong)) << wrong;
}

}  // namespace
}  // namespace qanat::terminal
