// Percent-encoding as RFC 3986 has it.
#include "base/percent.hpp"

#include <gtest/gtest.h>

namespace qanat {
namespace {

TEST(PercentTest, EverythingButTheUnreservedCharactersIsEncoded) {
  EXPECT_EQ(to_percent("azAZ09-._~"), "azAZ09-._~");
  EXPECT_EQ(to_percent("a b/c?d=%&\n王"), "a%20b%2Fc%3Fd%3D%25%26%0A%E7%8E%8B");
  EXPECT_EQ(to_percent(""), "");
}

TEST(PercentTest, WhatWasEncodedComesBack) {
  std::string all;
  for (int octet = 0; octet < 256; ++octet) all.push_back(static_cast<char>(octet));
  EXPECT_EQ(from_percent(to_percent(all)), all);
  EXPECT_EQ(from_percent("%e7%8E%8b+"), "王+") << "either case; '+' is itself";
}

TEST(PercentTest, APercentSignHasTwoHexadecimalDigits) {
  for (const char* text : {"%", "a%4", "%4g", "%g4", "%%41", "% 1", "%+1"}) EXPECT_FALSE(from_percent(text)) << text;
}

}  // namespace
}  // namespace qanat
