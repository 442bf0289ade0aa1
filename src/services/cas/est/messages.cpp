#include "services/cas/est/messages.hpp"

#include <algorithm>
#include <array>

#include "crypto/kdf.hpp"
#include "wire/base64.hpp"
#include "wire/secret_text.hpp"

namespace qanat::cas::est {
namespace {

constexpr std::size_t basic_characters_max = 1024;

constexpr bool is_white(std::uint8_t c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// Each field behind its length: no two lists of fields are one text.
void append(Bytes& to, ByteView field) {
  for (int shift = 24; shift >= 0; shift -= 8) to.push_back(static_cast<std::uint8_t>(field.size() >> static_cast<unsigned>(shift)));
  to.insert(to.end(), field.begin(), field.end());
}
void append(Bytes& to, std::vector<std::string> names) {
  std::ranges::sort(names);
  Bytes list;
  for (const std::string& name : names) append(list, as_bytes(name));
  append(to, list);
}

bool same_set(std::vector<std::string> a, std::vector<std::string> b) {
  std::ranges::sort(a);
  std::ranges::sort(b);
  return a == b;
}

}  // namespace

Result<Bytes> read_body(ByteView body) {
  if (body.size() > body_octets_max) return fail(ErrorCode::invalid_argument, "the body is over " + std::to_string(body_octets_max) + " octets");
  std::string text;
  text.reserve(body.size());
  for (const std::uint8_t c : body) {
    if (!is_white(c)) text.push_back(static_cast<char>(c));
  }
  if (text.empty()) return fail(ErrorCode::invalid_argument, "the body is empty where a PKCS#10 in base64 belongs");
  if (text.starts_with("-----BEGIN")) return fail(ErrorCode::invalid_argument, "the body is PEM: base64 alone belongs there, without its first and last line");
  auto der = wire::from_base64(text);
  if (!der) return fail_in("the body is no PKCS#10 in base64", der.error());
  return der;
}

std::string body_of(ByteView der) { return wire::to_base64(der); }

Result<std::optional<Basic>> read_basic(const Secret& authorization) {
  if (authorization.empty()) return std::optional<Basic>();
  const ByteView field = authorization.reveal();
  constexpr std::string_view scheme = "basic ";
  const bool basic = field.size() >= scheme.size() && std::ranges::equal(as_text(field.first(scheme.size())), scheme, {}, lower);
  if (!basic) return fail(ErrorCode::unauthenticated, "Authorization: another scheme than Basic");
  ByteView text = field.subspan(scheme.size());
  while (!text.empty() && text.front() == ' ') text = text.subspan(1);
  if (text.size() > basic_characters_max)
    return fail(ErrorCode::invalid_argument, "Authorization: over " + std::to_string(basic_characters_max) + " characters");
  auto pair = wire::secret_from_base64(text);
  if (!pair) return fail_in("Authorization", pair.error());
  const ByteView octets = pair->reveal();
  const auto colon = std::ranges::find(octets, std::uint8_t{':'});
  if (colon == octets.end()) return fail(ErrorCode::invalid_argument, "Authorization: no user name and password with ':' between them");
  const auto user = static_cast<std::size_t>(colon - octets.begin());
  Basic out{.user = std::string(as_text(octets.first(user))), .password = Secret::copy_of(octets.subspan(user + 1))};
  if (std::ranges::any_of(out.user, [](char c) { return c < ' ' || c > '~'; }))
    return fail(ErrorCode::invalid_argument, "Authorization: a user name that is not printable ASCII");
  return std::optional<Basic>(std::move(out));
}

bool is_password(const Secret& password, const Secret& octets) { return equal_secret(password, wire::base64url_text(octets)); }

Bytes request_hash(const RequestParts& parts) {
  Bytes text;
  append(text, as_bytes(parts.purpose));
  append(text, as_bytes(parts.reference));
  append(text, parts.key);
  append(text, as_bytes(parts.names.common_name));
  for (const auto* names : {&parts.names.dns, &parts.names.uris, &parts.names.mail, &parts.names.addresses}) append(text, *names);
  append(text, parts.renews);
  return crypto::digest(crypto::Hash::sha256, {as_bytes("qanat EST"), text});
}

bool same_names(const crypto::AskedNames& a, const crypto::AskedNames& b) {
  return a.common_name == b.common_name && same_set(a.dns, b.dns) && same_set(a.uris, b.uris) && same_set(a.mail, b.mail) && same_set(a.addresses, b.addresses);
}

Secret key_and_certificate(const Secret& pkcs8, ByteView certs_only, std::string_view boundary) {
  const std::string dash = "--" + std::string(boundary);
  const std::string before_key = dash + "\r\nContent-Type: application/pkcs8\r\nContent-Transfer-Encoding: base64\r\n\r\n";
  const std::string before_certificate =
      "\r\n" + dash + "\r\nContent-Type: application/pkcs7-mime; smime-type=certs-only\r\nContent-Transfer-Encoding: base64\r\n\r\n";
  const std::string end = "\r\n" + dash + "--\r\n";
  wire::SecretText out(before_key.size() + wire::base64_lines_size(pkcs8.size()) + before_certificate.size() + wire::base64_lines_size(certs_only.size()) +
                       end.size());
  out.add(before_key).add_base64_lines(pkcs8.reveal()).add(before_certificate).add_base64_lines(certs_only).add(end);
  return std::move(out).finish();
}

}  // namespace qanat::cas::est
