#include "crypto/es256.hpp"

#include <gtest/gtest.h>

#include "crypto/lone_signer.hpp"

namespace qanat::crypto {
namespace {

TEST(Es256Test, ASignatureHoldsUnderItsKeyAndItsMessageAlone) {
  const Es256Signer signer = Es256Signer::generate().value();
  const Es256Signer other = Es256Signer::generate().value();
  const Bytes signature = signer.sign(as_bytes("message")).value();
  ASSERT_EQ(signature.size(), es256_signature);
  EXPECT_TRUE(verify_es256(signer.public_key(), as_bytes("message"), signature));
  EXPECT_FALSE(verify_es256(signer.public_key(), as_bytes("Message"), signature));
  EXPECT_FALSE(verify_es256(other.public_key(), as_bytes("message"), signature));
  EXPECT_FALSE(verify_es256(signer.public_key(), as_bytes("message"), ByteView(signature).first(63)));
  EXPECT_FALSE(verify_es256(signer.public_key(), as_bytes("message"), Bytes(es256_signature)));
}

TEST(Es256Test, TheKeyComesBackFromItsSecretAndFromNothingElse) {
  const Es256Signer signer = Es256Signer::generate().value();
  const auto again = Es256Signer::from_secret(signer.secret());
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->public_key(), signer.public_key());
  EXPECT_TRUE(verify_es256(signer.public_key(), as_bytes("m"), again->sign(as_bytes("m")).value()));
  Secret mixed = signer.secret();
  mixed.writable()[0] ^= 1;
  EXPECT_FALSE(Es256Signer::from_secret(mixed)) << "scalar and point are no pair";
  EXPECT_FALSE(Es256Signer::from_secret(Secret(32)));
}

TEST(Es256Test, APointThatIsNotOnTheCurveIsNoKey) {
  Bytes point = Es256Signer::generate().value().public_key();
  point[40] ^= 1;
  EXPECT_EQ(verify_es256(point, as_bytes("m"), Bytes(es256_signature, 1)).error().code, ErrorCode::invalid_argument);
}

TEST(LoneVerifierTest, AKeptKeyVerifiesAsTheFunctionDoes) {
  const auto rng = open_rng().value();
  const LoneSigner signer = LoneSigner::generate(LoneScheme::ml_dsa_44, *rng).value();
  const LoneVerifier verifier = LoneVerifier::from_key(MlDsa::ml_dsa_44, signer.public_key()).value();
  const Bytes signature = signer.sign(as_bytes("m"), *rng);
  EXPECT_TRUE(verifier.verify(as_bytes("m"), signature));
  EXPECT_EQ(verifier.verify(as_bytes("n"), signature).error().code, ErrorCode::denied);
  EXPECT_EQ(verifier.verify(as_bytes("m"), ByteView(signature).first(100)).error().code, ErrorCode::denied);
  EXPECT_FALSE(LoneVerifier::from_key(MlDsa::ml_dsa_44, Bytes(1311)));
}

}  // namespace
}  // namespace qanat::crypto
