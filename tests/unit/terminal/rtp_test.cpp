#include "terminal/rtp.hpp"

#include <gtest/gtest.h>

namespace qanat::terminal {
namespace {

const RtpHeader some_header{.marker = true, .payload_type = rtp_pcma, .sequence = 0x1234, .timestamp = 0x01020304, .ssrc = 0xAABBCCDD};

Bytes hex(std::string_view text) { return from_hex(text).value(); }

TEST(RtpTest, EncodesTheFixedHeaderOfRfc3550) {
  EXPECT_EQ(to_hex(encode_rtp(some_header, hex("d5d5"))),
            "808812340102030"
            "4aabbccdd"
            "d5d5");
}

TEST(RtpTest, ParsesWhatItEncodes) {
  const auto packet = parse_rtp(encode_rtp(some_header, hex("d5d4")));
  ASSERT_TRUE(packet) << packet.error().message;
  EXPECT_EQ(packet->header, some_header);
  EXPECT_EQ(packet->header_octets, rtp_header_octets);
  EXPECT_EQ(packet->payload, hex("d5d4"));
}

TEST(RtpTest, ReadsPastSourcesAndExtensionAndTakesPaddingOff) {
  // V=2, P, X, two CSRCs; extension of one word; payload d5; 3 octets of padding.
  const auto packet = parse_rtp(hex("b2080001000000a0000000010000000200000003bede0001deadbeefd5000003"));
  ASSERT_TRUE(packet) << packet.error().message;
  EXPECT_EQ(packet->header_octets, 12U + 8U + 8U);
  EXPECT_EQ(packet->payload, hex("d5"));
}

TEST(RtpTest, RefusesWhatIsShorterThanItsHeaderSays) {
  const Bytes whole = hex("92080001000000a0000000010000000200000003bede0001deadbeef");
  ASSERT_TRUE(parse_rtp(whole));
  for (std::size_t size = 0; size < whole.size(); ++size) EXPECT_FALSE(parse_rtp(ByteView(whole).first(size))) << size;
}

TEST(RtpTest, RefusesOtherVersionsAndPaddingThatDoesNotFit) {
  EXPECT_FALSE(parse_rtp(hex("40080001000000a000000001")));
  EXPECT_FALSE(parse_rtp(hex("a0080001000000a000000001")));
  EXPECT_FALSE(parse_rtp(hex("a0080001000000a000000001d500")));
  EXPECT_FALSE(parse_rtp(hex("a0080001000000a000000001d503")));
}

/// What comes out: the payload's first octet, or -1 for a loss.
std::vector<int> played(ReorderBuffer& buffer, bool to_the_end) {
  std::vector<int> out;
  while (const auto slot = to_the_end ? buffer.drain() : buffer.pop()) out.push_back(slot->payload ? slot->payload->at(0) : -1);
  return out;
}

TEST(ReorderBufferTest, PutsPacketsInOrder) {
  ReorderBuffer buffer(4);
  for (const std::uint8_t n : std::initializer_list<std::uint8_t>{3, 1, 2, 0, 5, 4}) buffer.push(n, {n});
  EXPECT_EQ(played(buffer, true), (std::vector{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(buffer.counts().lost, 0U);
  EXPECT_EQ(buffer.counts().received, 6U);
}

TEST(ReorderBufferTest, WaitsForAMissingPacketOnlyAsLongAsItsDepth) {
  ReorderBuffer buffer(3);
  for (const std::uint8_t n : std::initializer_list<std::uint8_t>{0, 1, 2}) buffer.push(n, {n});
  EXPECT_EQ(played(buffer, false), (std::vector{0, 1, 2}));
  buffer.push(4, {4});
  buffer.push(5, {5});
  EXPECT_EQ(played(buffer, false), (std::vector<int>{}));
  buffer.push(6, {6});
  EXPECT_EQ(played(buffer, false), (std::vector{-1, 4, 5, 6}));
  EXPECT_EQ(buffer.counts().lost, 1U);
  buffer.push(3, {3});
  EXPECT_EQ(buffer.counts().late, 1U);
  EXPECT_EQ(played(buffer, true), (std::vector<int>{}));
}

TEST(ReorderBufferTest, CountsEachLossOfAGapOnce) {
  ReorderBuffer buffer(2);
  for (const std::uint8_t n : std::initializer_list<std::uint8_t>{0, 1, 2, 7, 9}) buffer.push(n, {n});
  EXPECT_EQ(played(buffer, true), (std::vector{0, 1, 2, -1, -1, -1, -1, 7, -1, 9}));
  EXPECT_EQ(buffer.counts().lost, 5U);
}

TEST(ReorderBufferTest, TakesADuplicateOnce) {
  ReorderBuffer buffer(2);
  buffer.push(1, {1});
  buffer.push(1, {9});
  buffer.push(2, {2});
  EXPECT_EQ(played(buffer, true), (std::vector{1, 2}));
  EXPECT_EQ(buffer.counts().duplicated, 1U);
}

TEST(ReorderBufferTest, FollowsTheSequenceNumberAroundItsEnd) {
  ReorderBuffer buffer(2);
  for (const std::uint16_t n : std::initializer_list<std::uint16_t>{0xFFFE, 0, 0xFFFF, 1}) buffer.push(n, {static_cast<std::uint8_t>(n)});
  EXPECT_EQ(played(buffer, true), (std::vector{0xFE, 0xFF, 0, 1}));
}

TEST(ReorderBufferTest, RefusesAJumpThatIsNotOfThisStream) {
  ReorderBuffer buffer(1);
  buffer.push(10, {1});
  buffer.push(10 + ReorderBuffer::gap_max + 1, {2});
  EXPECT_EQ(buffer.counts().refused, 1U);
  EXPECT_EQ(played(buffer, true), (std::vector{1}));
}

TEST(ReorderBufferTest, StaysWithinItsBoundWhenNobodyPops) {
  ReorderBuffer buffer;
  for (std::uint16_t n = 0; n < ReorderBuffer::waiting_max + 5; ++n) buffer.push(n, {1});
  EXPECT_EQ(buffer.counts().received, ReorderBuffer::waiting_max);
  EXPECT_EQ(buffer.counts().refused, 5U);
}

}  // namespace
}  // namespace qanat::terminal
