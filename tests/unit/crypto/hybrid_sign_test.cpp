#include "crypto/hybrid_sign.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "unit/crypto/crypto_fixture.hpp"
#include "unit/crypto/foreign_vectors.hpp"

namespace qanat::crypto {
namespace {

using testing::hex;

class HybridSignTest : public testing::BothSuites {
 protected:
  void SetUp() override {
    auto signer = Signer::generate(suite_, rng_);
    ASSERT_TRUE(signer) << signer.error().message;
    signer_.emplace(std::move(*signer));
    signature_ = signer_->sign(tbs_, rng_);
  }
  [[nodiscard]] Verifier verifier() const { return std::move(Verifier::from_key(suite_, signer_->verifying_key()).value()); }

  std::optional<Signer> signer_;
  Bytes tbs_ = to_bytes("to be signed");
  Bytes signature_;
};

void expect_half_denied(const Result<void>& outcome, std::string_view half) {
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::denied);
  EXPECT_NE(outcome.error().message.find(half), std::string::npos) << outcome.error().message;
}

TEST_P(HybridSignTest, AnHonestSignatureHolds) {
  const Verifier verifier = this->verifier();
  EXPECT_TRUE(verifier.verify(tbs_, signature_));
  EXPECT_TRUE(verifier.verify(tbs_, signature_));
  const ByteView view = signature_;
  EXPECT_TRUE(verify_classical(suite_, signer_->verifying_key().point, tbs_, view.first(suite_.classical_sig)));
  EXPECT_TRUE(verify_ml_dsa(suite_.ml_dsa, signer_->verifying_key().ml_dsa, tbs_, view.subspan(suite_.classical_sig)));
}

TEST_P(HybridSignTest, SigningDrawsFreshRandomnessInBothHalves) {
  const Bytes again = signer_->sign(tbs_, rng_);
  const auto split = static_cast<std::ptrdiff_t>(suite_.classical_sig);
  EXPECT_FALSE(std::equal(again.begin(), again.begin() + split, signature_.begin()));
  EXPECT_FALSE(std::equal(again.begin() + split, again.end(), signature_.begin() + split));
}

TEST_P(HybridSignTest, AnyChangedBitOfTheClassicalHalfIsDenied) {
  const Verifier verifier = this->verifier();
  for (std::size_t bit = 0; bit < suite_.classical_sig * 8; ++bit) {
    Bytes changed = signature_;
    changed[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    ASSERT_FALSE(verifier.verify(tbs_, changed)) << "bit " << bit;
  }
  Bytes changed = signature_;
  changed[0] ^= 1U;
  expect_half_denied(verifier.verify(tbs_, changed), suite_.curve == Curve::sm2p256v1 ? "SM2" : "ECDSA");
}

TEST_P(HybridSignTest, AnyChangedBitOfTheMlDsaHalfIsDenied) {
  const Verifier verifier = this->verifier();
  const ByteView ml_dsa = ByteView(signature_).subspan(suite_.classical_sig);
  for (std::size_t octet = 0; octet < ml_dsa.size(); octet += 7) {
    Bytes changed = signature_;
    changed[suite_.classical_sig + octet] ^= static_cast<std::uint8_t>(1U << (octet % 8));
    expect_half_denied(verifier.verify(tbs_, changed), "ML-DSA");
  }
  Bytes changed = signature_;
  changed.back() ^= 0x80U;
  expect_half_denied(verifier.verify(tbs_, changed), "ML-DSA");
}

TEST_P(HybridSignTest, AnotherTextOrAnotherSignerIsDenied) {
  EXPECT_FALSE(verifier().verify(as_bytes("to be signee"), signature_));
  EXPECT_FALSE(verifier().verify({}, signature_));
  const Signer other = std::move(Signer::generate(suite_, rng_).value());
  EXPECT_FALSE(std::move(Verifier::from_key(suite_, other.verifying_key()).value()).verify(tbs_, signature_));
}

TEST_P(HybridSignTest, HalvesOfTwoSignersDoNotMakeOne) {
  const Signer other = std::move(Signer::generate(suite_, rng_).value());
  Bytes mixed = other.sign(tbs_, rng_);
  std::copy_n(signature_.begin(), suite_.classical_sig, mixed.begin());
  expect_half_denied(verifier().verify(tbs_, mixed), "ML-DSA");
}

TEST_P(HybridSignTest, ASignatureOfTheOtherSuiteOrLengthIsDenied) {
  const Suite& other = suite(GetParam() == SuiteId::gm_hybrid ? SuiteId::intl_hybrid : SuiteId::gm_hybrid);
  const Signer signer = std::move(Signer::generate(other, rng_).value());
  EXPECT_FALSE(verifier().verify(tbs_, signer.sign(tbs_, rng_)));
  EXPECT_FALSE(Verifier::from_key(suite_, signer.verifying_key()));
  EXPECT_FALSE(Verifier::from_key(other, signer_->verifying_key()));
  EXPECT_FALSE(Signer::from_secret(other, signer_->secret()));
  for (const std::size_t size : {std::size_t{0}, suite_.classical_sig, signature_.size() - 1}) {
    EXPECT_FALSE(verifier().verify(tbs_, ByteView(signature_).first(size)));
  }
  EXPECT_FALSE(verifier().verify(tbs_, concat({signature_, Bytes(1)})));
  EXPECT_FALSE(verify_classical(suite_, signer_->verifying_key().point, tbs_, ByteView(signature_).first(suite_.classical_sig - 1)));
  EXPECT_FALSE(verify_ml_dsa(suite_.ml_dsa, signer_->verifying_key().ml_dsa, tbs_, ByteView(signature_).last(suite_.ml_dsa_sig - 1)));
}

TEST_P(HybridSignTest, AnAllZeroClassicalSignatureIsDenied) {
  Bytes zero = signature_;
  std::fill_n(zero.begin(), suite_.classical_sig, std::uint8_t{0});
  EXPECT_FALSE(verifier().verify(tbs_, zero));
}

TEST_P(HybridSignTest, APointThatIsNotOnTheCurveOrInAnotherFormIsRefused) {
  const VerifyingKey& key = signer_->verifying_key();
  const auto refused = [&](const Bytes& point) {
    const auto outcome = Verifier::from_key(suite_, VerifyingKey{.point = point, .ml_dsa = key.ml_dsa});
    return !outcome && outcome.error().code == ErrorCode::invalid_argument && !verify_classical(suite_, point, tbs_, Bytes(suite_.classical_sig));
  };
  Bytes off_curve = key.point;
  off_curve.back() ^= 1U;
  EXPECT_TRUE(refused(off_curve));
  Bytes compressed(key.point.begin(), key.point.begin() + 1 + static_cast<std::ptrdiff_t>(suite_.scalar));
  compressed[0] = static_cast<std::uint8_t>(2 + (key.point.back() & 1));
  EXPECT_TRUE(refused(compressed));
  Bytes hybrid_form = key.point;
  hybrid_form[0] = static_cast<std::uint8_t>(6 + (key.point.back() & 1));
  EXPECT_TRUE(refused(hybrid_form));
  EXPECT_TRUE(refused(Bytes(1)));             // infinity
  EXPECT_TRUE(refused(Bytes(suite_.point)));  // infinity, padded
  Bytes zero(suite_.point);
  zero[0] = 4;
  EXPECT_TRUE(refused(zero));
  Bytes large(suite_.point, 0xff);  // coordinates not below p
  large[0] = 4;
  EXPECT_TRUE(refused(large));
  EXPECT_TRUE(refused(concat({key.point, Bytes(1)})));
  EXPECT_TRUE(refused({}));
}

TEST_P(HybridSignTest, ASecretMakesTheSameSignerAgain) {
  const SigningSecret secret = signer_->secret();
  const auto again = Signer::from_secret(suite_, secret);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->verifying_key(), signer_->verifying_key());
  EXPECT_TRUE(verifier().verify(tbs_, again->sign(tbs_, rng_)));
}

TEST_P(HybridSignTest, AScalarOutOfRangeIsRefused) {
  const std::string order = suite_.curve == Curve::sm2p256v1
                                ? "fffffffeffffffffffffffffffffffff7203df6b21c6052b53bbf40939d54123"
                                : "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973";
  const auto with_scalar = [&](Bytes scalar) {
    return Signer::from_secret(suite_, {.scalar = Secret::copy_of(scalar), .ml_dsa_seed = rng_.secret(seed_ml_dsa)}).has_value();
  };
  Bytes n = hex(order);
  EXPECT_FALSE(with_scalar(Bytes(suite_.scalar)));
  EXPECT_FALSE(with_scalar(n));
  Bytes one_less = n;
  one_less.back() = static_cast<std::uint8_t>(n.back() - 1);
  EXPECT_EQ(with_scalar(one_less), suite_.curve != Curve::sm2p256v1);  // GB/T 32918.1, 6.1: SM2's d is at most n-2
  Bytes two_less = n;
  two_less.back() = static_cast<std::uint8_t>(n.back() - 2);
  EXPECT_TRUE(with_scalar(two_less));
  EXPECT_FALSE(with_scalar(Bytes(suite_.scalar - 1, 1)));
  EXPECT_FALSE(with_scalar({}));
  EXPECT_FALSE(Signer::from_secret(suite_, {.scalar = rng_.secret(suite_.scalar), .ml_dsa_seed = rng_.secret(31)}));
}

TEST_P(HybridSignTest, SignerAndVerifierServeSeveralThreads) {
  const Verifier verifier = this->verifier();
  std::atomic<int> held = 0;
  std::atomic<int> refused = 0;
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 6; ++thread) {
      threads.emplace_back([&, thread] {
        for (int i = 0; i < 20; ++i) {
          const Bytes text = concat({tbs_, as_bytes(std::to_string(thread * 100 + i))});
          Bytes signature = signer_->sign(text, rng_);
          if (verifier.verify(text, signature)) ++held;
          signature[static_cast<std::size_t>(i) * 100 % signature.size()] ^= 1U;
          if (!verifier.verify(text, signature)) ++refused;
        }
      });
    }
  }
  EXPECT_EQ(held, 120);
  EXPECT_EQ(refused, 120);
}

INSTANTIATE_TEST_SUITE_P(Suites, HybridSignTest, ::testing::Values(SuiteId::gm_hybrid, SuiteId::intl_hybrid), testing::suite_test_name);

}  // namespace
}  // namespace qanat::crypto
