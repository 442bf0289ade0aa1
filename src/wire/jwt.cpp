#include "wire/jwt.hpp"

#include "wire/base64.hpp"

namespace qanat::wire {
namespace {

constexpr std::string_view thumbprint_name = "x5t#S256";  // RFC 8705 §3.1

Result<Bytes> base64url_member(const Json& json, std::string_view name) {
  ASSIGN_OR_RETURN(const std::string text, json.text(name));
  return from_base64url(text);
}

}  // namespace

Result<JwsParts> parse_jws(std::string_view text) {
  if (text.size() > access_token_max) return fail(ErrorCode::invalid_argument, "JWS: over " + std::to_string(access_token_max) + " octets");
  const std::size_t first = text.find('.');
  const std::size_t second = first == std::string_view::npos ? first : text.find('.', first + 1);
  if (second == std::string_view::npos) return fail(ErrorCode::invalid_argument, "JWS: not three parts");
  JwsParts out;
  out.signed_part = text.substr(0, second);
  ASSIGN_OR_RETURN(const Bytes header, from_base64url(text.substr(0, first)));
  ASSIGN_OR_RETURN(out.payload, from_base64url(text.substr(first + 1, second - first - 1)));
  ASSIGN_OR_RETURN(out.signature, from_base64url(text.substr(second + 1)));  // a fourth part has a '.', which is not in the alphabet
  ASSIGN_OR_RETURN(out.header, Json::parse(header));
  if (!out.header.is_object()) return fail(ErrorCode::invalid_argument, "JWS: its header is no object");
  if (out.header.has("crit")) return fail(ErrorCode::invalid_argument, "JWS: crit names what is not understood here");
  return out;
}

std::string jwt_signing_input(const TokenKey& key, const AccessClaims& claims) {
  const Json header = Json::object({{"alg", name(key.algorithm())}, {"typ", type_at_jwt}, {"kid", to_base64url(key.id())}});
  Json payload = Json::object({{"iss", claims.issuer},
                               {"sub", claims.subject},
                               {"aud", claims.audience},
                               {"client_id", claims.client},
                               {"iat", claims.issued_s},
                               {"exp", claims.expires_s},
                               {"jti", to_base64url(claims.token_id)},
                               {"epoch", static_cast<std::int64_t>(claims.epoch)},
                               {"cnf", Json::object({{thumbprint_name, to_base64url(claims.holder)}})}});
  if (!claims.scope.empty()) payload.set("scope", claims.scope);
  return to_base64url(as_bytes(header.dump())) + '.' + to_base64url(as_bytes(payload.dump()));
}

std::string finish_jwt(std::string signing_input, ByteView signature) { return std::move(signing_input) + '.' + to_base64url(signature); }

Result<AccessClaims> parse_jwt_claims(ByteView payload) {
  ASSIGN_OR_RETURN(const Json json, Json::parse(payload));
  AccessClaims out;
  ASSIGN_OR_RETURN(out.issuer, json.text("iss"));
  ASSIGN_OR_RETURN(out.subject, json.text("sub"));
  ASSIGN_OR_RETURN(out.audience, json.text("aud"));
  ASSIGN_OR_RETURN(out.client, json.text("client_id"));
  ASSIGN_OR_RETURN(out.issued_s, json.integer("iat"));
  ASSIGN_OR_RETURN(out.expires_s, json.integer("exp"));
  ASSIGN_OR_RETURN(out.token_id, base64url_member(json, "jti"));
  ASSIGN_OR_RETURN(const Json confirmation, json.object("cnf"));
  ASSIGN_OR_RETURN(out.holder, base64url_member(confirmation, thumbprint_name));
  ASSIGN_OR_RETURN(const std::int64_t epoch, json.integer("epoch", 0, INT64_MAX));
  out.epoch = static_cast<std::uint64_t>(epoch);
  ASSIGN_OR_RETURN(const auto scope, json.optional_text("scope"));
  out.scope = scope.value_or("");
  TRY(check_form(out));
  return out;
}

Result<AccessClaims> open_jwt(std::string_view text, const TokenKeys& issuer) {
  ASSIGN_OR_RETURN(const JwsParts parts, parse_jws(text));
  ASSIGN_OR_RETURN(const std::string algorithm_name, parts.header.text("alg"));
  ASSIGN_OR_RETURN(const TokenAlgorithm algorithm, parse_token_algorithm(algorithm_name));
  ASSIGN_OR_RETURN(const std::string type, parts.header.text("typ"));
  if (type != type_at_jwt && type != "application/at+jwt") return fail(ErrorCode::denied, "token: its typ is not at+jwt");
  ASSIGN_OR_RETURN(const Bytes id, base64url_member(parts.header, "kid"));
  ASSIGN_OR_RETURN(const TokenKey* key, issuer.find(id));
  if (key->algorithm() != algorithm) return fail(ErrorCode::denied, "token: names another algorithm than its key's");
  TRY(key->verify(as_bytes(parts.signed_part), parts.signature));
  return parse_jwt_claims(parts.payload);
}

}  // namespace qanat::wire
