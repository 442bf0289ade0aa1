#include "wire/jwk.hpp"

#include <algorithm>

#include "crypto/kdf.hpp"
#include "wire/base64.hpp"

namespace qanat::wire {
namespace {

using crypto::JoseAlgorithm;

struct ReadKey {
  crypto::JoseKey key;
  std::vector<std::pair<std::string_view, std::string>> required;  // in the order of their names
};

Result<std::pair<std::string, Bytes>> base64url_octets(const Json& jwk, std::string_view member) {
  ASSIGN_OR_RETURN(std::string text, jwk.text(member));
  auto octets = from_base64url(text);
  if (!octets) return fail_in("JWK: " + std::string(member), octets.error());
  return std::pair(std::move(text), *std::move(octets));
}

Result<ReadKey> read_ec(const Json& jwk) {
  ASSIGN_OR_RETURN(const std::string curve, jwk.text("crv"));
  if (curve != "P-256" && curve != "P-384") return fail(ErrorCode::denied, "JWK: crv is neither P-256 nor P-384");
  ASSIGN_OR_RETURN(const auto x, base64url_octets(jwk, "x"));
  ASSIGN_OR_RETURN(const auto y, base64url_octets(jwk, "y"));
  ASSIGN_OR_RETURN(crypto::JoseKey key, crypto::JoseKey::from_ec(curve == "P-256" ? JoseAlgorithm::es256 : JoseAlgorithm::es384, x.second, y.second));
  return ReadKey{.key = std::move(key), .required = {{"crv", curve}, {"kty", "EC"}, {"x", x.first}, {"y", y.first}}};
}

Result<ReadKey> read_rsa(const Json& jwk) {
  ASSIGN_OR_RETURN(const auto modulus, base64url_octets(jwk, "n"));
  ASSIGN_OR_RETURN(const auto exponent, base64url_octets(jwk, "e"));
  ASSIGN_OR_RETURN(crypto::JoseKey key, crypto::JoseKey::from_rsa(modulus.second, exponent.second));
  return ReadKey{.key = std::move(key), .required = {{"e", exponent.first}, {"kty", "RSA"}, {"n", modulus.first}}};
}

Result<ReadKey> read_akp(const Json& jwk) {
  ASSIGN_OR_RETURN(const std::string algorithm_name, jwk.text("alg"));  // RFC 9964: required
  const auto algorithm = crypto::find_jose_algorithm(algorithm_name);
  if (!algorithm || *algorithm < JoseAlgorithm::ml_dsa_44) return fail(ErrorCode::denied, "JWK: alg of a key of type AKP is not ML-DSA-44, -65 or -87");
  ASSIGN_OR_RETURN(const auto octets, base64url_octets(jwk, "pub"));
  ASSIGN_OR_RETURN(crypto::JoseKey key, crypto::JoseKey::from_ml_dsa(*algorithm, octets.second));
  return ReadKey{.key = std::move(key), .required = {{"alg", algorithm_name}, {"kty", "AKP"}, {"pub", octets.first}}};
}

Result<ReadKey> read_key(const Json& jwk) {
  ASSIGN_OR_RETURN(const std::string type, jwk.text("kty"));
  if (type == "EC") return read_ec(jwk);
  if (type == "RSA") return read_rsa(jwk);
  if (type == "AKP") return read_akp(jwk);
  return fail(ErrorCode::denied, "JWK: kty is not EC, RSA or AKP");
}

}  // namespace

Result<PublicJwk> read_public_jwk(const Json& jwk) {
  if (!jwk.is_object()) return fail(ErrorCode::invalid_argument, "JWK: not an object");
  for (const std::string_view secret : {"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"}) {
    if (jwk.has(secret)) return fail(ErrorCode::invalid_argument, "JWK: holds '" + std::string(secret) + "', which belongs to nobody but the key's owner");
  }
  ASSIGN_OR_RETURN(ReadKey read, read_key(jwk));
  ASSIGN_OR_RETURN(const auto algorithm, jwk.optional_text("alg"));
  if (algorithm && *algorithm != crypto::name(read.key.algorithm())) {
    return fail(ErrorCode::denied, "JWK: alg is not " + std::string(crypto::name(read.key.algorithm())) + ", which goes with the key");
  }
  Json canonical = Json::object();
  for (const auto& [member, text] : read.required) canonical.set(member, text);
  PublicJwk out{.key = std::move(read.key), .canonical = canonical.dump(), .thumbprint = {}};
  out.thumbprint = crypto::digest(crypto::Hash::sha256, as_bytes(out.canonical));
  return out;
}

}  // namespace qanat::wire
