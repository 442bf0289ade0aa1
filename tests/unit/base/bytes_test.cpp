#include "base/bytes.hpp"

#include <gtest/gtest.h>

namespace qanat {
namespace {

TEST(BytesTest, HexadecimalGoesThereAndBackForEveryOctet) {
  Bytes all(256);
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<std::uint8_t>(i);
  const std::string text = to_hex(all);
  EXPECT_EQ(text.size(), 512U);
  EXPECT_EQ(text.substr(0, 8), "00010203");
  EXPECT_EQ(text.substr(504), "fcfdfeff");
  EXPECT_EQ(from_hex(text), all);
}

TEST(BytesTest, HexadecimalIsReadInEitherCase) {
  EXPECT_EQ(from_hex("aBcDeF"), (Bytes{0xab, 0xcd, 0xef}));
  EXPECT_EQ(from_hex(""), Bytes{});
}

TEST(BytesTest, TextThatIsNotHexadecimalIsRefused) {
  for (const char* text : {"0", "abc", "0g", "g0", " 00", "00 ", "0x00", "-1", "/0", ":0", "@0", "`0"}) EXPECT_FALSE(from_hex(text)) << text;
  EXPECT_FALSE(from_hex(std::string_view("0\0", 2)));
}

TEST(BytesTest, PartsAreJoinedInOrder) {
  EXPECT_EQ(concat({as_bytes("ab"), {}, as_bytes("c")}), to_bytes("abc"));
  EXPECT_EQ(concat({}), Bytes{});
  Bytes out = to_bytes("x");
  append(out, as_bytes("yz"));
  EXPECT_EQ(as_text(out), "xyz");
}

TEST(BytesTest, EqualMeansSameLengthAndSameOctets) {
  EXPECT_TRUE(equal({}, {}));
  EXPECT_TRUE(equal(as_bytes("abc"), to_bytes("abc")));
  EXPECT_FALSE(equal(as_bytes("abc"), as_bytes("abd")));
  EXPECT_FALSE(equal(as_bytes("abc"), as_bytes("ab")));
}

}  // namespace
}  // namespace qanat
