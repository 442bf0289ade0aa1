// JWT access tokens (RFC 9068) in the compact serialisation of JWS (RFC 7515), read strictly: typ at+jwt, the algorithm is the key's own, nothing is fetched
// that a header names.
#pragma once

#include "wire/access_claims.hpp"
#include "wire/token_key.hpp"

namespace qanat::wire {

inline constexpr std::string_view type_at_jwt = "at+jwt";

struct JwsParts {
  std::string_view signed_part;  // header.payload, as it stands in the text
  Json header;
  Bytes payload;
  Bytes signature;
};
/// invalid_argument for: not three parts of strict base64url, a header that is no object or has `crit`. The view lives as long as `text`.
Result<JwsParts> parse_jws(std::string_view text);

/// header.payload, ready to be signed.
std::string jwt_signing_input(const TokenKey& key, const AccessClaims& claims);
/// Signing input and signature as a token.
std::string finish_jwt(std::string signing_input, ByteView signature);

Result<AccessClaims> parse_jwt_claims(ByteView payload);
/// Signature under one of the issuer's keys, pinned algorithm, `typ`. Nothing of the claims is compared yet: check_access().
Result<AccessClaims> open_jwt(std::string_view text, const TokenKeys& issuer);

}  // namespace qanat::wire
