// The messages of EST (RFC 7030 with RFC 8951) as values: bodies in base64, HTTP Basic, multipart. Pure.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "crypto/subject.hpp"

namespace qanat::cas::est {

inline constexpr std::size_t body_octets_max = 128U * 1024;  // base64 of the largest PKCS#10 that is read (64 KiB), in short lines

/// The DER in a body: base64 without regard to white space (RFC 8951 §3.1); the Content-Transfer-Encoding field has no say. invalid_argument.
Result<Bytes> read_body(ByteView body);
/// Base64 in one line (RFC 4648 §3.1): not every client reads over line feeds, as it should.
std::string body_of(ByteView der);

/// RFC 7617.
struct Basic {
  std::string user;
  Secret password;
};
/// Nothing if the field is empty; unauthenticated for another scheme, invalid_argument for what does not have its form.
Result<std::optional<Basic>> read_basic(const Secret& authorization);
/// Whether the password is the text of these octets; the same time for every wrong one.
bool is_password(const Secret& password, const Secret& octets);

/// What names a request: the same key, names, asker and purpose are the same request, however often it is signed anew.
struct RequestParts {
  std::string_view purpose;  // "simpleenroll", "serverkeygen ML-KEM-768", …
  std::string_view reference;
  ByteView key;  // SubjectPublicKeyInfo
  const crypto::AskedNames& names;
  ByteView renews;  // DER, or empty
};
Bytes request_hash(const RequestParts& parts);

/// The same names, in whatever order.
bool same_names(const crypto::AskedNames& a, const crypto::AskedNames& b);

/// multipart/mixed of a private key and its certificate (RFC 7030 §4.4.2): the body, with `boundary` between its parts; these in the lines of MIME.
Secret key_and_certificate(const Secret& pkcs8, ByteView certs_only, std::string_view boundary);

}  // namespace qanat::cas::est
