// JWS and JWK of others: the vectors of the RFCs, and what is refused.
#include "wire/flattened_jws.hpp"

#include "crypto/kdf.hpp"
#include "jose_signer.hpp"
#include "wire/jwk.hpp"

namespace qanat::wire {
namespace {

using crypto::JoseAlgorithm;

Json json(std::string_view text) {
  auto out = Json::parse(text);
  EXPECT_TRUE(out) << out.error().message;
  return out.value_or(Json());
}

// RFC 7515 A.3: header, payload, signature and key.
constexpr std::string_view es256_jws =
    R"({"protected":"eyJhbGciOiJFUzI1NiJ9","payload":"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",)"
    R"("signature":"DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"})";
constexpr std::string_view es256_key =
    R"({"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})";
// RFC 7515 A.2.
constexpr std::string_view rs256_jws =
    R"({"protected":"eyJhbGciOiJSUzI1NiJ9","payload":"eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",)"
    R"("signature":"cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4)"
    R"(BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqv)"
    R"(hJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"})";
// The RSA key of RFC 7515 A.2; that of RFC 7638 §3.1 is another.
constexpr std::string_view rs256_key =
    R"({"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMs)"
    R"(D1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdV)"
    R"(MTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"})";
constexpr std::string_view thumbprint_key =
    R"({"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMst)"
    R"(n64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbIS)"
    R"(D08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"})";

TEST(FlattenedJwsTest, VectorsOfRfc7515Hold) {
  for (const auto& [text, key_text] : {std::pair(es256_jws, es256_key), std::pair(rs256_jws, rs256_key)}) {
    const auto jws = parse_flattened_jws(as_bytes(text));
    ASSERT_TRUE(jws) << jws.error().message;
    const auto key = read_public_jwk(json(key_text));
    ASSERT_TRUE(key) << key.error().message;
    EXPECT_EQ(jws->algorithm, crypto::name(key->key.algorithm()));
    EXPECT_TRUE(key->key.verify(as_bytes(jws->signed_part), jws->signature));
    EXPECT_TRUE(as_text(jws->payload).starts_with(R"({"iss":"joe")"));
    EXPECT_FALSE(key->key.verify(as_bytes(jws->signed_part + "A"), jws->signature));
  }
}

TEST(PublicJwkTest, ThumbprintOfRfc7638) {
  const auto key = read_public_jwk(json(thumbprint_key));
  ASSERT_TRUE(key) << key.error().message;
  EXPECT_EQ(to_base64url(key->thumbprint), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

TEST(PublicJwkTest, ThumbprintsAreOverTheRequiredMembersInTheirOrder) {
  for (const JoseAlgorithm algorithm : crypto::all_jose_algorithms) {
    const test::JoseSigner signer(algorithm);
    const Json jwk = signer.jwk();
    const auto key = read_public_jwk(jwk);
    ASSERT_TRUE(key) << key.error().message;
    std::string expected = "{";
    for (const std::string_view member : algorithm == JoseAlgorithm::rs256 ? std::vector<std::string_view>{"e", "kty", "n"}
                                         : algorithm == JoseAlgorithm::es256 || algorithm == JoseAlgorithm::es384
                                             ? std::vector<std::string_view>{"crv", "kty", "x", "y"}
                                             : std::vector<std::string_view>{"alg", "kty", "pub"}) {
      expected.append(expected.size() > 1 ? "," : "").append("\"").append(member).append("\":\"").append(*jwk.text(member)).append("\"");
    }
    expected += '}';
    EXPECT_EQ(key->canonical, expected);
    EXPECT_EQ(key->thumbprint, crypto::digest(crypto::Hash::sha256, as_bytes(expected)));
    Json with_more = jwk;
    with_more.set("kid", "mine").set("use", "sig");
    EXPECT_EQ(read_public_jwk(with_more)->thumbprint, key->thumbprint);
  }
}

TEST(PublicJwkTest, RefusesWhatItDoesNotTake) {
  const auto code = [](std::string_view text) {
    const auto key = read_public_jwk(json(text));
    EXPECT_FALSE(key) << text;
    return key ? ErrorCode::internal : key.error().code;
  };
  EXPECT_EQ(code("[]"), ErrorCode::invalid_argument);
  EXPECT_EQ(code("{}"), ErrorCode::invalid_argument);
  EXPECT_EQ(code(R"({"kty":"oct","k":"AAAA"})"), ErrorCode::invalid_argument);
  EXPECT_EQ(code(R"({"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})"), ErrorCode::denied);
  EXPECT_EQ(code(R"({"kty":"EC","crv":"P-521","x":"AA","y":"AA"})"), ErrorCode::denied);
  EXPECT_EQ(code(R"({"kty":"EC","crv":"P-256","x":"AA","y":"AA"})"), ErrorCode::invalid_argument);
  EXPECT_EQ(code(R"({"kty":"AKP","pub":"AA"})"), ErrorCode::invalid_argument) << "alg is required";
  EXPECT_EQ(code(R"({"kty":"AKP","alg":"ES256","pub":"AA"})"), ErrorCode::denied);
  EXPECT_EQ(code(R"({"kty":"AKP","alg":"ML-DSA-44","pub":"AA"})"), ErrorCode::invalid_argument);
  std::string padded(es256_key);
  padded.replace(padded.find("RVEU\""), 5, "RVEU=\"");
  EXPECT_EQ(code(padded), ErrorCode::invalid_argument);
  std::string other_algorithm(es256_key);
  other_algorithm.insert(1, R"("alg":"ES384",)");
  EXPECT_EQ(code(other_algorithm), ErrorCode::denied);
  std::string with_private(es256_key);
  with_private.insert(1, R"("d":"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",)");
  EXPECT_EQ(code(with_private), ErrorCode::invalid_argument);
}

TEST(FlattenedJwsTest, RefusesOtherForms) {
  const auto refused = [](std::string_view text) {
    const auto jws = parse_flattened_jws(as_bytes(text));
    return !jws && jws.error().code == ErrorCode::invalid_argument;
  };
  EXPECT_TRUE(refused(""));
  EXPECT_TRUE(refused("[]"));
  EXPECT_TRUE(refused("eyJhbGciOiJFUzI1NiJ9..AAAA")) << "the compact serialisation";
  EXPECT_TRUE(refused(R"({"payload":"","signatures":[{"protected":"eyJhbGciOiJFUzI1NiJ9","signature":"AA"}]})"));
  EXPECT_TRUE(refused(R"({"protected":"eyJhbGciOiJFUzI1NiJ9","header":{"kid":"1"},"payload":"","signature":"AA"})"));
  EXPECT_TRUE(refused(R"({"protected":"eyJhbGciOiJFUzI1NiJ9","payload":"","signature":"A"})"));
  EXPECT_TRUE(refused(R"({"protected":"eyJhbGciOiJFUzI1NiJ9","payload":"AA==","signature":"AA"})"));
  EXPECT_TRUE(refused(R"({"protected":"eyJhbGciOiJFUzI1NiJ9","payload":"A\/A","signature":"AA"})"));
  EXPECT_TRUE(refused(R"({"protected":"W10","payload":"","signature":"AA"})")) << "a header that is an array";
  EXPECT_TRUE(refused(R"({"protected":"e30","payload":"","signature":"AA"})")) << "no alg";
  const std::string critical = to_base64url(as_bytes(R"({"alg":"ES256","crit":["b64"],"b64":false})"));
  EXPECT_TRUE(refused(R"({"protected":")" + critical + R"(","payload":"","signature":"AA"})"));
  const auto empty = parse_flattened_jws(as_bytes(R"({"protected":"eyJhbGciOiJFUzI1NiJ9","payload":"","signature":"AA","more":1})"));
  ASSERT_TRUE(empty) << empty.error().message;
  EXPECT_TRUE(empty->payload.empty());
  EXPECT_EQ(empty->signed_part, "eyJhbGciOiJFUzI1NiJ9.");
}

}  // namespace
}  // namespace qanat::wire
