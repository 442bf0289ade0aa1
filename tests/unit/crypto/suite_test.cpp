#include "crypto/suite.hpp"

#include <gtest/gtest.h>

#include "crypto/aead.hpp"
#include "crypto/kdf.hpp"
#include "crypto/self_test.hpp"
#include "unit/crypto/crypto_fixture.hpp"

namespace qanat::crypto {
namespace {

TEST(SuiteTest, IsFoundByNumberAndByName) {
  ASSERT_EQ(all_suites().size(), 2U);
  for (const Suite& row : all_suites()) {
    EXPECT_EQ(find_suite(static_cast<std::uint16_t>(row.id)).value(), &suite(row.id));
    EXPECT_EQ(find_suite(row.name).value(), &suite(row.id));
  }
  EXPECT_EQ(suite(SuiteId::gm_hybrid).signature(), 3373U);
}

TEST(SuiteTest, AnUnknownSuiteIsNotFound) {
  for (const unsigned number : {0x0000U, 0x0200U, 0x0203U, 0x0102U, 0xffffU}) {
    const auto found = find_suite(static_cast<std::uint16_t>(number));
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().code, ErrorCode::not_found);
  }
  EXPECT_FALSE(find_suite("gm-hybrid"));
  EXPECT_FALSE(find_suite(""));
}

TEST(SuiteTest, TheSizesAreTheAlgorithmsOwn) {
  Rng& rng = testing::test_rng();
  for (const Suite& row : all_suites()) {
    const auto signer = Signer::generate(row, rng);
    ASSERT_TRUE(signer);
    EXPECT_EQ(signer->verifying_key().point.size(), row.point);
    EXPECT_EQ(signer->verifying_key().ml_dsa.size(), row.ml_dsa_public);
    EXPECT_EQ(signer->secret().scalar.size(), row.scalar);
    EXPECT_EQ(signer->sign(as_bytes("tbs"), rng).size(), row.signature());
    const auto receiver = Decapsulator::generate(row, rng);
    ASSERT_TRUE(receiver);
    const auto sent = encapsulate(row, KemForm::to_static, receiver->encapsulation_key(), rng);
    ASSERT_TRUE(sent);
    EXPECT_EQ(receiver->encapsulation_key().point.size(), row.point);
    EXPECT_EQ(receiver->encapsulation_key().ml_kem.size(), row.ml_kem_public);
    EXPECT_EQ(sent->ct_classical.size(), row.classical_ct);
    EXPECT_EQ(sent->ct_ml_kem.size(), row.ml_kem_ct);
    EXPECT_EQ(sent->ss_classical.size(), row.classical_ss);
    EXPECT_EQ(sent->ss_ml_kem.size(), ss_ml_kem);
    EXPECT_EQ(digest(row.hash, as_bytes("")).size(), row.digest);
    EXPECT_EQ(digest_size(row.hash), row.digest);
    EXPECT_EQ(key_size(row.aead), row.aead_key);
  }
}

TEST(SelfTest, EveryPrimitiveGivesItsKnownAnswer) {
  const auto outcome = power_on_self_test();
  EXPECT_TRUE(outcome) << outcome.error().message;
}

}  // namespace
}  // namespace qanat::crypto
