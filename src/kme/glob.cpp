#include "kme/glob.hpp"

namespace qanat::kme {
namespace {

/// Where the character that begins at `at` ends.
std::size_t past_character(std::string_view text, std::size_t at) noexcept {
  for (++at; at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0U) == 0x80U;) ++at;
  return at;
}

}  // namespace

bool is_glob(std::string_view text) noexcept { return text.find_first_of("*?") != std::string_view::npos; }

bool glob_matches(std::string_view pattern, std::string_view text) noexcept {
  std::size_t p = 0;
  std::size_t t = 0;
  // The last '*' seen, and up to where it stands for text. An earlier one never needs to stand for more: what is between the two matched where it did.
  std::size_t star = std::string_view::npos;
  std::size_t covered = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      covered = t;
    } else if (p < pattern.size() && pattern[p] == '?') {
      ++p;
      t = past_character(text, t);
    } else if (p < pattern.size() && pattern[p] == text[t]) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      covered = past_character(text, covered);
      p = star + 1;
      t = covered;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace qanat::kme
