#include "wire/secret_text.hpp"

#include <algorithm>

#include "base/check.hpp"

namespace qanat::wire {
namespace {

/// All ones if a < b, else zero, for values below 2^8.
constexpr unsigned below(unsigned a, unsigned b) { return 0U - ((a - b) >> 31U); }

/// Values above 63 stand for no letter.
constexpr unsigned letter_sextet(unsigned c) {
  const auto within = [c](unsigned first, unsigned last, unsigned value) { return ~below(c, first) & below(c, last + 1) & (c - first + value + 1); };
  // Each of them, if it is the one, is one more than the value; none is zero.
  const unsigned found = within('A', 'Z', 0) | within('a', 'z', 26) | within('0', '9', 52) | within('+', '+', 62) | within('/', '/', 63);
  return found - 1;
}
static_assert(letter_sextet('A') == 0 && letter_sextet('z') == 51 && letter_sextet('9') == 61 && letter_sextet('+') == 62 && letter_sextet('/') == 63);
static_assert(letter_sextet('=') > 63 && letter_sextet('-') > 63 && letter_sextet(0) > 63 && letter_sextet(255) > 63 && letter_sextet('@') > 63);

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

constexpr unsigned equals(unsigned a, unsigned b) { return ~below(a, b) & ~below(b, a); }

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

Secret base64url_text(const Secret& octets) {
  Secret padded(base64_size(octets.size()));
  write_base64(octets.reveal(), padded.writable());
  Secret out = Secret::copy_of(padded.reveal().first((octets.size() * 4 + 2) / 3));
  for (std::uint8_t& letter : out.writable()) {
    const unsigned plus = equals(letter, '+');
    const unsigned slash = equals(letter, '/');
    letter = static_cast<std::uint8_t>((plus & '-') | (slash & '_') | (~plus & ~slash & letter));
  }
  return out;
}

Result<Secret> secret_from_base64(ByteView text) {
  const auto bad = [](const char* why) { return fail(ErrorCode::invalid_argument, std::string("base64: ") + why); };
  if (text.size() % 4 != 0) return bad("its length is no multiple of 4");
  std::size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  Secret out(text.size() / 4 * 3 - padding);
  const std::span<std::uint8_t> to = out.writable();
  unsigned wrong = 0;
  unsigned bits = 0;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const unsigned sextet = at < text.size() - padding ? letter_sextet(text[at]) : 0;
    wrong |= sextet & ~63U;
    bits = (bits << 6U | (sextet & 63U)) & 0xffffffU;
    if (at % 4 != 3) continue;
    const std::size_t first = at / 4 * 3;
    for (std::size_t i = 0; i < 3; ++i) {
      const auto octet = static_cast<std::uint8_t>(bits >> (16U - 8U * i) & 255U);
      if (first + i < to.size()) {
        to[first + i] = octet;
      } else {
        wrong |= octet;  // unused bits
      }
    }
  }
  if (wrong != 0) return bad("a character outside the alphabet, or unused bits that are not zero");
  return out;
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
SecretText& SecretText::add_base64_lines(ByteView octets) {
  for (std::size_t at = 0; at < octets.size(); at += base64_line_octets) {
    add_base64(octets.subspan(at, std::min(base64_line_octets, octets.size() - at)));
    add("\n");
  }
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

}  // namespace qanat::wire
