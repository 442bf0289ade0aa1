#include "base/id.hpp"

#include <gtest/gtest.h>

#include <unordered_set>

namespace qanat {
namespace {

constexpr std::string_view text = "000102030405060708090a0b0c0d0e0f";

TEST(IdTest, IsReadFromOctetsAndFromHexadecimal) {
  const auto id = KeyId::parse_hex(text);
  ASSERT_TRUE(id);
  EXPECT_EQ(id->hex(), text);
  EXPECT_EQ(KeyId::parse(id->view()), *id);
  EXPECT_EQ(KeyId(id->view()), *id);
  EXPECT_EQ(KeyId::size, 16U);
}

TEST(IdTest, AnotherLengthIsRefused) {
  for (const std::size_t size : {0U, 15U, 17U, 32U}) {
    const auto id = KeyId::parse(Bytes(size));
    ASSERT_FALSE(id);
    EXPECT_EQ(id.error().code, ErrorCode::invalid_argument);
    EXPECT_NE(id.error().message.find(std::to_string(size)), std::string::npos);
  }
  EXPECT_FALSE(KeyId::parse_hex(text.substr(2)));
  EXPECT_FALSE(KeyId::parse_hex("zz0102030405060708090a0b0c0d0e0f"));
}

TEST(IdTest, OrdersAndHashesByItsOctets) {
  const KeyId small = KeyId::parse_hex(text).value();
  const KeyId large = KeyId::parse_hex("100102030405060708090a0b0c0d0e0f").value();
  EXPECT_LT(small, large);
  EXPECT_NE(small, large);
  const std::unordered_set<KeyId> ids{small, large, small};
  EXPECT_EQ(ids.size(), 2U);
  EXPECT_EQ(KeyId().hex(), std::string(32, '0'));
}

TEST(IdDeathTest, OctetsThatACallerVouchedForMustFit) { EXPECT_DEATH((void)KeyId(Bytes(15)), "CHECK"); }

TEST(NameTest, KeepsAndComparesItsText) {
  EXPECT_EQ(Uid("alice").text(), "alice");
  EXPECT_EQ(as_text(Uid("alice").view()), "alice");
  EXPECT_TRUE(Uid().empty());
  EXPECT_LT(Uid("alice"), Uid("bob"));
  EXPECT_EQ((std::unordered_set<Uid>{Uid("alice"), Uid("bob"), Uid("alice")}).size(), 2U);
}

}  // namespace
}  // namespace qanat
