// A public key as JWK (RFC 7517; EC and RSA by RFC 7518 §6, ML-DSA as key type AKP by RFC 9964) of whoever signs JWS, named by its thumbprint (RFC 7638).
// token_key.hpp has the few keys of an issuer of tokens; these are everybody's.
#pragma once

#include "crypto/jose_key.hpp"
#include "wire/json.hpp"

namespace qanat::wire {

struct PublicJwk {
  crypto::JoseKey key;
  std::string canonical;  // the required members alone, in the order of their names, without white space (RFC 7638 §3)
  Bytes thumbprint;       // SHA-256 of it
};
/// invalid_argument for what is malformed or holds private members; `denied` for key types, curves and sizes that are not taken, or an `alg` that is not the
/// key's.
Result<PublicJwk> read_public_jwk(const Json& jwk);

}  // namespace qanat::wire
