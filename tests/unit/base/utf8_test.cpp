// Well-formed UTF-8 by RFC 3629 (and Unicode 15, table 3-7): what is, and each way in which octets are not.
#include "base/utf8.hpp"

#include <gtest/gtest.h>

#include <string>

namespace qanat {
namespace {

TEST(Utf8Test, TakesWholeCharactersOfEveryLength) {
  EXPECT_TRUE(is_utf8(""));
  EXPECT_TRUE(is_utf8("sae b/\xC3\xBC \xE2\x82\xAC \xF0\x9F\x94\x91 \xED\x9F\xBF \xEE\x80\x80 \xF4\x8F\xBF\xBF"));
  EXPECT_EQ(utf8_sequence("a\xFF"), 1U);
  EXPECT_EQ(utf8_sequence("\xE2\x82\xAC!"), 3U);
}

TEST(Utf8Test, RefusesWhatIsCutOverlongASurrogateOrBeyondUnicode) {
  for (const char* text : {"\xFF", "\x80", "a\xC3", "\xE2\x82", "\xF0\x9F\x94", "\xC0\xAF", "\xC1\xBF", "\xE0\x80\xAF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
                           "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xC3(", "\xE2\x82("}) {
    EXPECT_FALSE(is_utf8(text)) << text;
    EXPECT_FALSE(is_utf8(std::string("enc-") + text)) << text;
  }
}

}  // namespace
}  // namespace qanat
