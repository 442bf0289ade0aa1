#include "kme/secret_json.hpp"

#include <algorithm>

namespace qanat::kme {
namespace {

/// All ones if low <= c <= high, else zero; without a branch or a table that the octet chooses.
constexpr unsigned within(unsigned c, unsigned low, unsigned high) { return 0U - (~((c - low) | (high - c)) >> 31U); }

/// The sextet, or 64 and more for what is no letter of the alphabet.
constexpr unsigned sextet_of(unsigned c) {
  return (within(c, 'A', 'Z') & (c - 'A')) | (within(c, 'a', 'z') & (c - 'a' + 26)) | (within(c, '0', '9') & (c - '0' + 52)) | (within(c, '+', '+') & 62U) |
         (within(c, '/', '/') & 63U) |
         (~(within(c, 'A', 'Z') | within(c, 'a', 'z') | within(c, '0', '9') | within(c, '+', '+') | within(c, '/', '/')) & 64U);
}
static_assert(sextet_of('A') == 0 && sextet_of('z') == 51 && sextet_of('9') == 61 && sextet_of('+') == 62 && sextet_of('/') == 63 && sextet_of('=') == 64);

Result<Secret> decode(ByteView text, std::size_t text_max) {
  std::size_t padding = 0;
  while (padding < 2 && padding < text.size() && text[text.size() - 1 - padding] == '=') ++padding;
  if (text.empty() || text.size() > text_max || text.size() % 4 != 0) return fail(ErrorCode::invalid_argument, "a key is not base64");
  Secret out(text.size() / 4 * 3 - padding);
  unsigned wrong = 0;
  std::size_t to = 0;
  for (std::size_t at = 0; at < text.size(); at += 4) {
    unsigned bits = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      const bool padded = at + i >= text.size() - padding;
      const unsigned sextet = padded ? 0 : sextet_of(text[at + i]);
      wrong |= sextet & 64U;
      bits = bits << 6U | (sextet & 63U);
    }
    for (unsigned shift = 16; to < out.size(); shift -= 8) {
      out.writable()[to++] = static_cast<std::uint8_t>(bits >> shift);
      if (shift == 0) break;
    }
    if (at + 4 == text.size() && padding > 0) wrong |= bits & ((1U << (8 * padding)) - 1U);  // RFC 4648 §3.5: unused bits are zero
  }
  if (wrong != 0) return fail(ErrorCode::invalid_argument, "a key is not base64");
  return Result<Secret>(std::move(out));
}

bool is_space(std::uint8_t c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

/// One past the closing quote of the text that opens at `at`; the end if there is none.
std::size_t end_of_text(ByteView json, std::size_t at) {
  for (++at; at < json.size() && json[at] != '"'; ++at) {
    if (json[at] == '\\') ++at;
  }
  return std::min(json.size(), at + 1);
}

}  // namespace

Result<std::vector<Secret>> lift_base64(std::span<std::uint8_t> json, std::string_view name, std::size_t text_max) {
  std::vector<Secret> out;
  std::size_t at = 0;
  while (at < json.size()) {
    if (json[at] != '"') {
      ++at;
      continue;
    }
    const std::size_t end = end_of_text(json, at);
    const bool named = end - at >= 2 && as_text(ByteView(json).subspan(at + 1, end - at - 2)) == name;
    at = end;
    while (at < json.size() && is_space(json[at])) ++at;
    if (!named || at == json.size() || json[at] != ':') continue;
    ++at;
    while (at < json.size() && is_space(json[at])) ++at;
    if (at == json.size() || json[at] != '"') continue;
    const std::size_t close = end_of_text(json, at);
    const auto inside = json.subspan(at + 1, close - at >= 2 ? close - at - 2 : 0);
    ASSIGN_OR_RETURN(Secret octets, decode(inside, text_max));
    std::ranges::fill(inside, std::uint8_t{'#'});
    out.push_back(std::move(octets));
    at = close;
  }
  return Result<std::vector<Secret>>(std::move(out));
}

}  // namespace qanat::kme
