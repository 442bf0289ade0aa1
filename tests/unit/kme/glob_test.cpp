// Patterns of names: what they match, and that no pattern makes the matching slow.
#include "kme/glob.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <string>

namespace qanat::kme {
namespace {

TEST(Glob, StarStandsForAnyTextAndQuestionMarkForOneCharacter) {
  for (const auto& [pattern, text] : {std::pair{"*", ""},
                                      {"*", "x"},
                                      {"enc-*", "enc-"},
                                      {"enc-*", "enc-b-17"},
                                      {"enc-?-1?", "enc-b-17"},
                                      {"*-17", "enc-b-17"},
                                      {"e*b*7", "enc-b-17"},
                                      {"**", "x"},
                                      {"?", "ü"},
                                      {"a*?", "aü"},
                                      {"", ""},
                                      {"*a*b", "aabab"},
                                      {"[a]", "[a]"},
                                      {"\\*", "\\x"}}) {
    EXPECT_TRUE(glob_matches(pattern, text)) << pattern << ' ' << text;
  }
  for (const auto& [pattern, text] :
       {std::pair{"", "x"}, {"?", ""}, {"?", "xy"}, {"??", "ü"}, {"*??", "ü"}, {"enc-*", "Enc-b"}, {"enc-*", "xenc-b"}, {"*-17", "enc-b-171"}, {"[a]", "a"}}) {
    EXPECT_FALSE(glob_matches(pattern, text)) << pattern << ' ' << text;
  }
}

/// The definition, word for word: exponential, for small texts.
bool by_definition(std::string_view pattern, std::string_view text) {
  if (pattern.empty()) return text.empty();
  if (pattern[0] == '*') return by_definition(pattern.substr(1), text) || (!text.empty() && by_definition(pattern, text.substr(1)));
  return !text.empty() && (pattern[0] == '?' || pattern[0] == text[0]) && by_definition(pattern.substr(1), text.substr(1));
}

TEST(Glob, IsWhatTheDefinitionSaysForAllSmallPatternsAndTexts) {
  const std::function<void(std::string, std::size_t, std::string_view, const std::function<void(const std::string&)>&)> all =
      [&](std::string prefix, std::size_t left, std::string_view letters, const std::function<void(const std::string&)>& each) {
        each(prefix);
        if (left == 0) return;
        for (const char c : letters) all(prefix + c, left - 1, letters, each);
      };
  std::size_t compared = 0;
  all("", 5, "a*?b", [&](const std::string& pattern) {
    all("", 5, "ab", [&](const std::string& text) {
      ++compared;
      ASSERT_EQ(glob_matches(pattern, text), by_definition(pattern, text)) << pattern << ' ' << text;
    });
  });
  EXPECT_EQ(compared, 1365U * 63U);
}

TEST(Glob, ManyStarsCostNoMoreThanPatternTimesText) {
  std::string pattern;
  for (int i = 0; i < 100; ++i) pattern += "*a";
  EXPECT_FALSE(glob_matches(pattern + "b", std::string(256, 'a')));  // by backtracking this would not end
  EXPECT_TRUE(glob_matches(pattern, std::string(256, 'a')));
}

}  // namespace
}  // namespace qanat::kme
