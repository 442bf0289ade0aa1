#include "terminal/g711.hpp"

#include <algorithm>
#include <array>
#include <bit>

namespace qanat::terminal {
namespace {

constexpr std::uint8_t even_bits = 0x55;  // G.711 §2.1: "inversion of even bits"
constexpr std::uint8_t sign_bit = 0x80;   // set for positive values
constexpr unsigned mantissa_bits = 4;
constexpr unsigned dropped_bits = 4;  // of 16: sign and 11 bits of magnitude reach the coder

constexpr std::uint8_t encode(std::int16_t sample) {
  // One's complement for negative values, so that -1 is the first negative interval and -32768 is inside the last.
  const auto magnitude = static_cast<unsigned>(sample < 0 ? ~sample : sample) >> dropped_bits;
  // Segment 0 is linear (magnitudes below 16); above it the segment is the place of the leading bit and 4 bits after it follow.
  const auto width = static_cast<unsigned>(std::bit_width(magnitude));
  const unsigned segment = width > mantissa_bits ? width - mantissa_bits : 0;
  const unsigned mantissa = (segment > 1 ? magnitude >> (segment - 1) : magnitude) & 0x0F;
  const unsigned code = (sample < 0 ? 0U : sign_bit) | segment << mantissa_bits | mantissa;
  return static_cast<std::uint8_t>(code ^ even_bits);
}

constexpr std::int16_t decode(std::uint8_t octet) {
  const unsigned code = octet ^ even_bits;
  const unsigned segment = code >> mantissa_bits & 0x07;
  const unsigned leading = segment > 0 ? 1U << mantissa_bits : 0U;
  const unsigned middle = ((code & 0x0F) | leading) << dropped_bits | 1U << (dropped_bits - 1);
  const auto magnitude = static_cast<int>(segment > 1 ? middle << (segment - 1) : middle);
  return static_cast<std::int16_t>((code & sign_bit) != 0 ? magnitude : -magnitude);
}

constexpr std::array<std::int16_t, 256> decoded = [] {
  std::array<std::int16_t, 256> table{};
  for (unsigned octet = 0; octet < table.size(); ++octet) table[octet] = decode(static_cast<std::uint8_t>(octet));
  return table;
}();

// The ends of the scale, G.711 tables 1a and 1b.
static_assert(encode(0) == 0xD5 && encode(-1) == 0x55);
static_assert(encode(32767) == 0xAA && encode(-32768) == 0x2A);
static_assert(decoded[0xAA] == 32256 && decoded[0x2A] == -32256);

}  // namespace

std::uint8_t alaw_encode(std::int16_t sample) noexcept { return encode(sample); }

std::int16_t alaw_decode(std::uint8_t octet) noexcept { return decoded[octet]; }

Bytes alaw_encode(std::span<const std::int16_t> samples) {
  Bytes out(samples.size());
  std::ranges::transform(samples, out.begin(), encode);
  return out;
}

std::vector<std::int16_t> alaw_decode(ByteView octets) {
  std::vector<std::int16_t> out(octets.size());
  std::ranges::transform(octets, out.begin(), [](std::uint8_t octet) { return decoded[octet]; });
  return out;
}

}  // namespace qanat::terminal
