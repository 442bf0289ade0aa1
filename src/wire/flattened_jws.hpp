// JWS in the flattened JSON serialisation (RFC 7515 §7.2.2) as ACME uses it (RFC 8555 §6.2): one signature, a protected header alone, nothing critical.
#pragma once

#include "crypto/jose_key.hpp"
#include "wire/json.hpp"

namespace qanat::wire {

struct FlattenedJws {
  std::string signed_part;  // protected.payload, as they came
  Json header;
  std::string algorithm;  // `alg`, not looked at
  Bytes payload;
  Bytes signature;
};
/// invalid_argument for: not an object, members that are not strict base64url, an unprotected header, several signatures, a protected header that is no object,
/// lacks alg or has `crit`. Nothing is verified.
Result<FlattenedJws> parse_flattened_jws(ByteView text);
Result<FlattenedJws> read_flattened_jws(const Json& json);

}  // namespace qanat::wire
