#include "services/cas/est/messages.hpp"

#include <algorithm>

#include "crypto/kdf.hpp"
#include "wire/secret_text.hpp"

namespace qanat::cas::est {
namespace {

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
