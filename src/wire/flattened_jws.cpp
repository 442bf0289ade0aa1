#include "wire/flattened_jws.hpp"

#include "wire/base64.hpp"

namespace qanat::wire {

Result<FlattenedJws> parse_flattened_jws(ByteView text) {
  ASSIGN_OR_RETURN(const Json json, Json::parse(text));
  return read_flattened_jws(json);
}

Result<FlattenedJws> read_flattened_jws(const Json& json) {
  if (!json.is_object()) return fail(ErrorCode::invalid_argument, "JWS: not a JSON object");
  if (json.has("signatures")) return fail(ErrorCode::invalid_argument, "JWS: not flattened: there must be one signature, not 'signatures'");
  if (json.has("header")) return fail(ErrorCode::invalid_argument, "JWS: has an unprotected header");
  ASSIGN_OR_RETURN(const std::string header, json.text("protected"));
  ASSIGN_OR_RETURN(const std::string payload, json.text("payload"));
  ASSIGN_OR_RETURN(const std::string signature, json.text("signature"));
  const auto octets = [](std::string_view member, std::string_view value) -> Result<Bytes> {
    auto out = from_base64url(value);
    if (!out) return fail_in("JWS: " + std::string(member), out.error());
    return out;
  };
  FlattenedJws out;
  ASSIGN_OR_RETURN(const Bytes header_octets, octets("protected", header));
  ASSIGN_OR_RETURN(out.payload, octets("payload", payload));
  ASSIGN_OR_RETURN(out.signature, octets("signature", signature));
  ASSIGN_OR_RETURN(out.header, Json::parse(header_octets));
  if (!out.header.is_object()) return fail(ErrorCode::invalid_argument, "JWS: its protected header is no object");
  if (out.header.has("crit")) return fail(ErrorCode::invalid_argument, "JWS: crit names what is not understood here");
  ASSIGN_OR_RETURN(out.algorithm, out.header.text("alg"));
  out.signed_part = header + '.' + payload;
  return out;
}

}  // namespace qanat::wire
