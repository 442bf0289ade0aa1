#include "wire/base64.hpp"

#include <gtest/gtest.h>

namespace qanat::wire {
namespace {

// RFC 4648 §10.
TEST(Base64Test, AgreesWithTheRfc) {
  const std::pair<std::string_view, std::string_view> rows[] = {
      {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
  for (const auto& [plain, text] : rows) {
    EXPECT_EQ(to_base64(as_bytes(plain)), text);
    EXPECT_EQ(from_base64(text).value(), to_bytes(plain));
  }
}

TEST(Base64Test, RefusesEveryOtherSpelling) {
  for (const char* text : {"Zg", "Zg=", "Zh==", "Zm9=", "Zg==\n", " Zg==", "Zg===", "====", "=", "Z===", "Zm9v=", "Zm-_", "Zm9vZg==Zm9v", "Zg==Zg=="}) {
    EXPECT_FALSE(from_base64(text).has_value()) << text;
  }
}

TEST(Base64Test, UrlAlphabetHasNoPadding) {
  const Bytes octets{0xfb, 0xff, 0xfe, 0x01};
  EXPECT_EQ(to_base64(octets), "+//+AQ==");
  EXPECT_EQ(to_base64url(octets), "-__-AQ");
  EXPECT_EQ(from_base64url("-__-AQ").value(), octets);
  for (const char* text : {"-__-AQ==", "+//+AQ", "-__-A", "-__-AR"}) EXPECT_FALSE(from_base64url(text).has_value()) << text;
}

}  // namespace
}  // namespace qanat::wire
