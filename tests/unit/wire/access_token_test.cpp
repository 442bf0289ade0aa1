// Access tokens in both encodings, against the examples of the standards and against what attackers try.
#include <gtest/gtest.h>

#include "crypto/es256.hpp"
#include "crypto/kdf.hpp"
#include "wire/base64.hpp"
#include "wire/cbor.hpp"
#include "wire/cwt.hpp"
#include "wire/jwt.hpp"

namespace qanat::wire {
namespace {

// RFC 8392, appendix A.2.3 and A.3.
constexpr const char* rfc8392_x = "143329cce7868e416927599cf65a34f3ce2ffda55a7eca69ed8919a394d42f0f";
constexpr const char* rfc8392_y = "60f7f1a780d8a783bfb7a2dd6b2796e8128dbbcef9d3d168db9529971a36e7b9";
constexpr const char* rfc8392_signed_cwt =
    "d28443a10126a104524173796d6d657472696345434453413235365850a70175636f61703a2f2f61732e6578616d706c652e636f6d02656572696b77037818636f61703a2f2f6c696768742e"
    "6578616d706c652e636f6d041a5612aeb0051a5610d9f0061a5610d9f007420b7158405427c1ff28d23fbad1f29c4c7c6a555e601d6fa29f9179bc3d7438bacaca5acd08c8d4d4f96131680c4"
    "29a01f85951ecee743a52b9b63632c57209120e1c9e30";
// RFC 7515, appendix A.3.
constexpr const char* rfc7515_x = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
constexpr const char* rfc7515_y = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
constexpr const char* rfc7515_jws =
    "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ."
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

class AccessTokenTest : public testing::Test {
 protected:
  static AccessClaims claims() {
    AccessClaims out;
    out.issuer = "qanat://core/iam/iam";
    out.subject = "A";
    out.audience = "kms-a";
    out.client = "A";
    out.scope = "key.apply identity.self";
    out.issued_s = 1'800'000'000;
    out.expires_s = out.issued_s + 300;
    out.token_id = Bytes(access_token_id_size, 7);
    out.holder = Bytes(certificate_thumbprint_size, 9);
    out.epoch = 3;
    return out;
  }
  static AccessExpectation expected() {
    return {.issuer = "qanat://core/iam/iam", .audience = "kms-a", .holder = Bytes(certificate_thumbprint_size, 9), .epoch_min = 3, .now_s = 1'800'000'100};
  }
  [[nodiscard]] Bytes cwt(const AccessClaims& said) const { return cwt_of(cwt_protected_header(ml_dsa_key_), encode_cwt_claims(said)); }
  [[nodiscard]] Bytes cwt_of(Bytes header, Bytes payload) const {
    CoseSign1 message;
    message.signature = ml_dsa_.sign(cose_sign1_tbs(header, payload), *rng_);
    message.protected_header = std::move(header);
    message.payload = std::move(payload);
    return encode_cose_sign1(message);
  }
  [[nodiscard]] std::string jwt(const TokenKey& key, const AccessClaims& said) const {
    std::string input = jwt_signing_input(key, said);
    const Bytes signature = key.algorithm() == TokenAlgorithm::ml_dsa_44 ? ml_dsa_.sign(as_bytes(input), *rng_) : es256_.sign(as_bytes(input)).value();
    return finish_jwt(std::move(input), signature);
  }
  [[nodiscard]] std::string jwt_with_header(const Json& header, bool es256) const {
    std::string input = to_base64url(as_bytes(header.dump())) + jwt_signing_input(ml_dsa_key_, claims()).substr(jwt_signing_input(ml_dsa_key_, claims()).find('.'));
    const Bytes signature = es256 ? es256_.sign(as_bytes(input)).value() : ml_dsa_.sign(as_bytes(input), *rng_);
    return finish_jwt(std::move(input), signature);
  }

  std::unique_ptr<crypto::Rng> rng_ = crypto::open_rng().value();
  crypto::LoneSigner ml_dsa_ = crypto::LoneSigner::generate(crypto::LoneScheme::ml_dsa_44, *rng_).value();
  crypto::Es256Signer es256_ = crypto::Es256Signer::generate().value();
  TokenKey ml_dsa_key_ = TokenKey::from_public(TokenAlgorithm::ml_dsa_44, ml_dsa_.public_key()).value();
  TokenKey es256_key_ = TokenKey::from_public(TokenAlgorithm::es256, es256_.public_key()).value();
  TokenKeys keys_{{ml_dsa_key_, es256_key_}};
};

TEST_F(AccessTokenTest, TheSignedCwtOfRfc8392IsTakenApartAndItsSignatureHolds) {
  const Bytes octets = *from_hex(rfc8392_signed_cwt);
  const auto message = parse_cose_sign1(octets);
  ASSERT_TRUE(message) << message.error().message;
  EXPECT_EQ(message->algorithm, -7);
  EXPECT_EQ(as_text(message->key_id), "AsymmetricECDSA256");
  const Bytes point = concat({Bytes{4}, *from_hex(rfc8392_x), *from_hex(rfc8392_y)});
  EXPECT_TRUE(crypto::verify_es256(point, cose_sign1_tbs(message->protected_header, message->payload), message->signature));
  Bytes altered = message->payload;
  altered[10] ^= 1;
  EXPECT_FALSE(crypto::verify_es256(point, cose_sign1_tbs(message->protected_header, altered), message->signature));
  const Bytes tagged = concat({*from_hex("d83d"), octets});  // RFC 8392 §6: the CWT tag is optional
  EXPECT_TRUE(parse_cose_sign1(tagged));
}

TEST_F(AccessTokenTest, TheEs256ExampleOfRfc7515Verifies) {
  const auto parts = parse_jws(rfc7515_jws);
  ASSERT_TRUE(parts) << parts.error().message;
  const Bytes point = concat({Bytes{4}, from_base64url(rfc7515_x).value(), from_base64url(rfc7515_y).value()});
  EXPECT_TRUE(crypto::verify_es256(point, as_bytes(parts->signed_part), parts->signature));
  Bytes bad = parts->signature;
  bad.back() ^= 1;
  EXPECT_FALSE(crypto::verify_es256(point, as_bytes(parts->signed_part), bad));
}

// RFC 7638 §3.1 has an RSA key; the input for EC keys is RFC 7638 §3.2's, checked here against its definition.
TEST_F(AccessTokenTest, AKeyIsNamedByTheThumbprintOfItsJwk) {
  const Json jwk = es256_key_.jwk();
  const std::string input = R"({"crv":"P-256","kty":"EC","x":")" + jwk.text("x").value() + R"(","y":")" + jwk.text("y").value() + "\"}";
  EXPECT_EQ(es256_key_.id(), crypto::digest(crypto::Hash::sha256, as_bytes(input)));
  const auto again = TokenKeys::parse(keys_.jwks());
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->jwks().dump(), keys_.jwks().dump());
}

TEST_F(AccessTokenTest, ACwtSaysWhatItsIssuerSaid) {
  const auto opened = open_cwt(cwt(claims()), keys_);
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(*opened, claims());
  EXPECT_TRUE(check_access(*opened, expected()));
  EXPECT_LT(cwt(claims()).size(), 2800U) << "design 05 §5: about 2.6 kB";
}

TEST_F(AccessTokenTest, AJwtSaysWhatItsIssuerSaidUnderBothAlgorithms) {
  for (const TokenKey& key : {ml_dsa_key_, es256_key_}) {
    const auto opened = open_jwt(jwt(key, claims()), keys_);
    ASSERT_TRUE(opened) << opened.error().message;
    EXPECT_EQ(*opened, claims());
  }
}

TEST_F(AccessTokenTest, AnotherAudienceHolderIssuerTimeOrEpochIsDenied) {
  const auto refused = [&](auto change) {
    AccessExpectation wanted = expected();
    change(wanted);
    return !check_access(claims(), wanted);
  };
  EXPECT_TRUE(refused([](AccessExpectation& e) { e.audience = "kms-b"; }));
  EXPECT_TRUE(refused([](AccessExpectation& e) { e.holder = Bytes(32, 1); }));
  EXPECT_TRUE(refused([](AccessExpectation& e) { e.issuer = "qanat://evil/iam/iam"; }));
  EXPECT_TRUE(refused([](AccessExpectation& e) { e.epoch_min = 4; }));
  EXPECT_TRUE(refused([](AccessExpectation& e) { e.now_s = 1'800'000'300; }));
  EXPECT_TRUE(refused([](AccessExpectation& e) { e.now_s = 1'800'000'000 - access_clock_skew_s - 1; }));
  EXPECT_FALSE(refused([](AccessExpectation& e) { e.now_s = 1'800'000'000 - access_clock_skew_s; }));
}

TEST_F(AccessTokenTest, ATokenThatHoldsTooLongOrSaysNonsenseIsNotOpened) {
  for (const auto& change : std::vector<std::function<void(AccessClaims&)>>{[](AccessClaims& c) { c.expires_s = c.issued_s + access_lifetime_max_s + 1; },
                                                                            [](AccessClaims& c) { c.expires_s = c.issued_s; }, [](AccessClaims& c) { c.subject = ""; },
                                                                            [](AccessClaims& c) { c.scope = "two  spaces"; }, [](AccessClaims& c) { c.token_id.pop_back(); },
                                                                            [](AccessClaims& c) { c.holder.clear(); }}) {
    AccessClaims said = claims();
    change(said);
    EXPECT_FALSE(check_form(said));
    EXPECT_FALSE(open_cwt(cwt(said), keys_));
    EXPECT_FALSE(open_jwt(jwt(ml_dsa_key_, said), keys_));
  }
}

TEST_F(AccessTokenTest, TheAlgorithmOfATokenIsItsKeysOrItIsRefused) {
  const std::string kid = to_base64url(ml_dsa_key_.id());
  const auto code = [&](const Json& header, bool es256) {
    const auto opened = open_jwt(jwt_with_header(header, es256), keys_);
    return opened ? std::string("opened") : std::string(name(opened.error().code));
  };
  EXPECT_EQ(code(Json::object({{"alg", "ML-DSA-44"}, {"typ", "at+jwt"}, {"kid", kid}}), false), "opened");
  EXPECT_EQ(code(Json::object({{"alg", "none"}, {"typ", "at+jwt"}, {"kid", kid}}), false), "denied");
  EXPECT_EQ(code(Json::object({{"alg", "ES256"}, {"typ", "at+jwt"}, {"kid", kid}}), true), "denied") << "a good signature of the other key";
  EXPECT_EQ(code(Json::object({{"alg", "HS256"}, {"typ", "at+jwt"}, {"kid", kid}}), false), "denied");
  EXPECT_EQ(code(Json::object({{"alg", "ML-DSA-44"}, {"typ", "JWT"}, {"kid", kid}}), false), "denied");
  EXPECT_EQ(code(Json::object({{"alg", "ML-DSA-44"}, {"typ", "at+jwt"}, {"kid", to_base64url(Bytes(32, 1))}}), false), "denied");
  EXPECT_EQ(code(Json::object({{"alg", "ML-DSA-44"}, {"typ", "at+jwt"}, {"kid", kid}, {"crit", Json::array({Json("b64")})}}), false), "invalid_argument");

  CborMap es256_alg;
  es256_alg.integer(1, -7);
  es256_alg.octets(4, ml_dsa_key_.id());
  es256_alg.integer(16, content_format_cwt);
  EXPECT_FALSE(open_cwt(cwt_of(es256_alg.encode(), encode_cwt_claims(claims())), keys_));
  CborMap no_typ;
  no_typ.integer(1, -48);
  no_typ.octets(4, ml_dsa_key_.id());
  EXPECT_FALSE(open_cwt(cwt_of(no_typ.encode(), encode_cwt_claims(claims())), keys_));
}

TEST_F(AccessTokenTest, AnAlteredTokenIsRefusedWhereverItIsAltered) {
  const Bytes good = cwt(claims());
  for (std::size_t at = 0; at < good.size(); at += 37) {
    Bytes altered = good;
    altered[at] ^= 1;
    EXPECT_FALSE(open_cwt(altered, keys_)) << at;
  }
  const std::string text = jwt(ml_dsa_key_, claims());
  for (std::size_t at = 0; at < text.size(); at += 53) {
    std::string altered = text;
    altered[at] = altered[at] == 'A' ? 'B' : 'A';
    EXPECT_FALSE(open_jwt(altered, keys_)) << at;
  }
  EXPECT_FALSE(open_jwt(text + ".", keys_));
  EXPECT_FALSE(open_jwt(text.substr(0, text.rfind('.') + 1), keys_)) << "no signature";
}

TEST_F(AccessTokenTest, HeadersThatAreNotProtectedDecideNothing) {
  CoseSign1 message = parse_cose_sign1(cwt(claims())).value();
  const auto with_open_header = [&](Bytes map) {
    CborWriter writer;
    writer.tag(tag_cose_sign1);
    writer.array(4);
    writer.octets(message.protected_header);
    writer.raw(map);
    writer.octets(message.payload);
    writer.octets(message.signature);
    return std::move(writer).take();
  };
  CborMap alg;
  alg.integer(1, -48);
  EXPECT_FALSE(parse_cose_sign1(with_open_header(alg.encode())));
  CborMap kid;
  kid.octets(4, es256_key_.id());
  EXPECT_FALSE(parse_cose_sign1(with_open_header(kid.encode()))) << "in both headers";
  EXPECT_TRUE(parse_cose_sign1(with_open_header(CborMap().encode())));
}

TEST(ScopeTest, HoldsWholeNamesAlone) {
  EXPECT_TRUE(has_scope("a bc d", "bc"));
  EXPECT_TRUE(has_scope("bc", "bc"));
  EXPECT_FALSE(has_scope("a bcd", "bc"));
  EXPECT_FALSE(has_scope("", "bc"));
  EXPECT_FALSE(has_scope("a b", ""));
}

}  // namespace
}  // namespace qanat::wire
