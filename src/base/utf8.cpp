#include "base/utf8.hpp"

#include <array>

namespace qanat {
namespace {

constexpr bool is_octet_between(char octet, unsigned low, unsigned high) {
  const auto value = static_cast<unsigned char>(octet);
  return value >= low && value <= high;
}

}  // namespace

std::size_t utf8_sequence(std::string_view text) noexcept {
  struct Shape {
    unsigned first_low, first_high, second_low, second_high;
    std::size_t size;
  };
  static constexpr std::array shapes{
      Shape{0x00, 0x7F, 0, 0, 1},       Shape{0xC2, 0xDF, 0x80, 0xBF, 2}, Shape{0xE0, 0xE0, 0xA0, 0xBF, 3},
      Shape{0xE1, 0xEC, 0x80, 0xBF, 3}, Shape{0xED, 0xED, 0x80, 0x9F, 3}, Shape{0xEE, 0xEF, 0x80, 0xBF, 3},
      Shape{0xF0, 0xF0, 0x90, 0xBF, 4}, Shape{0xF1, 0xF3, 0x80, 0xBF, 4}, Shape{0xF4, 0xF4, 0x80, 0x8F, 4},
  };
  for (const Shape& shape : shapes) {
    if (!is_octet_between(text[0], shape.first_low, shape.first_high)) continue;
    if (text.size() < shape.size) return 0;
    if (shape.size > 1 && !is_octet_between(text[1], shape.second_low, shape.second_high)) return 0;
    for (std::size_t i = 2; i < shape.size; ++i) {
      if (!is_octet_between(text[i], 0x80, 0xBF)) return 0;
    }
    return shape.size;
  }
  return 0;
}

bool is_utf8(std::string_view text) noexcept {
  while (!text.empty()) {
    const std::size_t size = utf8_sequence(text);
    if (size == 0) return false;
    text.remove_prefix(size);
  }
  return true;
}

}  // namespace qanat
