#include "crypto/aead.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "unit/crypto/crypto_fixture.hpp"

namespace qanat::crypto {
namespace {

class AeadTest : public testing::BothSuites {
 protected:
  Secret key_ = rng_.secret(suite_.aead_key);
  Bytes iv_ = rng_.bytes(aead_iv);
  Bytes aad_ = to_bytes("header");
  Bytes plaintext_ = rng_.bytes(70);
};

TEST_P(AeadTest, AnyChangedBitIsDenied) {
  const Bytes sealed = seal(suite_.aead, key_, iv_, aad_, plaintext_);
  for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    Bytes changed = sealed;
    changed[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    const auto opened = open(suite_.aead, key_, iv_, aad_, changed);
    ASSERT_FALSE(opened) << "bit " << bit;
    EXPECT_EQ(opened.error().code, ErrorCode::denied);
  }
}

TEST_P(AeadTest, AnotherKeyNonceOrAssociatedTextIsDenied) {
  const Bytes sealed = seal(suite_.aead, key_, iv_, aad_, plaintext_);
  EXPECT_TRUE(open(suite_.aead, key_, iv_, aad_, sealed));
  EXPECT_FALSE(open(suite_.aead, rng_.secret(suite_.aead_key), iv_, aad_, sealed));
  EXPECT_FALSE(open(suite_.aead, key_, rng_.bytes(aead_iv), aad_, sealed));
  EXPECT_FALSE(open(suite_.aead, key_, iv_, as_bytes("headeR"), sealed));
  EXPECT_FALSE(open(suite_.aead, key_, iv_, {}, sealed));
}

TEST_P(AeadTest, ATextShorterThanATagIsDenied) {
  for (std::size_t size = 0; size < aead_tag; ++size) {
    const auto opened = open(suite_.aead, key_, iv_, aad_, Bytes(size));
    ASSERT_FALSE(opened);
    EXPECT_EQ(opened.error().code, ErrorCode::denied);
  }
}

TEST_P(AeadTest, TheEmptyTextHasATagAlone) {
  const Bytes sealed = seal(suite_.aead, key_, iv_, aad_, {});
  EXPECT_EQ(sealed.size(), aead_tag);
  const auto opened = open(suite_.aead, key_, iv_, aad_, sealed);
  ASSERT_TRUE(opened);
  EXPECT_TRUE(opened->empty());
}

TEST_P(AeadTest, ACipherIsGoodForMorePacketsAfterAForgedOne) {
  AeadCipher sender(suite_.aead, key_);
  AeadCipher receiver(suite_.aead, key_);
  for (std::uint8_t packet = 0; packet < 20; ++packet) {
    iv_[0] = packet;
    Bytes sealed;
    sender.seal(iv_, aad_, plaintext_, sealed);
    EXPECT_EQ(sealed, seal(suite_.aead, key_, iv_, aad_, plaintext_));
    Bytes forged = sealed;
    forged[packet] ^= 0x40U;
    Bytes out = to_bytes("kept");
    EXPECT_FALSE(receiver.open(iv_, aad_, forged, out));
    EXPECT_FALSE(receiver.open(iv_, aad_, Bytes(3), out));
    EXPECT_EQ(out, to_bytes("kept"));
    EXPECT_TRUE(receiver.open(iv_, aad_, sealed, out));
    EXPECT_EQ(out, concat({as_bytes("kept"), plaintext_}));
  }
}

TEST_P(AeadTest, AnAssociatedTextDoesNotStickToTheNextPacket) {
  AeadCipher cipher(suite_.aead, key_);
  Bytes with;
  cipher.seal(iv_, aad_, plaintext_, with);
  Bytes without;
  cipher.seal(iv_, {}, plaintext_, without);
  EXPECT_EQ(without, seal(suite_.aead, key_, iv_, {}, plaintext_));
  EXPECT_NE(with, without);
}

// What is kept from one use to the next (aead.cpp) is of a thread, and has nothing of the use before.
TEST_P(AeadTest, OneUseDoesNotShowInTheNextOrInAnotherThreads) {
  const Secret other_key = rng_.secret(suite_.aead_key);
  const Bytes other_iv = rng_.bytes(aead_iv);
  const Bytes sealed = seal(suite_.aead, key_, iv_, aad_, plaintext_);
  const Bytes other = seal(suite_.aead, other_key, other_iv, {}, aad_);
  std::atomic<int> right = 0;
  const auto use = [&] {
    for (int i = 0; i < 20; ++i) {
      const bool denied = !open(suite_.aead, other_key, iv_, aad_, sealed);
      const auto opened = open(suite_.aead, key_, iv_, aad_, sealed);
      const auto other_opened = open(suite_.aead, other_key, other_iv, {}, other);
      const bool same = seal(suite_.aead, other_key, other_iv, {}, aad_) == other && seal(suite_.aead, key_, iv_, aad_, plaintext_) == sealed;
      right += denied && same && opened && equal(opened->reveal(), plaintext_) && other_opened && equal(other_opened->reveal(), aad_) ? 1 : 0;
    }
  };
  {
    std::vector<std::jthread> threads;
    for (int thread = 0; thread < 4; ++thread) threads.emplace_back(use);
    use();
  }
  EXPECT_EQ(right, 100);
}

INSTANTIATE_TEST_SUITE_P(Suites, AeadTest, ::testing::Values(SuiteId::gm_hybrid, SuiteId::intl_hybrid), testing::suite_test_name);

TEST(AeadDeathTest, AKeyOfAnotherCipherStopsTheProgram) {
  const Secret short_key = testing::test_rng().secret(16);
  EXPECT_DEATH((void)seal(Aead::aes_256_gcm, short_key, Bytes(12), {}, {}), "CHECK");
  EXPECT_DEATH((void)seal(Aead::sm4_gcm, short_key, Bytes(11), {}, {}), "CHECK");
}

}  // namespace
}  // namespace qanat::crypto
