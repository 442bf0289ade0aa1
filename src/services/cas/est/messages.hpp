// The messages of EST (RFC 7030 with RFC 8951) as values, beside those of wire/est.hpp: what names a request, and a private key with its certificate. Pure.
#pragma once

#include <string_view>

#include "base/bytes.hpp"
#include "base/secret.hpp"
#include "crypto/subject.hpp"

namespace qanat::cas::est {

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
