#include "crypto/sm2_ciphertext.hpp"

#include <algorithm>
#include <optional>

namespace qanat::crypto {
namespace {

constexpr std::uint8_t uncompressed_form = 0x04;
constexpr std::uint8_t tag_integer = 0x02;
constexpr std::uint8_t tag_octet_string = 0x04;
constexpr std::uint8_t tag_sequence = 0x30;
constexpr std::uint8_t one_length_octet_follows = 0x81;
constexpr std::size_t short_length_max = 127;
constexpr std::size_t content_max = 255;
// Every length fits the short form or the one-octet long form.
static_assert(2 * (2 + 1 + sm2_coordinate) + (2 + sm2_c3) + (2 + sm2_plaintext_max) <= content_max);

void append_element(Bytes& out, std::uint8_t tag, ByteView content) {
  out.push_back(tag);
  if (content.size() > short_length_max) out.push_back(one_length_octet_follows);
  out.push_back(static_cast<std::uint8_t>(content.size()));
  append(out, content);
}

// X.690, 8.3.2 and 10: the fewest octets, with a leading zero where the top bit would make the number negative.
void append_coordinate(Bytes& out, ByteView coordinate) {
  const auto first = std::ranges::find_if(coordinate, [](std::uint8_t octet) { return octet != 0; });
  Bytes content;
  if (first == coordinate.end() || (*first & 0x80U) != 0) content.push_back(0);
  content.insert(content.end(), first, coordinate.end());
  append_element(out, tag_integer, content);
}

/// Takes one element off the front of `rest`.
std::optional<ByteView> take_element(ByteView& rest, std::uint8_t tag) {
  if (rest.size() < 2 || rest[0] != tag) return std::nullopt;
  std::size_t header = 2;
  std::size_t size = rest[1];
  if (size > short_length_max) {
    if (size != one_length_octet_follows || rest.size() < 3) return std::nullopt;
    size = rest[2];
    if (size <= short_length_max) return std::nullopt;  // X.690, 10.1: the fewest octets
    header = 3;
  }
  if (rest.size() - header < size) return std::nullopt;
  const ByteView content = rest.subspan(header, size);
  rest = rest.subspan(header + size);
  return content;
}

std::optional<std::array<std::uint8_t, sm2_coordinate>> take_coordinate(ByteView& rest) {
  const std::optional<ByteView> content = take_element(rest, tag_integer);
  if (!content || content->empty()) return std::nullopt;
  ByteView magnitude = *content;
  if ((magnitude[0] & 0x80U) != 0) return std::nullopt;  // negative
  if (magnitude[0] == 0 && magnitude.size() > 1) {
    if ((magnitude[1] & 0x80U) == 0) return std::nullopt;  // a zero that is not needed
    magnitude = magnitude.subspan(1);
  }
  if (magnitude.size() > sm2_coordinate) return std::nullopt;
  std::array<std::uint8_t, sm2_coordinate> out{};
  std::ranges::copy(magnitude, out.end() - static_cast<std::ptrdiff_t>(magnitude.size()));
  return out;
}

}  // namespace

Result<Bytes> sm2_der_from_raw(ByteView raw) {
  if (raw.size() <= sm2_raw_overhead || raw.size() > sm2_raw_overhead + sm2_plaintext_max) {
    return fail(ErrorCode::invalid_argument, "SM2 ciphertext: " + std::to_string(raw.size()) + " octets is no length of one");
  }
  if (raw[0] != uncompressed_form) return fail(ErrorCode::invalid_argument, "SM2 ciphertext: C1 is not in the uncompressed form");
  Bytes content;
  append_coordinate(content, raw.subspan(1, sm2_coordinate));
  append_coordinate(content, raw.subspan(1 + sm2_coordinate, sm2_coordinate));
  append_element(content, tag_octet_string, raw.subspan(1 + 2 * sm2_coordinate, sm2_c3));
  append_element(content, tag_octet_string, raw.subspan(sm2_raw_overhead));
  Bytes der;
  append_element(der, tag_sequence, content);
  return der;
}

Result<Bytes> sm2_raw_from_der(ByteView der) {
  const auto bad = [] { return fail(ErrorCode::invalid_argument, "SM2 ciphertext: not the canonical DER of x, y, C3, C2"); };
  std::optional<ByteView> content = take_element(der, tag_sequence);
  if (!content || !der.empty()) return bad();
  const auto x = take_coordinate(*content);
  if (!x) return bad();
  const auto y = take_coordinate(*content);
  if (!y) return bad();
  const auto c3 = take_element(*content, tag_octet_string);
  if (!c3 || c3->size() != sm2_c3) return bad();
  const auto c2 = take_element(*content, tag_octet_string);
  if (!c2 || c2->empty() || c2->size() > sm2_plaintext_max || !content->empty()) return bad();
  return concat({ByteView(&uncompressed_form, 1), *x, *y, *c3, *c2});
}

}  // namespace qanat::crypto
