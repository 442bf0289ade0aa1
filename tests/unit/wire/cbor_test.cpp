#include "wire/cbor.hpp"

#include <gtest/gtest.h>

namespace qanat::wire {
namespace {

Bytes octets_of(std::string_view hex) { return *from_hex(hex); }

std::string written(std::int64_t value) {
  CborWriter writer;
  writer.integer(value);
  return to_hex(std::move(writer).take());
}

// RFC 8949, appendix A.
TEST(CborTest, IntegersAreWrittenAsTheExamplesOfTheStandard) {
  EXPECT_EQ(written(0), "00");
  EXPECT_EQ(written(23), "17");
  EXPECT_EQ(written(24), "1818");
  EXPECT_EQ(written(100), "1864");
  EXPECT_EQ(written(1000), "1903e8");
  EXPECT_EQ(written(1000000), "1a000f4240");
  EXPECT_EQ(written(1000000000000), "1b000000e8d4a51000");
  EXPECT_EQ(written(-1), "20");
  EXPECT_EQ(written(-100), "3863");
  EXPECT_EQ(written(-1000), "3903e7");
  EXPECT_EQ(written(INT64_MIN), "3b7fffffffffffffff");
}

TEST(CborTest, IntegersComeBack) {
  for (const std::int64_t value : {std::int64_t{0}, std::int64_t{23}, std::int64_t{24}, std::int64_t{255}, std::int64_t{256}, std::int64_t{65535}, std::int64_t{65536}, INT64_MAX,
                                   std::int64_t{-1}, std::int64_t{-65538}, INT64_MIN}) {
    const Bytes octets = octets_of(written(value));
    CborReader reader(octets);
    const auto read = reader.integer("value");
    ASSERT_TRUE(read) << value;
    EXPECT_EQ(*read, value);
    EXPECT_TRUE(reader.finish("value"));
  }
}

TEST(CborTest, OtherFormsOfTheSameValueAreRefused) {
  for (const char* hex : {"1817", "190064", "1a000003e8", "1b00000000000f4240", "3800", "1c", "1f", "1bffffffffffffffff"}) {
    const Bytes octets = octets_of(hex);
    EXPECT_FALSE(CborReader(octets).integer("value")) << hex;
  }
  const Bytes indefinite = octets_of("5f42010243030405ff");
  EXPECT_FALSE(CborReader(indefinite).octets("value"));
}

TEST(CborTest, AMapIsWrittenInOrderAndReadInNoOther) {
  CborMap map;
  map.integer(-1, 1);
  map.integer(24, 2);
  map.integer(1, 3);
  map.integer(-65537, 4);
  EXPECT_EQ(to_hex(map.encode()), "a4" "0103" "181802" "2001" "3a0001000004");
  const Bytes good = map.encode();
  const auto read = CborReader(good).map("map");
  ASSERT_TRUE(read);
  EXPECT_EQ(read->size(), 4U);
  for (const char* hex : {"a202010100", "a201010102", "a1018001", "a20101", "a16161" "01", "b90001" "0101"}) {
    const Bytes octets = octets_of(hex);
    CborReader reader(octets);
    const bool refused = !reader.map("map") || !reader.finish("map");
    EXPECT_TRUE(refused) << hex;
  }
}

TEST(CborTest, WhatALengthClaimsIsNotBelieved) {
  for (const char* hex : {"5affffffff00", "7b7fffffffffffffff", "9b7fffffffffffffff", "9a0000ffff00"}) {
    const Bytes octets = octets_of(hex);
    EXPECT_FALSE(CborReader(octets).item("item")) << hex;
  }
  const Bytes deep(100, 0x81);
  EXPECT_FALSE(CborReader(deep).item("item"));
  const Bytes not_text = octets_of("61ff");
  EXPECT_FALSE(CborReader(not_text).text("text"));
  const Bytes floating = octets_of("f93c00");
  EXPECT_FALSE(CborReader(floating).item("item"));
}

}  // namespace
}  // namespace qanat::wire
