#include "crypto/hybrid_kem.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "crypto/kdf.hpp"
#include "unit/crypto/crypto_fixture.hpp"
#include "unit/crypto/foreign_vectors.hpp"

namespace qanat::crypto {
namespace {

constexpr std::array forms{KemForm::to_static, KemForm::to_ephemeral};

class HybridKemTest : public testing::BothSuites {
 protected:
  void SetUp() override {
    auto receiver = Decapsulator::generate(suite_, rng_);
    ASSERT_TRUE(receiver) << receiver.error().message;
    receiver_.emplace(std::move(*receiver));
  }
  [[nodiscard]] Encapsulation sent(KemForm form) const { return std::move(encapsulate(suite_, form, receiver_->encapsulation_key(), rng_).value()); }

  std::optional<Decapsulator> receiver_;
};

TEST_P(HybridKemTest, BothEndsHoldTheSameSecretsAndCombineToTheSameKey) {
  for (const KemForm form : forms) {
    const Encapsulation sent = this->sent(form);
    const auto received = receiver_->decapsulate(form, sent.ct_classical, sent.ct_ml_kem);
    ASSERT_TRUE(received) << received.error().message;
    EXPECT_TRUE(equal_secret(received->classical, sent.ss_classical));
    EXPECT_TRUE(equal_secret(received->ml_kem, sent.ss_ml_kem));
    const auto combined = [&](const Secret& ml_kem, const Secret& classical) {
      const Secret prk = hkdf_extract(suite_.hash, as_bytes("label"), Secret::concat({&ml_kem, &classical}));
      return hkdf_expand(suite_.hash, prk, {sent.ct_ml_kem, sent.ct_classical}, 32);
    };
    EXPECT_TRUE(equal_secret(combined(sent.ss_ml_kem, sent.ss_classical), combined(received->ml_kem, received->classical)));
  }
}

TEST_P(HybridKemTest, EachEncapsulationDrawsAnew) {
  for (const KemForm form : forms) {
    const Encapsulation a = sent(form);
    const Encapsulation b = sent(form);
    EXPECT_NE(a.ct_classical, b.ct_classical);
    EXPECT_NE(a.ct_ml_kem, b.ct_ml_kem);
    EXPECT_FALSE(equal_secret(a.ss_classical, b.ss_classical));
    EXPECT_FALSE(equal_secret(a.ss_ml_kem, b.ss_ml_kem));
  }
}

TEST_P(HybridKemTest, AChangedClassicalCiphertextIsDenied) {
  const Encapsulation sent = this->sent(KemForm::to_static);
  for (std::size_t bit = 0; bit < sent.ct_classical.size() * 8; bit += 3) {
    Bytes changed = sent.ct_classical;
    changed[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    const auto received = receiver_->decapsulate(KemForm::to_static, changed, sent.ct_ml_kem);
    ASSERT_FALSE(received) << "bit " << bit;
    EXPECT_EQ(received.error().code, ErrorCode::denied);
  }
}

// FIPS 203, 6.3: the receiver of a changed ciphertext gets another secret, and no sign of it.
TEST_P(HybridKemTest, AChangedMlKemCiphertextGivesAnotherSecretEveryTimeTheSame) {
  const Encapsulation sent = this->sent(KemForm::to_static);
  Bytes changed = sent.ct_ml_kem;
  changed[17] ^= 4U;
  const auto first = receiver_->decapsulate(KemForm::to_static, sent.ct_classical, changed);
  const auto second = receiver_->decapsulate(KemForm::to_static, sent.ct_classical, changed);
  ASSERT_TRUE(first && second);
  EXPECT_FALSE(equal_secret(first->ml_kem, sent.ss_ml_kem));
  EXPECT_TRUE(equal_secret(first->ml_kem, second->ml_kem));
}

TEST_P(HybridKemTest, ACiphertextForAnotherReceiverDoesNotOpen) {
  const Decapsulator other = std::move(Decapsulator::generate(suite_, rng_).value());
  const Encapsulation to_static = sent(KemForm::to_static);
  const auto received = other.decapsulate(KemForm::to_static, to_static.ct_classical, to_static.ct_ml_kem);
  if (suite_.curve == Curve::sm2p256v1) {
    ASSERT_FALSE(received);
    EXPECT_EQ(received.error().code, ErrorCode::denied);
  } else {
    ASSERT_TRUE(received);
    EXPECT_FALSE(equal_secret(received->classical, to_static.ss_classical));
    EXPECT_FALSE(equal_secret(received->ml_kem, to_static.ss_ml_kem));
  }
}

TEST_P(HybridKemTest, WrongLengthsAreInvalid) {
  for (const KemForm form : forms) {
    const Encapsulation sent = this->sent(form);
    const auto code = [&](ByteView classical, ByteView ml_kem) {
      const auto received = receiver_->decapsulate(form, classical, ml_kem);
      return received ? std::optional<ErrorCode>() : received.error().code;
    };
    const ByteView classical = sent.ct_classical;
    const ByteView ml_kem = sent.ct_ml_kem;
    EXPECT_EQ(code(classical.first(classical.size() - 1), ml_kem), ErrorCode::invalid_argument);
    EXPECT_EQ(code(concat({classical, Bytes(1)}), ml_kem), ErrorCode::invalid_argument);
    EXPECT_EQ(code({}, ml_kem), ErrorCode::invalid_argument);
    EXPECT_EQ(code(classical, ml_kem.first(ml_kem.size() - 1)), ErrorCode::invalid_argument);
    EXPECT_EQ(code(classical, {}), ErrorCode::invalid_argument);
  }
}

TEST_P(HybridKemTest, AnEncapsulationKeyThatIsNoneIsRefused) {
  const EncapsulationKey& key = receiver_->encapsulation_key();
  const Suite& other = suite(GetParam() == SuiteId::gm_hybrid ? SuiteId::intl_hybrid : SuiteId::gm_hybrid);
  for (const KemForm form : forms) {
    const auto refused = [&](const Suite& suite, EncapsulationKey changed) {
      const auto sent = encapsulate(suite, form, changed, rng_);
      const auto kept = Encapsulator::from_key(suite, changed);
      return !sent && sent.error().code == ErrorCode::invalid_argument && !kept && kept.error() == sent.error();
    };
    EncapsulationKey off_curve = key;
    off_curve.point[5] ^= 1U;
    EXPECT_TRUE(refused(suite_, off_curve));
    EncapsulationKey short_point = key;
    short_point.point.pop_back();
    EXPECT_TRUE(refused(suite_, short_point));
    EncapsulationKey short_lattice = key;
    short_lattice.ml_kem.pop_back();
    EXPECT_TRUE(refused(suite_, short_lattice));
    EncapsulationKey large_coefficient = key;  // FIPS 203, 7.2: a coefficient of q or more
    large_coefficient.ml_kem[0] = 0xff;
    large_coefficient.ml_kem[1] |= 0x0fU;
    EXPECT_TRUE(refused(suite_, large_coefficient));
    EXPECT_TRUE(refused(other, key));
  }
}

TEST_P(HybridKemTest, ASecretMakesTheSameReceiverAgain) {
  const auto again = Decapsulator::from_secret(suite_, receiver_->secret());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->encapsulation_key(), receiver_->encapsulation_key());
  const Encapsulation sent = this->sent(KemForm::to_static);
  const auto received = again->decapsulate(KemForm::to_static, sent.ct_classical, sent.ct_ml_kem);
  ASSERT_TRUE(received);
  EXPECT_TRUE(equal_secret(received->classical, sent.ss_classical));
  EXPECT_FALSE(Decapsulator::from_secret(suite_, {.scalar = rng_.secret(suite_.scalar), .ml_kem_seed = rng_.secret(63)}));
  EXPECT_FALSE(Decapsulator::from_secret(suite_, {.scalar = Secret(suite_.scalar), .ml_kem_seed = rng_.secret(64)}));
}

TEST_P(HybridKemTest, GivenRandomnessGivesOneEncapsulation) {
  const EncapsulationKey& key = receiver_->encapsulation_key();
  const Bytes m = rng_.bytes(32);
  const Bytes drawn = rng_.bytes(32);
  Bytes scalar(suite_.scalar, 0x5a);
  for (const KemForm form : forms) {
    const auto first = encapsulate_with(suite_, form, key, m, scalar, drawn);
    const auto second = encapsulate_with(suite_, form, key, m, scalar, drawn);
    ASSERT_TRUE(first && second);
    EXPECT_EQ(first->ct_classical, second->ct_classical);
    EXPECT_EQ(first->ct_ml_kem, second->ct_ml_kem);
    const auto received = receiver_->decapsulate(form, first->ct_classical, first->ct_ml_kem);
    ASSERT_TRUE(received);
    EXPECT_TRUE(equal_secret(received->classical, first->ss_classical));
    EXPECT_TRUE(equal_secret(received->ml_kem, first->ss_ml_kem));
    EXPECT_FALSE(encapsulate_with(suite_, form, key, Bytes(31), scalar, drawn));
    EXPECT_FALSE(encapsulate_with(suite_, form, key, m, Bytes(suite_.scalar), drawn));
    EXPECT_FALSE(encapsulate_with(suite_, form, key, m, Bytes(suite_.scalar, 0xff), drawn));
  }
}

TEST_P(HybridKemTest, AKeptEncapsulatorEncapsulatesAsOneThatWasMadeForIt) {
  const EncapsulationKey& key = receiver_->encapsulation_key();
  const Encapsulator kept = std::move(Encapsulator::from_key(suite_, key).value());
  EXPECT_EQ(kept.key(), key);
  const Bytes scalar(suite_.scalar, 0x5a);
  for (const KemForm form : forms) {
    for (int use = 0; use < 3; ++use) {
      const Bytes m = rng_.bytes(32);
      const Bytes drawn = rng_.bytes(32);
      const auto of_kept = kept.encapsulate_with(form, m, scalar, drawn);
      const auto of_once = encapsulate_with(suite_, form, key, m, scalar, drawn);
      ASSERT_TRUE(of_kept && of_once);
      EXPECT_EQ(of_kept->ct_classical, of_once->ct_classical);
      EXPECT_EQ(of_kept->ct_ml_kem, of_once->ct_ml_kem);
      EXPECT_TRUE(equal_secret(of_kept->ss_classical, of_once->ss_classical));
      EXPECT_TRUE(equal_secret(of_kept->ss_ml_kem, of_once->ss_ml_kem));
    }
    const auto a = kept.encapsulate(form, rng_);
    const auto b = kept.encapsulate(form, rng_);
    ASSERT_TRUE(a && b);
    EXPECT_NE(a->ct_classical, b->ct_classical);
    EXPECT_NE(a->ct_ml_kem, b->ct_ml_kem);
  }
}

TEST_P(HybridKemTest, OneEncapsulatorServesSeveralThreads) {
  const Encapsulator kept = std::move(Encapsulator::from_key(suite_, receiver_->encapsulation_key()).value());
  std::atomic<int> same = 0;
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 6; ++thread) {
      threads.emplace_back([&] {
        for (int i = 0; i < 20; ++i) {
          const KemForm form = forms[static_cast<std::size_t>(i) % 2];
          const auto mine = kept.encapsulate(form, rng_);
          const auto received = mine ? receiver_->decapsulate(form, mine->ct_classical, mine->ct_ml_kem) : Result<SharedSecrets>(fail(mine.error()));
          if (received && equal_secret(received->classical, mine->ss_classical) && equal_secret(received->ml_kem, mine->ss_ml_kem)) ++same;
        }
      });
    }
  }
  EXPECT_EQ(same, 120);
}

TEST_P(HybridKemTest, OneReceiverServesSeveralThreads) {
  std::atomic<int> same = 0;
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 6; ++thread) {
      threads.emplace_back([&] {
        for (int i = 0; i < 20; ++i) {
          const Encapsulation mine = sent(forms[static_cast<std::size_t>(i) % 2]);
          const auto received = receiver_->decapsulate(forms[static_cast<std::size_t>(i) % 2], mine.ct_classical, mine.ct_ml_kem);
          if (received && equal_secret(received->classical, mine.ss_classical) && equal_secret(received->ml_kem, mine.ss_ml_kem)) ++same;
        }
      });
    }
  }
  EXPECT_EQ(same, 120);
}

INSTANTIATE_TEST_SUITE_P(Suites, HybridKemTest, ::testing::Values(SuiteId::gm_hybrid, SuiteId::intl_hybrid), testing::suite_test_name);

}  // namespace
}  // namespace qanat::crypto
