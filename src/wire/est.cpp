#include "wire/est.hpp"

#include <algorithm>
#include <array>

#include "base/check.hpp"
#include "wire/base64.hpp"

namespace qanat::wire {
namespace {

constexpr std::string_view basic_scheme = "Basic ";
constexpr std::size_t basic_octets_max = basic_user_octets_max + 1 + basic_password_octets_max;

bool is_space(char c) noexcept { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
bool is_printable(std::uint8_t c) noexcept { return c >= ' ' && c < 0x7f; }

// No table is indexed by what is secret: the cache would tell of it. All ones where lo ≤ c ≤ hi, else zero.
constexpr unsigned within(unsigned c, unsigned lo, unsigned hi) noexcept { return 0U - ((lo - 1 - c) >> 31U & (c - hi - 1) >> 31U); }

constexpr std::uint8_t letter_of(unsigned sextet) noexcept {
  return static_cast<std::uint8_t>((within(sextet, 1, 25) & (sextet + 'A')) | (~(within(sextet, 1, 63)) & 'A') | (within(sextet, 26, 51) & (sextet - 26 + 'a')) |
                                   (within(sextet, 52, 61) & (sextet - 52 + '0')) | (within(sextet, 62, 62) & '+') | (within(sextet, 63, 63) & '/'));
}
/// 64 or more: no letter of base64.
constexpr unsigned sextet_of(unsigned c) noexcept {
  const unsigned known = within(c, 'A', 'Z') | within(c, 'a', 'z') | within(c, '0', '9') | within(c, '+', '+') | within(c, '/', '/');
  const unsigned value = (within(c, 'A', 'Z') & (c - 'A')) | (within(c, 'a', 'z') & (c - 'a' + 26)) | (within(c, '0', '9') & (c - '0' + 52)) |
                         (within(c, '+', '+') & 62U) | (within(c, '/', '/') & 63U);
  return value | (~known & 64U);
}
static_assert(letter_of(0) == 'A' && letter_of(25) == 'Z' && letter_of(26) == 'a' && letter_of(61) == '9' && letter_of(62) == '+' && letter_of(63) == '/');
static_assert(sextet_of('A') == 0 && sextet_of('z') == 51 && sextet_of('/') == 63 && sextet_of('=') == 64 && sextet_of(0) == 64 && sextet_of(255) == 64);

std::unexpected<Error> not_basic(const char* why) { return fail(ErrorCode::unauthenticated, std::string("Authorization: ") + why); }

/// base64 with its padding, decoded into locked memory.
Result<Secret> decode(ByteView text) {
  std::size_t letters = text.size();
  while (letters > 0 && text.size() - letters < 2 && text[letters - 1] == '=') --letters;
  if (text.empty() || text.size() % 4 != 0 || letters % 4 == 1) return not_basic("is not base64");
  Secret out(letters * 3 / 4);
  unsigned bits = 0;
  unsigned count = 0;
  unsigned foreign = 0;
  std::size_t at = 0;
  for (const std::uint8_t letter : text.first(letters)) {
    const unsigned sextet = sextet_of(letter);
    foreign |= sextet & 64U;
    bits = (bits << 6U | (sextet & 63U)) & 0xffffffU;
    count += 6;
    if (count >= 8) {
      count -= 8;
      out.writable()[at++] = static_cast<std::uint8_t>(bits >> count);
    }
  }
  if (foreign != 0 || (bits & ((1U << count) - 1U)) != 0) return not_basic("is not base64");
  return Result<Secret>(std::move(out));
}

}  // namespace

std::string est_body(ByteView der) { return to_base64(der); }

Result<Bytes> parse_est_body(ByteView body) {
  if (body.size() > est_body_octets_max) return fail(ErrorCode::invalid_argument, "EST: over " + std::to_string(est_body_octets_max) + " octets of base64");
  std::string text(as_text(body));
  std::erase_if(text, is_space);
  if (text.empty()) return fail(ErrorCode::invalid_argument, "EST: the body is empty");
  auto der = from_base64(text);
  if (!der) return fail_in("EST: the body is not base64", der.error());
  return der;
}

Secret basic_authorization(std::string_view user, const Secret& password) {
  CHECK(!user.empty() && user.size() <= basic_user_octets_max && !user.contains(':'));
  CHECK(password.size() <= basic_password_octets_max);
  const Secret name = Secret::copy_of(as_bytes(user));
  const Secret colon = Secret::copy_of(as_bytes(":"));
  const Secret both = Secret::concat({&name, &colon, &password});
  Secret out(basic_scheme.size() + (both.size() + 2) / 3 * 4);
  const std::span<std::uint8_t> places = out.writable();
  std::ranges::copy(basic_scheme, places.begin());
  std::size_t at = basic_scheme.size();
  const ByteView octets = both.reveal();
  for (std::size_t i = 0; i < octets.size(); i += 3) {
    const std::size_t left = std::min<std::size_t>(octets.size() - i, 3);
    unsigned bits = 0;
    for (std::size_t k = 0; k < 3; ++k) bits = bits << 8U | (k < left ? octets[i + k] : 0U);
    for (std::size_t k = 0; k < 4; ++k) places[at++] = k <= left ? letter_of(bits >> (18 - 6 * k) & 63U) : std::uint8_t{'='};
  }
  return out;
}

Result<BasicCredentials> parse_basic_authorization(const Secret& field) {
  const ByteView text = field.reveal();
  // RFC 9110 §11.1: the scheme's name in any case.
  const auto same = [](char wanted, std::uint8_t seen) { return wanted == seen || (wanted >= 'a' && wanted - 'a' + 'A' == seen) || (wanted >= 'A' && wanted - 'A' + 'a' == seen); };
  if (text.size() <= basic_scheme.size() || !std::ranges::equal(basic_scheme.substr(0, 5), text.first(5), same) || text[5] != ' ') return not_basic("is not Basic");
  ByteView coded = text.subspan(basic_scheme.size());
  while (!coded.empty() && coded.front() == ' ') coded = coded.subspan(1);
  if (coded.size() > (basic_octets_max + 2) / 3 * 4) return not_basic("is too long");
  ASSIGN_OR_RETURN(const Secret both, decode(coded));
  const ByteView octets = both.reveal();
  const auto colon = std::ranges::find(octets, std::uint8_t{':'});
  if (colon == octets.end()) return not_basic("has no colon between name and password");
  const auto length = static_cast<std::size_t>(colon - octets.begin());
  const ByteView password = octets.subspan(length + 1);
  if (length == 0 || length > basic_user_octets_max || password.empty() || password.size() > basic_password_octets_max) return not_basic("a name or password of another length");
  if (!std::ranges::all_of(octets, is_printable)) return not_basic("name and password are not printable ASCII");
  return BasicCredentials{.user = std::string(as_text(octets.first(length))), .password = Secret::copy_of(password)};
}

}  // namespace qanat::wire
