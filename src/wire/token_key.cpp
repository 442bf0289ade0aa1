#include "wire/token_key.hpp"

#include "crypto/es256.hpp"
#include "crypto/kdf.hpp"
#include "wire/base64.hpp"

namespace qanat::wire {
namespace {

constexpr std::size_t ml_dsa_44_public = 1312;  // FIPS 204, table 2
constexpr std::size_t p256_coordinate = 32;

/// The members that RFC 7638 §3.2 and RFC 9964 name, in lexicographic order, without white space.
std::string thumbprint_input(TokenAlgorithm algorithm, ByteView key) {
  if (algorithm == TokenAlgorithm::ml_dsa_44) return R"({"alg":"ML-DSA-44","kty":"AKP","pub":")" + to_base64url(key) + "\"}";
  return R"({"crv":"P-256","kty":"EC","x":")" + to_base64url(key.subspan(1, p256_coordinate)) + R"(","y":")" + to_base64url(key.subspan(1 + p256_coordinate)) + "\"}";
}

Result<Bytes> coordinate(const Json& jwk, std::string_view name) {
  ASSIGN_OR_RETURN(const std::string text, jwk.text(name));
  ASSIGN_OR_RETURN(Bytes octets, from_base64url(text));
  if (octets.size() != p256_coordinate) return fail(ErrorCode::invalid_argument, "JWK: " + std::string(name) + " must have 32 octets");
  return octets;
}

Result<std::optional<TokenKey>> parse_jwk(const Json& jwk) {
  ASSIGN_OR_RETURN(const std::string type, jwk.text("kty"));
  ASSIGN_OR_RETURN(const auto algorithm, jwk.optional_text("alg"));
  if (type == "AKP" && algorithm == "ML-DSA-44") {
    ASSIGN_OR_RETURN(const std::string text, jwk.text("pub"));
    ASSIGN_OR_RETURN(Bytes octets, from_base64url(text));
    ASSIGN_OR_RETURN(TokenKey key, TokenKey::from_public(TokenAlgorithm::ml_dsa_44, std::move(octets)));
    return std::optional<TokenKey>(std::move(key));
  }
  ASSIGN_OR_RETURN(const auto curve, jwk.optional_text("crv"));
  if (type != "EC" || curve != "P-256" || (algorithm && *algorithm != "ES256")) return std::optional<TokenKey>();
  ASSIGN_OR_RETURN(const Bytes x, coordinate(jwk, "x"));
  ASSIGN_OR_RETURN(const Bytes y, coordinate(jwk, "y"));
  const Bytes uncompressed{0x04};
  ASSIGN_OR_RETURN(TokenKey key, TokenKey::from_public(TokenAlgorithm::es256, concat({uncompressed, x, y})));
  return std::optional<TokenKey>(std::move(key));
}

}  // namespace

std::string_view name(TokenAlgorithm algorithm) noexcept { return algorithm == TokenAlgorithm::ml_dsa_44 ? "ML-DSA-44" : "ES256"; }

Result<TokenAlgorithm> parse_token_algorithm(std::string_view text) {
  for (const TokenAlgorithm algorithm : {TokenAlgorithm::ml_dsa_44, TokenAlgorithm::es256}) {
    if (name(algorithm) == text) return algorithm;
  }
  return fail(ErrorCode::denied, "token: its algorithm is none of those that are accepted");
}

std::int64_t cose_number(TokenAlgorithm algorithm) noexcept { return algorithm == TokenAlgorithm::ml_dsa_44 ? -48 : -7; }

Result<TokenKey> TokenKey::from_public(TokenAlgorithm algorithm, Bytes public_key) {
  const std::size_t size = algorithm == TokenAlgorithm::ml_dsa_44 ? ml_dsa_44_public : crypto::es256_point;
  if (public_key.size() != size) return fail(ErrorCode::invalid_argument, "token key: " + std::string(wire::name(algorithm)) + " keys have " + std::to_string(size) + " octets");
  TokenKey out;
  out.algorithm_ = algorithm;
  if (algorithm == TokenAlgorithm::ml_dsa_44) {
    ASSIGN_OR_RETURN(crypto::LoneVerifier verifier, crypto::LoneVerifier::from_key(crypto::MlDsa::ml_dsa_44, public_key));
    out.ml_dsa_ = std::make_shared<const crypto::LoneVerifier>(std::move(verifier));
  }
  out.id_ = crypto::digest(crypto::Hash::sha256, as_bytes(thumbprint_input(algorithm, public_key)));
  out.public_key_ = std::move(public_key);
  return out;
}

Result<void> TokenKey::verify(ByteView message, ByteView signature) const {
  if (ml_dsa_) return ml_dsa_->verify(message, signature);
  return crypto::verify_es256(public_key_, message, signature);
}

Json TokenKey::jwk() const {
  const std::string id = to_base64url(id_);
  if (algorithm_ == TokenAlgorithm::ml_dsa_44) {
    return Json::object({{"kty", "AKP"}, {"alg", "ML-DSA-44"}, {"use", "sig"}, {"kid", id}, {"pub", to_base64url(public_key_)}});
  }
  const ByteView point = public_key_;
  return Json::object({{"kty", "EC"},
                       {"crv", "P-256"},
                       {"alg", "ES256"},
                       {"use", "sig"},
                       {"kid", id},
                       {"x", to_base64url(point.subspan(1, p256_coordinate))},
                       {"y", to_base64url(point.subspan(1 + p256_coordinate))}});
}

Result<TokenKeys> TokenKeys::parse(const Json& jwks) {
  ASSIGN_OR_RETURN(const std::vector<Json> list, jwks.array("keys"));
  if (list.size() > token_keys_max) return fail(ErrorCode::invalid_argument, "JWK set: more than " + std::to_string(token_keys_max) + " keys");
  TokenKeys out;
  for (const Json& each : list) {
    ASSIGN_OR_RETURN(std::optional<TokenKey> key, parse_jwk(each));
    if (key) out.keys_.push_back(*std::move(key));
  }
  return out;
}

Json TokenKeys::jwks() const {
  Json list = Json::array();
  for (const TokenKey& key : keys_) list.push(key.jwk());
  return Json::object({{"keys", list}});
}

Result<const TokenKey*> TokenKeys::find(ByteView id) const {
  for (const TokenKey& key : keys_) {
    if (equal(key.id(), id)) return &key;
  }
  return fail(ErrorCode::denied, "token: signed by a key that is not the issuer's");
}

}  // namespace qanat::wire
