// Bundles at the level of the records: what a crash between two steps leaves behind, who comes first, and what must go before another comes.
#include <thread>

#include "cas_fixture.hpp"

namespace qanat::cas {
namespace {

class BundleTest : public CasFixture {
 protected:
  const UnixMs now = SystemClock().now_ms() / 1000 * 1000 + 1000;
  const Identity alice = identity("qanat://a/app1/alice");
  const Identity carol = identity("qanat://a/app1/carol");
  const Number number{"+8613800000001"};
  const Number other_number{"+8613800000002"};

  BundleTest() { reopen(); }
  void reopen() {
    close_service();
    bundles_.reset();
    records_.reset();
    device_ = must(crypto::open_software_device(plan().master_key, *rng_));
    records_ = must(Records::open(state() / "cas.db", *device_));
    authorities_.emplace(must(records_->authorities(suite_)));
    bundles_.emplace(records_->store());
  }
  BundleOrder order(std::uint8_t hash) { return order(hash, alice); }
  BundleOrder order(std::uint8_t hash, const Identity& who) { return order(hash, who, number); }
  BundleOrder order(std::uint8_t hash, const Identity& who, const Number& called) {
    const crypto::SubjectNames names = terminal_names(who, called, ElementName("kms-a"));
    const Requester requester(suite_, *rng_, names);
    return {.names = names,
            .home_kms = ElementName("kms-a"),
            .request_hash = Bytes(32, hash),
            .lifetime = std::chrono::days(30),
            .keys = must(bundle_keys(suite_, must(crypto::CertificateRequest::parse(requester.classical)),
                                     must(crypto::CertificateRequest::parse(requester.ml_dsa)),
                                     must(crypto::Decapsulator::generate(suite_, *rng_)).encapsulation_key()))};
  }
  Result<cas::Bundle> issue(const BundleOrder& order) { return issue(order, now); }
  Result<cas::Bundle> issue(const BundleOrder& order, UnixMs at) { return BundleIssuer(*bundles_, *authorities_, suite_, *rng_, "").issue(order, at); }
  Result<cas::Bundle> in_force(const cas::Bundle& bundle) { return bundles_->in_force(bundle.members.at(BundleRole::ml_dsa_signing).serial, now); }
  BundleOrder half(std::uint8_t hash, BundleRole role) {
    BundleOrder out = order(hash);
    std::erase_if(out.keys, [&](const auto& key) { return key.first != role; });
    return out;
  }
  /// What stands in the record when the process dies right after the intention.
  cas::Bundle intend_only(std::uint8_t hash) { return intend_only(hash, alice); }
  cas::Bundle intend_only(std::uint8_t hash, const Identity& who) {
    BundleIntention intention{.request_hash = Bytes(32, hash), .identity = who, .number = number, .home_kms = ElementName("kms-a"), .parts = {}};
    for (const BundleRole role : crypto::all_bundle_roles) {
      intention.parts[role] = {.serial = draw_serial(*rng_), .not_before = now, .not_after = now + test::day_ms, .der = {}, .revoked_at = 0};
    }
    return must(bundles_->begin(intention, now));
  }
  static crypto::CertificateBundle certificates(const cas::Bundle& bundle) {
    return must(crypto::parse_bundle({bundle.members.at(BundleRole::classical_signing).der, bundle.members.at(BundleRole::ml_dsa_signing).der,
                                      bundle.members.at(BundleRole::classical_encryption).der, bundle.members.at(BundleRole::ml_kem_encryption).der}));
  }
  crypto::CertStatus status(BundleRole role, const BundleMember& member) { return must(records_->status(branch_of(role), member.serial)); }

  BundleOrder rest(std::uint8_t hash) {
    BundleOrder out = order(hash);
    out.keys.erase(BundleRole::classical_signing);
    return out;
  }
  /// What stands in the record when signing the ML-DSA half fails: it is intended, and the request can come again.
  cas::Bundle intend_rest(const cas::Bundle& former, std::uint8_t hash) {
    BundleIntention intention{.request_hash = Bytes(32, hash), .identity = alice, .number = number, .home_kms = ElementName("kms-a"), .parts = {}};
    for (const BundleRole role : {BundleRole::ml_dsa_signing, BundleRole::classical_encryption, BundleRole::ml_kem_encryption}) {
      intention.parts[role] = {.serial = draw_serial(*rng_), .not_before = now, .not_after = now + test::day_ms, .der = {}, .revoked_at = 0};
    }
    return must(bundles_->continue_renewal(former, intention, now));
  }

  std::vector<Bytes> told_;  // what CSP has heard to be revoked
  const BundleIssuer::Revoked tell_ = [this](const std::vector<Bytes>& serials) -> Result<void> {
    told_.insert(told_.end(), serials.begin(), serials.end());
    return {};
  };
  std::unique_ptr<crypto::CryptoDevice> device_;
  std::unique_ptr<Records> records_;
  std::optional<Authorities> authorities_;
  std::optional<BundleRecords> bundles_;
};

TEST_F(BundleTest, FourCertificatesAreOneBundleUnderOneName) {
  const cas::Bundle bundle = must(issue(order(1)));
  EXPECT_TRUE(bundle.complete());
  EXPECT_TRUE(bundle.live(now));
  const crypto::CertificateBundle made = certificates(bundle);
  EXPECT_TRUE(crypto::check_bundle(suite_, made));
  EXPECT_EQ(bundle.id, made.id());
  for (const auto& [role, member] : bundle.members) EXPECT_EQ(status(role, member), crypto::CertStatus::good) << name(role);
  EXPECT_EQ(must(in_force(bundle)).id, bundle.id);
}

TEST_F(BundleTest, IntentionThatWasLeftIsCompletedWithTheSameSerials) {
  const cas::Bundle intended = intend_only(1);
  EXPECT_FALSE(intended.complete());
  for (const auto& [role, member] : intended.members) EXPECT_EQ(status(role, member), crypto::CertStatus::unknown) << name(role);
  reopen();
  const cas::Bundle issued = must(issue(order(1), now + 5000));
  ASSERT_EQ(issued.members.size(), 4U);
  for (const auto& [role, member] : issued.members) {
    EXPECT_EQ(member.serial, intended.members.at(role).serial);
    const crypto::Certificate certificate = must(crypto::Certificate::parse(member.der));
    EXPECT_EQ(certificate.serial(), member.serial);
    EXPECT_EQ(certificate.not_after(), now + test::day_ms);
  }
}

TEST_F(BundleTest, IntentionThatWasLeftIsGivenUpForALaterOne) {
  const cas::Bundle intended = intend_only(1);
  reopen();
  ASSERT_TRUE(issue(order(2)));
  EXPECT_EQ(refusal(issue(order(1))), ErrorCode::conflict);
  EXPECT_EQ(refusal(bundles_->complete(intended.row, {{BundleRole::ml_dsa_signing, Bytes(3)}})), ErrorCode::conflict) << "signed when it was given up";
  for (const auto& [role, member] : intended.members) EXPECT_EQ(status(role, member), crypto::CertStatus::unknown) << name(role);
}

TEST_F(BundleTest, IntentionOfAnotherHolderOfTheNumberIsGivenUpToo) {
  intend_only(1, carol);
  ASSERT_TRUE(issue(order(2)));
  EXPECT_EQ(refusal(issue(order(1, carol))), ErrorCode::conflict) << "otherwise two live bundles would bear one number";
}

TEST_F(BundleTest, IntentionThatWasLeftIsNotCompletedAfterARevocation) {
  intend_only(1);
  EXPECT_TRUE(must(records_->revoke(alice, now)).empty());
  EXPECT_EQ(refusal(issue(order(1))), ErrorCode::conflict);
}

TEST_F(BundleTest, SameRequestGetsTheSameFourHoweverManyAskAtOnce) {
  const BundleOrder wanted = order(1);
  intend_only(1);
  std::vector<Bytes> answers(6);
  std::vector<std::thread> threads;
  for (Bytes& answer : answers) {
    threads.emplace_back([&] {
      const auto issued = issue(wanted);
      if (!issued) return;
      for (const auto& [role, member] : issued->members) answer.insert(answer.end(), member.der.begin(), member.der.end());
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(answers[0].empty());
  for (const Bytes& answer : answers) EXPECT_EQ(answer, answers[0]);
}

TEST_F(BundleTest, ALiveBundleStandsInTheWayOfAnother) {
  const cas::Bundle first = must(issue(order(1)));
  EXPECT_EQ(refusal(issue(order(2))), ErrorCode::conflict);
  EXPECT_EQ(refusal(issue(order(3, carol))), ErrorCode::conflict) << "of the same number";
  EXPECT_EQ(refusal(issue(order(4, alice, other_number))), ErrorCode::conflict) << "of the same terminal";
  const UnixMs later = first.members.at(BundleRole::ml_dsa_signing).not_after;
  EXPECT_FALSE(first.live(later));
  EXPECT_EQ(refusal(issue(order(1), later)), ErrorCode::denied) << "expired certificates are not handed out again";
  EXPECT_TRUE(issue(order(3, carol), later));
}

TEST_F(BundleTest, AKeyIsOfOneTerminalAloneAndNoKeyIsCertifiedAfterItWasGivenAway) {
  const BundleOrder hers = order(1);
  const cas::Bundle bundle = must(issue(hers));
  BundleOrder his = order(2, carol, other_number);
  const BundleOrder good = his;
  his.keys[BundleRole::ml_kem_encryption] = hers.keys.at(BundleRole::ml_kem_encryption);
  EXPECT_EQ(refusal(issue(his)), ErrorCode::denied);
  ASSERT_TRUE(must(records_->revoke_certificate(bundle.members.at(BundleRole::ml_kem_encryption).serial, key_compromise, now)));
  EXPECT_EQ(refusal(issue(his)), ErrorCode::denied);
  EXPECT_TRUE(issue(good)) << "and nothing else was wrong";
}

TEST_F(BundleTest, RevokedBundleIsNotHandedOutAgain) {
  const cas::Bundle bundle = must(issue(order(1)));
  EXPECT_EQ(must(records_->revoke(alice, now)).size(), 4U);
  EXPECT_EQ(refusal(issue(order(1))), ErrorCode::denied);
  EXPECT_EQ(refusal(in_force(bundle)), ErrorCode::denied);
  EXPECT_TRUE(issue(order(2)));
}

TEST_F(BundleTest, ABundleThatIsRevokedWhileOthersAreAskedIsNotRenewed) {
  BundleIssuer issuer(*bundles_, *authorities_, suite_, *rng_, "");
  const cas::Bundle former = must(in_force(must(issue(order(1)))));
  must(records_->revoke(alice, now));
  EXPECT_EQ(refusal(issuer.begin_renewal(former, half(2, BundleRole::classical_signing), now, tell_)), ErrorCode::denied);
  const cas::Bundle next = must(in_force(must(issue(order(3)))));
  must(issuer.begin_renewal(next, half(4, BundleRole::classical_signing), now, tell_));
  ASSERT_TRUE(must(records_->revoke_certificate(next.members.at(BundleRole::ml_kem_encryption).serial, superseded, now)));
  EXPECT_EQ(refusal(issuer.continue_renewal(next, half(5, BundleRole::ml_dsa_signing), now)), ErrorCode::denied);
}

TEST_F(BundleTest, WhatARenewalRevokesIsToldAlsoIfItCannotBeSigned) {
  const cas::Bundle former = must(in_force(must(issue(order(1)))));
  BundleIssuer issuer(*bundles_, *authorities_, suite_, *rng_, "");
  const cas::Bundle lost = must(issuer.begin_renewal(former, half(2, BundleRole::classical_signing), now, tell_));
  EXPECT_TRUE(told_.empty());
  Authorities broken = must(records_->authorities(suite_));
  crypto::SigningSecret secret = must(crypto::Signer::generate(suite_, *rng_)).secret();
  broken.classical.key = {.algorithm = crypto::classical_key(suite_), .secret = std::move(secret.scalar)};
  EXPECT_FALSE(BundleIssuer(*bundles_, broken, suite_, *rng_, "").begin_renewal(former, half(3, BundleRole::classical_signing), now, tell_));
  EXPECT_EQ(told_, std::vector<Bytes>{lost.members.at(BundleRole::classical_signing).serial});
}

TEST_F(BundleTest, ASecondHalfThatWasNeverSignedGivesWay) {
  BundleIssuer issuer(*bundles_, *authorities_, suite_, *rng_, "");
  const cas::Bundle former = must(in_force(must(issue(order(1)))));
  const cas::Bundle stuck = must(issuer.begin_renewal(former, half(2, BundleRole::classical_signing), now, tell_));
  intend_rest(former, 3);
  EXPECT_EQ(refusal(issuer.continue_renewal(former, rest(4), now)), ErrorCode::conflict) << "a half of its own for each half";
  must(issuer.begin_renewal(former, half(5, BundleRole::classical_signing), now, tell_));
  EXPECT_EQ(told_, std::vector<Bytes>{stuck.members.at(BundleRole::classical_signing).serial});
  EXPECT_EQ(refusal(issuer.continue_renewal(former, rest(3), now)), ErrorCode::conflict) << "given up";
  EXPECT_EQ(refusal(bundles_->complete(stuck.row, {{BundleRole::ml_dsa_signing, Bytes(3)}})), ErrorCode::conflict) << "signed when it was given up";
  const cas::Bundle whole = must(issuer.continue_renewal(former, rest(6), now));
  EXPECT_TRUE(whole.live(now));
  EXPECT_EQ(refusal(issuer.begin_renewal(former, half(7, BundleRole::classical_signing), now, tell_)), ErrorCode::conflict) << "one follows, not two";
}

}  // namespace
}  // namespace qanat::cas
