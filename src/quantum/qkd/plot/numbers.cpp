#include "quantum/qkd/plot/numbers.hpp"

#include <array>
#include <charconv>
#include <cmath>

namespace qanat::qkd {
namespace {

constexpr std::size_t longest = 400;  // a double with all its digits before the point
constexpr int general_digits = 6;

std::string printed(double value, std::chars_format format, int precision) {
  std::array<char, longest> buffer{};
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, format, precision);
  return error == std::errc() ? std::string(buffer.data(), end) : std::string();
}

}  // namespace

std::string fixed_text(double value, int decimals) { return printed(value, std::chars_format::fixed, decimals); }

std::string general_text(double value) { return printed(value, std::chars_format::general, general_digits); }

std::string power_of_ten(int exponent) {
  constexpr std::array digits{"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
  std::string out = exponent < 0 ? "10⁻" : "10";
  for (const char digit : std::to_string(std::abs(exponent))) out += digits[static_cast<std::size_t>(digit - '0')];
  return out;
}

std::string short_number(double value) {
  if (!(value >= 1e4 && std::isfinite(value))) return general_text(value);
  int exponent = static_cast<int>(std::floor(std::log10(value) + 1e-12));
  double leading = std::round(value / std::pow(10.0, exponent) * 100.0) / 100.0;
  if (leading >= 10.0) {
    leading /= 10.0;
    ++exponent;
  }
  return leading == 1.0 ? power_of_ten(exponent) : general_text(leading) + "·" + power_of_ten(exponent);
}

}  // namespace qanat::qkd
