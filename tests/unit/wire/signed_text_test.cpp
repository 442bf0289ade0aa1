#include "wire/signed_text.hpp"

#include <gtest/gtest.h>

namespace qanat::wire {
namespace {

struct SignedTextTest : testing::Test {
  const crypto::Suite& suite = crypto::suite(crypto::SuiteId::gm_hybrid);
  std::unique_ptr<crypto::Rng> rng = crypto::open_rng().value();
  crypto::Signer signer = crypto::Signer::generate(suite, *rng).value();
  crypto::Verifier verifier = crypto::Verifier::from_key(suite, signer.verifying_key()).value();
  Fingerprints fps{.classical = Bytes(suite.digest, 1), .pq = Bytes(suite.digest, 2)};
};

TEST_F(SignedTextTest, SignsLabelTextAndTheSignersCertificatesInThisLayout) {
  const Fingerprints shown{.classical = Bytes{0xAA}, .pq = Bytes{0xBB}};
  EXPECT_EQ(to_hex(signed_text_tbs("Label", "{}", shown).value()),
            "51464332"  // QFC2
            "01"
            "054c6162656c"
            "00027b7d"
            "aabb");
}

TEST_F(SignedTextTest, HoldsUnderItsLabelAndItsSignerAlone) {
  const Bytes octets = sign_text("Label", "{\"a\":1}", signer, fps, *rng).value();
  SignedText document = parse_signed_text(suite, octets).value();
  EXPECT_EQ(document.text, "{\"a\":1}");
  EXPECT_TRUE(verify(document, "Label", verifier, fps));
  EXPECT_EQ(verify(document, "Labels", verifier, fps).error().code, ErrorCode::denied);
  EXPECT_EQ(verify(document, "Label", verifier, {.classical = fps.pq, .pq = fps.classical}).error().code, ErrorCode::denied);
  const crypto::Signer other = crypto::Signer::generate(suite, *rng).value();
  EXPECT_EQ(verify(document, "Label", crypto::Verifier::from_key(suite, other.verifying_key()).value(), fps).error().code, ErrorCode::denied);
  document.text[5] = '2';
  EXPECT_EQ(verify(document, "Label", verifier, fps).error().code, ErrorCode::denied);
}

TEST_F(SignedTextTest, OctetsThatAreCutOffOrTooManyAreRefused) {
  Bytes octets = sign_text("Label", "text", signer, fps, *rng).value();
  EXPECT_EQ(parse_signed_text(suite, ByteView(octets).first(octets.size() - 1)).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(parse_signed_text(suite, ByteView(octets).first(3)).error().code, ErrorCode::invalid_argument);
  octets.push_back(0);
  EXPECT_EQ(parse_signed_text(suite, octets).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(sign_text("Label", "", signer, fps, *rng).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(sign_text("Label", std::string(signed_text_bounds.max + 1, 'a'), signer, fps, *rng).error().code, ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace qanat::wire
