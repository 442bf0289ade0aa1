#include "wire/base64.hpp"

#include <array>

namespace qanat::wire {
namespace {

constexpr std::string_view standard_alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view url_alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

std::string encode(ByteView octets, std::string_view alphabet) {
  std::string out;
  out.reserve((octets.size() + 2) / 3 * 4);
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (const std::uint8_t octet : octets) {
    bits = bits << 8U | octet;
    count += 8;
    while (count >= 6) {
      count -= 6;
      out.push_back(alphabet[bits >> count & 63U]);
    }
  }
  if (count > 0) out.push_back(alphabet[bits << (6U - count) & 63U]);
  return out;
}

std::unexpected<Error> bad(const char* why) { return fail(ErrorCode::invalid_argument, std::string("base64: ") + why); }

// `text` without padding.
Result<Bytes> decode(std::string_view text, std::string_view alphabet) {
  if (text.size() % 4 == 1) return bad("cut short");
  std::array<std::int16_t, 256> value{};
  value.fill(-1);
  for (std::size_t i = 0; i < alphabet.size(); ++i) value[static_cast<unsigned char>(alphabet[i])] = static_cast<std::int16_t>(i);
  Bytes out;
  out.reserve(text.size() * 3 / 4);
  std::uint32_t bits = 0;
  unsigned count = 0;
  for (const char letter : text) {
    const int sextet = value[static_cast<unsigned char>(letter)];
    if (sextet < 0) return bad("a character outside the alphabet");
    bits = bits << 6U | static_cast<std::uint32_t>(sextet);
    count += 6;
    if (count >= 8) {
      count -= 8;
      out.push_back(static_cast<std::uint8_t>(bits >> count));
    }
  }
  if ((bits & ((1U << count) - 1U)) != 0) return bad("unused bits are not zero");
  return out;
}

}  // namespace

std::string to_base64(ByteView octets) {
  std::string out = encode(octets, standard_alphabet);
  out.append((4 - out.size() % 4) % 4, '=');
  return out;
}

Result<Bytes> from_base64(std::string_view text) {
  if (text.size() % 4 != 0) return bad("padding is missing");
  if (text.ends_with("==")) {
    text.remove_suffix(2);
    if (text.size() % 4 != 2) return bad("wrong padding");
  } else if (text.ends_with('=')) {
    text.remove_suffix(1);
  }
  return decode(text, standard_alphabet);
}

std::string to_base64url(ByteView octets) { return encode(octets, url_alphabet); }

Result<Bytes> from_base64url(std::string_view text) { return decode(text, url_alphabet); }

}  // namespace qanat::wire
