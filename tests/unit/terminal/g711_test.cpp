#include "terminal/g711.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

namespace qanat::terminal {
namespace {

// ITU-T G.711 tables 1a and 1b: decision values and the octet after inversion of the even bits, on the 16-bit scale (13-bit scale times 8).
TEST(G711Test, EncodesTheStandardsEndPoints) {
  EXPECT_EQ(alaw_encode(std::int16_t{0}), 0xD5);
  EXPECT_EQ(alaw_encode(std::int16_t{-1}), 0x55);
  EXPECT_EQ(alaw_encode(std::int16_t{15}), 0xD5);
  EXPECT_EQ(alaw_encode(std::int16_t{16}), 0xD4);
  EXPECT_EQ(alaw_encode(std::int16_t{255}), 0xDA);    // last interval of the linear segment
  EXPECT_EQ(alaw_encode(std::int16_t{256}), 0xC5);    // first of segment 1: 32 * 8
  EXPECT_EQ(alaw_encode(std::int16_t{512}), 0xF5);    // 64 * 8
  EXPECT_EQ(alaw_encode(std::int16_t{16384}), 0xA5);  // 2048 * 8
  EXPECT_EQ(alaw_encode(std::int16_t{32767}), 0xAA);
  EXPECT_EQ(alaw_encode(std::int16_t{-32768}), 0x2A);
}

TEST(G711Test, DecodesTheStandardsOutputValues) {
  EXPECT_EQ(alaw_decode(std::uint8_t{0xD5}), 8);
  EXPECT_EQ(alaw_decode(std::uint8_t{0x55}), -8);
  EXPECT_EQ(alaw_decode(std::uint8_t{0xAA}), 32256);  // 4032 * 8
  EXPECT_EQ(alaw_decode(std::uint8_t{0x2A}), -32256);
  EXPECT_EQ(alaw_decode(std::uint8_t{0xC5}), 264);  // 33 * 8
}

TEST(G711Test, EveryOctetSurvivesDecodingAndEncoding) {
  for (int octet = 0; octet < 256; ++octet) {
    const auto code = static_cast<std::uint8_t>(octet);
    EXPECT_EQ(alaw_encode(alaw_decode(code)), code);
  }
}

TEST(G711Test, EverySampleComesBackWithinHalfAnInterval) {
  for (int sample = -32768; sample <= 32767; ++sample) {
    const int back = alaw_decode(alaw_encode(static_cast<std::int16_t>(sample)));
    // Intervals: 16 wide up to 512, then doubling with each segment.
    int half = 8;
    for (int top = 512; top <= std::abs(sample + (sample < 0)) && top < 32768; top *= 2) half *= 2;
    EXPECT_LE(std::abs(back - sample), half) << sample;
    EXPECT_EQ(back < 0, sample < 0) << sample;
  }
}

TEST(G711Test, ConvertsWholePacketsSampleBySample) {
  const std::vector<std::int16_t> samples{0, 1000, -1000, 32767};
  const Bytes octets = alaw_encode(samples);
  ASSERT_EQ(octets.size(), samples.size());
  const auto back = alaw_decode(ByteView(octets));
  for (std::size_t i = 0; i < samples.size(); ++i) {
    EXPECT_EQ(octets[i], alaw_encode(samples[i]));
    EXPECT_EQ(back[i], alaw_decode(octets[i]));
  }
}

}  // namespace
}  // namespace qanat::terminal
