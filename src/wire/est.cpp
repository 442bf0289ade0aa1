#include "wire/est.hpp"

#include <algorithm>

#include "base/check.hpp"
#include "wire/base64.hpp"
#include "wire/secret_text.hpp"

namespace qanat::wire {
namespace {

constexpr std::string_view basic_scheme = "Basic ";
constexpr std::size_t basic_octets_max = basic_user_octets_max + 1 + basic_password_octets_max;

bool is_space(char c) noexcept { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
bool is_printable(std::uint8_t c) noexcept { return c >= ' ' && c < 0x7f; }

std::unexpected<Error> not_basic(const char* why) { return fail(ErrorCode::unauthenticated, std::string("Authorization: ") + why); }

}  // namespace

std::string est_body(ByteView der) { return to_base64(der); }

Result<Bytes> parse_est_body(ByteView body) {
  if (body.size() > est_body_octets_max) return fail(ErrorCode::invalid_argument, "EST: over " + std::to_string(est_body_octets_max) + " octets of base64");
  std::string text(as_text(body));
  std::erase_if(text, is_space);
  if (text.empty()) return fail(ErrorCode::invalid_argument, "EST: the body is empty");
  if (text.starts_with("-----BEGIN")) return fail(ErrorCode::invalid_argument, "EST: the body is PEM: base64 alone belongs there, without first and last line");
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
  SecretText out(basic_scheme.size() + base64_size(both.size()));
  out.add(basic_scheme).add_base64(both.reveal());
  return std::move(out).finish();
}

Result<BasicCredentials> parse_basic_authorization(const Secret& field) {
  const ByteView text = field.reveal();
  const auto same = [](char wanted, char seen) { return wanted == (seen >= 'A' && seen <= 'Z' ? static_cast<char>(seen - 'A' + 'a') : seen); };
  const bool basic = text.size() > basic_scheme.size() && std::ranges::equal(std::string_view("basic "), as_text(text.first(basic_scheme.size())), same);
  if (!basic) return not_basic("is not Basic");  // RFC 9110 §11.1: the scheme's name in any case
  ByteView coded = text.subspan(basic_scheme.size());
  while (!coded.empty() && coded.front() == ' ') coded = coded.subspan(1);
  if (coded.size() > base64_size(basic_octets_max)) return not_basic("is too long");
  const auto both = secret_from_base64(coded);
  if (!both) return not_basic("is not base64");
  const ByteView octets = both->reveal();
  const auto colon = std::ranges::find(octets, std::uint8_t{':'});
  if (colon == octets.end()) return not_basic("has no colon between name and password");
  const auto length = static_cast<std::size_t>(colon - octets.begin());
  const ByteView password = octets.subspan(length + 1);
  if (length == 0 || length > basic_user_octets_max || password.empty() || password.size() > basic_password_octets_max) {
    return not_basic("has a name or a password of another length");
  }
  if (!std::ranges::all_of(octets, is_printable)) return not_basic("has a name or a password that is not printable ASCII");
  return BasicCredentials{.user = std::string(as_text(octets.first(length))), .password = Secret::copy_of(password)};
}

}  // namespace qanat::wire
