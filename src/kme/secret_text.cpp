#include "kme/secret_text.hpp"

#include <algorithm>

#include "base/check.hpp"

namespace qanat::kme {
namespace {

/// All ones if a < b, else zero, for values below 2^8.
constexpr unsigned below(unsigned a, unsigned b) { return 0U - ((a - b) >> 31U); }

constexpr std::uint8_t sextet_letter(unsigned s) {
  const unsigned upper = below(s, 26) & (s + 'A');
  const unsigned lower = ~below(s, 26) & below(s, 52) & (s - 26 + 'a');
  const unsigned digit = ~below(s, 52) & below(s, 62) & (s - 52 + '0');
  const unsigned plus = ~below(s, 62) & below(s, 63) & static_cast<unsigned>('+');
  const unsigned slash = ~below(s, 63) & static_cast<unsigned>('/');
  return static_cast<std::uint8_t>(upper | lower | digit | plus | slash);
}
static_assert(sextet_letter(0) == 'A' && sextet_letter(25) == 'Z' && sextet_letter(26) == 'a' && sextet_letter(51) == 'z');
static_assert(sextet_letter(52) == '0' && sextet_letter(61) == '9' && sextet_letter(62) == '+' && sextet_letter(63) == '/');

constexpr std::uint8_t nibble_digit(unsigned n) { return static_cast<std::uint8_t>((below(n, 10) & (n + '0')) | (~below(n, 10) & (n - 10 + 'a'))); }

}  // namespace

void write_base64(ByteView octets, std::span<std::uint8_t> out) noexcept {
  std::size_t to = 0;
  for (std::size_t at = 0; at < octets.size(); at += 3) {
    const std::size_t left = std::min<std::size_t>(3, octets.size() - at);
    unsigned bits = 0;
    for (std::size_t i = 0; i < 3; ++i) bits = bits << 8U | (i < left ? octets[at + i] : 0U);
    for (unsigned i = 0; i < 4; ++i) out[to++] = i > left ? std::uint8_t{'='} : sextet_letter(bits >> (18U - 6U * i) & 63U);
  }
}

void write_hex(ByteView octets, std::span<std::uint8_t> out) noexcept {
  for (std::size_t i = 0; i < octets.size(); ++i) {
    out[2 * i] = nibble_digit(octets[i] >> 4U);
    out[2 * i + 1] = nibble_digit(octets[i] & 15U);
  }
}

std::span<std::uint8_t> SecretText::next(std::size_t size) {
  CHECK(size <= text_.size() - at_);
  at_ += size;
  return text_.writable().subspan(at_ - size, size);
}

SecretText& SecretText::add(std::string_view text) {
  std::ranges::copy(as_bytes(text), next(text.size()).begin());
  return *this;
}
SecretText& SecretText::add_base64(ByteView octets) {
  write_base64(octets, next(base64_size(octets.size())));
  return *this;
}
SecretText& SecretText::add_hex(ByteView octets) {
  write_hex(octets, next(2 * octets.size()));
  return *this;
}

Secret SecretText::finish() && {
  CHECK(at_ == text_.size());
  return std::move(text_);
}

}  // namespace qanat::kme
