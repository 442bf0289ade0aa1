#include "wire/token.hpp"

#include <gtest/gtest.h>

namespace qanat::wire {
namespace {

constexpr UnixMs now = 1'790'000'000'000;

class TokenTest : public testing::TestWithParam<crypto::SuiteId> {
 protected:
  TokenTest() : rng_(crypto::open_rng().value()), signer_(crypto::Signer::generate(suite_, *rng_).value()) {}

  [[nodiscard]] Fingerprints prints(std::uint8_t fill) const { return {.classical = Bytes(suite_.digest, fill), .pq = Bytes(suite_.digest, fill)}; }
  [[nodiscard]] Token token() const {
    return {.uid = Uid("alice"),
            .token_id = TokenId(Bytes(16, 7)),
            .kms_id = ElementName("kms-a"),
            .holder = prints(1),
            .issued_ms = now,
            .expires_ms = now + 300'000,
            .level_max = Assurance::one_qkd_path};
  }
  Framed<Token> signed_token() { return sign_message(suite_, 1, token(), signer_, prints(9), *rng_).value(); }
  [[nodiscard]] Result<Framed<Token>> open(ByteView octets) const {
    return open_token(octets, crypto::Verifier::from_key(suite_, signer_.verifying_key()).value(), prints(9));
  }

  const crypto::Suite& suite_ = crypto::suite(GetParam());
  std::unique_ptr<crypto::Rng> rng_;
  crypto::Signer signer_;
};

TEST_P(TokenTest, OpensUnderIamsKeysAndSaysWhatWasSigned) {
  const auto made = signed_token();
  const auto opened = open(made.octets);
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(opened->message, token());
  EXPECT_EQ(opened->hash, crypto::digest(suite_.hash, made.octets));
  EXPECT_EQ(made.header.body_len, (1 + 5) + 16 + (1 + 5) + 2 * suite_.digest + 8 + 8 + 1);
}

TEST_P(TokenTest, AnyAlteredOctetIsRefused) {
  const auto made = signed_token();
  const std::size_t signature = made.octets.size() - suite_.signature();
  for (std::size_t at = 0; at < made.octets.size(); at += at < signature ? 1 : 97) {
    Bytes altered = made.octets;
    altered[at] ^= 0x01;
    EXPECT_FALSE(open(altered)) << "octet " << at;
  }
}

TEST_P(TokenTest, OtherSignersFingerprintsAreRefused) {
  const auto verifier = crypto::Verifier::from_key(suite_, signer_.verifying_key()).value();
  const auto opened = open_token(signed_token().octets, verifier, prints(8));
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, ErrorCode::denied);
}

TEST_P(TokenTest, TruncatedAndExtendedOctetsAreRefused) {
  Bytes octets = signed_token().octets;
  EXPECT_FALSE(open(ByteView(octets).first(octets.size() - 1)));
  octets.push_back(0);
  EXPECT_FALSE(open(octets));
}

TEST_P(TokenTest, HoldsForItsHolderAtItsKmsUntilItExpires) {
  EXPECT_TRUE(check_token(token(), prints(1), Uid("alice"), ElementName("kms-a"), now));
  EXPECT_TRUE(check_token(token(), prints(1), Uid("alice"), ElementName("kms-a"), now + 299'999));
  EXPECT_TRUE(check_token(token(), prints(1), Uid("alice"), ElementName("kms-a"), now - token_clock_skew_ms));
}

TEST_P(TokenTest, IsRefusedForAnybodyElseAnywhereElseAndAtOtherTimes) {
  const auto refused = [&](const Fingerprints& holder, std::string uid, std::string kms, UnixMs at) {
    const auto checked = check_token(token(), holder, Uid(std::move(uid)), ElementName(std::move(kms)), at);
    return !checked && checked.error().code == ErrorCode::denied;
  };
  EXPECT_TRUE(refused(prints(2), "alice", "kms-a", now));
  EXPECT_TRUE(refused({.classical = prints(1).classical, .pq = prints(2).pq}, "alice", "kms-a", now));
  EXPECT_TRUE(refused(prints(1), "bob", "kms-a", now));
  EXPECT_TRUE(refused(prints(1), "alice", "kms-b", now));
  EXPECT_TRUE(refused(prints(1), "alice", "kms-a", now + 300'000)) << "expired";
  EXPECT_TRUE(refused(prints(1), "alice", "kms-a", now - token_clock_skew_ms - 1)) << "not valid yet";
}

TEST_P(TokenTest, LivesOfNoLengthOrOfMoreThanADayAreNoTokens) {
  for (const UnixMs expires : {now, now - 1, now + token_lifetime_max_ms + 1}) {
    Token wrong = token();
    wrong.expires_ms = expires;
    EXPECT_FALSE(encode_body(suite_, wrong));
  }
  Token longest = token();
  longest.expires_ms = now + token_lifetime_max_ms;
  EXPECT_TRUE(encode_body(suite_, longest));
}

INSTANTIATE_TEST_SUITE_P(BothSuites, TokenTest, testing::Values(crypto::SuiteId::gm_hybrid, crypto::SuiteId::intl_hybrid),
                         [](const auto& instance) { return instance.param == crypto::SuiteId::gm_hybrid ? "Gm" : "Intl"; });

}  // namespace
}  // namespace qanat::wire
