// Botan (behind our interfaces) and OpenSSL on the two ends of every primitive, in both directions.
#include <botan/pubkey.h>
#include <botan/rng.h>
#include <gtest/gtest.h>

#include "crypto/aead.hpp"
#include "crypto/algorithm_names.hpp"
#include "crypto/kdf.hpp"
#include "crypto/sm2_ciphertext.hpp"
#include "unit/crypto/crypto_fixture.hpp"
#include "unit/crypto/openssl_peer.hpp"

namespace qanat::crypto {
namespace {

constexpr int rounds = 20;

class CrossLibraryTest : public testing::BothSuites {
 protected:
  [[nodiscard]] bool gm() const { return suite_.id == SuiteId::gm_hybrid; }
  [[nodiscard]] const char* ml_dsa() const { return gm() ? "ML-DSA-65" : "ML-DSA-87"; }
  [[nodiscard]] const char* ml_kem() const { return gm() ? "ML-KEM-768" : "ML-KEM-1024"; }
  [[nodiscard]] const char* hash() const { return gm() ? "SM3" : "SHA384"; }
  [[nodiscard]] const char* cipher() const { return gm() ? "SM4-GCM" : "AES-256-GCM"; }
};

TEST_P(CrossLibraryTest, OurSignaturesHoldThere) {
  for (int i = 0; i < rounds; ++i) {
    const Signer signer = std::move(Signer::generate(suite_, rng_).value());
    const Bytes message = rng_.bytes(static_cast<std::size_t>(i) * 13);
    const Bytes signature = signer.sign(message, rng_);
    const ByteView classical = ByteView(signature).first(suite_.classical_sig);
    const ByteView lattice = ByteView(signature).subspan(suite_.classical_sig);
    const auto classical_key = testing::signature_key(suite_.curve, signer.verifying_key().point, {});
    const auto lattice_key = testing::key_from_public(ml_dsa(), signer.verifying_key().ml_dsa);
    EXPECT_TRUE(testing::verify_classical_peer(suite_, classical_key.get(), message, classical));
    EXPECT_FALSE(testing::verify_classical_peer(suite_, classical_key.get(), as_bytes("another"), classical));
    EXPECT_TRUE(testing::verify_ml_dsa_peer(lattice_key.get(), message, lattice));
    EXPECT_FALSE(testing::verify_ml_dsa_peer(lattice_key.get(), as_bytes("another"), lattice));
  }
}

TEST_P(CrossLibraryTest, TheirSignaturesHoldHere) {
  for (int i = 0; i < rounds; ++i) {
    const Signer signer = std::move(Signer::generate(suite_, rng_).value());
    const SigningSecret secret = signer.secret();
    const auto classical_key = testing::signature_key(suite_.curve, signer.verifying_key().point, secret.scalar.reveal());
    const auto lattice_key = testing::key_from_seed(ml_dsa(), secret.ml_dsa_seed.reveal());
    EXPECT_EQ(testing::raw_public(lattice_key.get()), signer.verifying_key().ml_dsa);
    const Bytes message = rng_.bytes(static_cast<std::size_t>(i) * 13);
    Bytes signature = testing::sign_classical(suite_, classical_key.get(), message);
    append(signature, testing::sign_ml_dsa(lattice_key.get(), message, testing::Randomness::drawn));
    const Verifier verifier = std::move(Verifier::from_key(suite_, signer.verifying_key()).value());
    EXPECT_TRUE(verifier.verify(message, signature));
    EXPECT_FALSE(verifier.verify(as_bytes("another"), signature));
  }
}

TEST_P(CrossLibraryTest, DeterministicMlDsaSignaturesAreTheSameOctets) {
  for (int i = 0; i < rounds; ++i) {
    const Bytes seed = rng_.bytes(seed_ml_dsa);
    const Bytes message = rng_.bytes(static_cast<std::size_t>(i) * 31);
    const Botan::ML_DSA_PrivateKey ours(seed, botan_mode(suite_.ml_dsa));
    Botan::Null_RNG none;
    EXPECT_EQ(Botan::PK_Signer(ours, none, "Deterministic").sign_message(message, none),
              testing::sign_ml_dsa(testing::key_from_seed(ml_dsa(), seed).get(), message, testing::Randomness::deterministic));
  }
}

TEST_P(CrossLibraryTest, MlKemBothWaysAndItsImplicitRejection) {
  for (int i = 0; i < rounds; ++i) {
    const Decapsulator receiver = std::move(Decapsulator::generate(suite_, rng_).value());
    const DecapsulationSecret secret = receiver.secret();
    const auto there = testing::key_from_seed(ml_kem(), secret.ml_kem_seed.reveal());
    EXPECT_EQ(testing::raw_public(there.get()), receiver.encapsulation_key().ml_kem);

    const auto ours = encapsulate(suite_, KemForm::to_ephemeral, receiver.encapsulation_key(), rng_);
    ASSERT_TRUE(ours);
    EXPECT_TRUE(equal(testing::decapsulate_peer(there.get(), ours->ct_ml_kem), ours->ss_ml_kem.reveal()));

    auto theirs = testing::encapsulate_peer(testing::key_from_public(ml_kem(), receiver.encapsulation_key().ml_kem).get());
    const auto received = receiver.decapsulate(KemForm::to_ephemeral, ours->ct_classical, theirs.ciphertext);
    ASSERT_TRUE(received);
    EXPECT_TRUE(equal(received->ml_kem.reveal(), theirs.secret));

    theirs.ciphertext[static_cast<std::size_t>(i) * 50] ^= 1U;
    const auto rejected = receiver.decapsulate(KemForm::to_ephemeral, ours->ct_classical, theirs.ciphertext);
    ASSERT_TRUE(rejected);
    EXPECT_TRUE(equal(rejected->ml_kem.reveal(), testing::decapsulate_peer(there.get(), theirs.ciphertext)));
    EXPECT_FALSE(equal(rejected->ml_kem.reveal(), theirs.secret));
  }
}

TEST_P(CrossLibraryTest, DiffieHellmanGivesTheSameCoordinate) {
  for (int i = 0; i < rounds; ++i) {
    const Decapsulator receiver = std::move(Decapsulator::generate(suite_, rng_).value());
    const auto ours = encapsulate(suite_, KemForm::to_ephemeral, receiver.encapsulation_key(), rng_);
    ASSERT_TRUE(ours);
    const DecapsulationSecret secret = receiver.secret();
    EXPECT_TRUE(equal(testing::agree_peer(suite_.curve, secret.scalar.reveal(), ours->ct_classical), ours->ss_classical.reveal()));
  }
}

TEST_P(CrossLibraryTest, SealedTextsDigestsAndDerivedKeysAreTheSameOctets) {
  for (std::size_t i = 0; i < 64; ++i) {
    const Secret key = rng_.secret(suite_.aead_key);
    const Bytes iv = rng_.bytes(aead_iv);
    const Bytes aad = rng_.bytes(i);
    const Bytes text = rng_.bytes(i * 5);
    const Bytes sealed = testing::seal_peer(cipher(), key.reveal(), iv, aad, text);
    EXPECT_EQ(seal(suite_.aead, key, iv, aad, text), sealed);
    const auto opened = open(suite_.aead, key, iv, aad, sealed);
    ASSERT_TRUE(opened);
    EXPECT_TRUE(equal(opened->reveal(), text));
    EXPECT_EQ(digest(suite_.hash, text), testing::digest_peer(hash(), text));
    EXPECT_EQ(hmac(suite_.hash, key, {text}), testing::hmac_peer(hash(), key.reveal(), text));
    const Secret derived = hkdf_expand(suite_.hash, hkdf_extract(suite_.hash, aad, key), {iv, text}, 1 + 3 * i);
    EXPECT_TRUE(equal(derived.reveal(), testing::hkdf_peer(hash(), aad, key.reveal(), concat({iv, text}), 1 + 3 * i)));
  }
}

INSTANTIATE_TEST_SUITE_P(Suites, CrossLibraryTest, ::testing::Values(SuiteId::gm_hybrid, SuiteId::intl_hybrid), testing::suite_test_name);

TEST(CrossLibrarySm2Test, EncryptionBothWays) {
  const Suite& gm = suite(SuiteId::gm_hybrid);
  Rng& rng = testing::test_rng();
  // Enough rounds that coordinates with their top bit set and with a leading zero octet occur.
  for (int i = 0; i < 300; ++i) {
    const Decapsulator receiver = std::move(Decapsulator::generate(gm, rng).value());
    const DecapsulationSecret secret = receiver.secret();
    const auto key = testing::signature_key(gm.curve, receiver.encapsulation_key().point, secret.scalar.reveal());
    const auto ours = encapsulate(gm, KemForm::to_static, receiver.encapsulation_key(), rng);
    ASSERT_TRUE(ours) << ours.error().message;
    EXPECT_TRUE(equal(testing::decrypt_sm2_peer(key.get(), sm2_der_from_raw(ours->ct_classical).value()), ours->ss_classical.reveal()));

    const Bytes drawn = rng.bytes(gm.classical_ss);
    const auto raw = sm2_raw_from_der(testing::encrypt_sm2_peer(key.get(), drawn));
    ASSERT_TRUE(raw) << raw.error().message;
    const auto received = receiver.decapsulate(KemForm::to_static, *raw, ours->ct_ml_kem);
    ASSERT_TRUE(received) << received.error().message;
    EXPECT_TRUE(equal(received->classical.reveal(), drawn));
  }
}

}  // namespace
}  // namespace qanat::crypto
