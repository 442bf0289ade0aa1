// Keys of others that sign JWS: signatures made by OpenSSL hold under exactly the key and algorithm they were made with.
#include "crypto/jose_key.hpp"

#include "jose_signer.hpp"

namespace qanat::crypto {
namespace {

Result<JoseKey> key_of(const test::JoseSigner& signer) {
  using enum JoseAlgorithm;
  if (signer.algorithm() == rs256) return JoseKey::from_rsa(signer.number(OSSL_PKEY_PARAM_RSA_N), signer.number(OSSL_PKEY_PARAM_RSA_E));
  if (signer.algorithm() >= ml_dsa_44) return JoseKey::from_ml_dsa(signer.algorithm(), signer.ml_dsa_public());
  const std::size_t size = signer.algorithm() == es256 ? 32 : 48;
  return JoseKey::from_ec(signer.algorithm(), signer.number(OSSL_PKEY_PARAM_EC_PUB_X, size), signer.number(OSSL_PKEY_PARAM_EC_PUB_Y, size));
}

/// The code of what must be a refusal.
ErrorCode refusal(const Result<JoseKey>& key) {
  EXPECT_FALSE(key) << "was taken";
  return key ? ErrorCode::internal : key.error().code;
}

class JoseKeyTest : public ::testing::TestWithParam<JoseAlgorithm> {};

TEST_P(JoseKeyTest, TakesItsOwnSignatureAndNoOther) {
  const test::JoseSigner signer(GetParam());
  const auto key = key_of(signer);
  ASSERT_TRUE(key) << key.error().message;
  EXPECT_EQ(key->algorithm(), GetParam());
  const Bytes message = to_bytes("what is signed");
  const Bytes signature = signer.sign(message);
  EXPECT_TRUE(key->verify(message, signature));
  const auto refused = [&](ByteView text, ByteView with) {
    const auto verified = key->verify(text, with);
    return !verified && verified.error().code == ErrorCode::denied;
  };
  EXPECT_TRUE(refused(as_bytes("what was not signed"), signature));
  EXPECT_TRUE(refused(message, ByteView(signature).first(signature.size() - 1)));
  EXPECT_TRUE(refused(message, concat({signature, Bytes{0}})));
  EXPECT_TRUE(refused(message, {}));
  EXPECT_TRUE(refused(message, Bytes(signature.size())));
  Bytes changed = signature;
  changed[changed.size() / 2] ^= 1U;
  EXPECT_TRUE(refused(message, changed));
  EXPECT_TRUE(refused(message, test::JoseSigner(GetParam()).sign(message))) << "by another key";
}

TEST_P(JoseKeyTest, SpkiIsTheOneThatACertificateWouldHold) {
  const test::JoseSigner signer(GetParam());
  EXPECT_EQ(key_of(signer)->spki(), to_der<i2d_PUBKEY>(signer.native()));
}

TEST_P(JoseKeyTest, IsFoundByItsNameAlone) {
  EXPECT_EQ(find_jose_algorithm(name(GetParam())), GetParam());
  for (const std::string_view other : {"none", "HS256", "es256", "ES512", "RS512", "PS256", "EdDSA", "ML-DSA", ""})
    EXPECT_FALSE(find_jose_algorithm(other)) << other;
}

INSTANTIATE_TEST_SUITE_P(All, JoseKeyTest, ::testing::ValuesIn(all_jose_algorithms), [](const auto& info) {
  std::string out(name(info.param));
  std::erase(out, '-');
  return out;
});

TEST(JoseKeyRefusalTest, PointsThatAreNotOnTheCurveOrNotWhole) {
  const test::JoseSigner signer(JoseAlgorithm::es256);
  const Bytes x = signer.number(OSSL_PKEY_PARAM_EC_PUB_X, 32);
  Bytes y = signer.number(OSSL_PKEY_PARAM_EC_PUB_Y, 32);
  EXPECT_EQ(refusal(JoseKey::from_ec(JoseAlgorithm::es256, x, ByteView(y).first(31))), ErrorCode::invalid_argument);
  EXPECT_EQ(refusal(JoseKey::from_ec(JoseAlgorithm::es384, x, y)), ErrorCode::invalid_argument);
  EXPECT_EQ(refusal(JoseKey::from_ec(JoseAlgorithm::rs256, x, y)), ErrorCode::invalid_argument);
  y[5] ^= 1U;
  EXPECT_EQ(refusal(JoseKey::from_ec(JoseAlgorithm::es256, x, y)), ErrorCode::invalid_argument);
  EXPECT_EQ(refusal(JoseKey::from_ec(JoseAlgorithm::es256, Bytes(32), Bytes(32))), ErrorCode::invalid_argument);
}

TEST(JoseKeyRefusalTest, RsaThatIsShortOrMalformed) {
  const test::JoseSigner weak(JoseAlgorithm::rs256, 1024);
  EXPECT_EQ(refusal(key_of(weak)), ErrorCode::denied);
  const test::JoseSigner signer(JoseAlgorithm::rs256);
  const Bytes n = signer.number(OSSL_PKEY_PARAM_RSA_N);
  const Bytes e{1, 0, 1};
  const Bytes zero{0};
  EXPECT_TRUE(JoseKey::from_rsa(n, e));
  EXPECT_EQ(refusal(JoseKey::from_rsa(concat({zero, n}), e)), ErrorCode::invalid_argument);
  EXPECT_EQ(refusal(JoseKey::from_rsa(n, concat({zero, e}))), ErrorCode::invalid_argument);
  EXPECT_EQ(refusal(JoseKey::from_rsa(n, {})), ErrorCode::invalid_argument);
  EXPECT_EQ(refusal(JoseKey::from_rsa(n, Bytes{1})), ErrorCode::denied);
  EXPECT_EQ(refusal(JoseKey::from_rsa(n, Bytes{4})), ErrorCode::denied);
  EXPECT_EQ(refusal(JoseKey::from_rsa(n, Bytes{1, 0, 0, 0, 1})), ErrorCode::denied);
  EXPECT_EQ(refusal(JoseKey::from_rsa(Bytes(1025, 0xFF), e)), ErrorCode::denied);
  Bytes even = n;
  even.back() &= 0xFEU;
  EXPECT_EQ(refusal(JoseKey::from_rsa(even, e)), ErrorCode::denied);
}

TEST(JoseKeyRefusalTest, MlDsaOfAnotherLevel) {
  const test::JoseSigner signer(JoseAlgorithm::ml_dsa_65);
  EXPECT_EQ(refusal(JoseKey::from_ml_dsa(JoseAlgorithm::ml_dsa_44, signer.ml_dsa_public())), ErrorCode::invalid_argument);
  EXPECT_EQ(refusal(JoseKey::from_ml_dsa(JoseAlgorithm::es256, signer.ml_dsa_public())), ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace qanat::crypto
