// What a crash between two steps of issuing leaves behind, at the level of the records.
#include <set>
#include <thread>

#include "cas_fixture.hpp"

namespace qanat::cas {
namespace {

const Identity cmsp = identity("qanat://core/cmsp/cmsp");

class IssuerTest : public CasFixture {
 protected:
  IssuerTest() { reopen(); }
  void reopen() {
    close_service();
    records_.reset();
    device_ = must(crypto::open_software_device(plan().master_key, *rng_));
    records_ = must(Records::open(state() / "cas.db", *device_));
    authorities_.emplace(must(records_->authorities(suite_)));
  }
  Order order(const Requester& requester, std::uint8_t hash) {
    return {.names = element_names(cmsp),
            .request_hash = Bytes(32, hash),
            .expectation = std::nullopt,
            .overlap = Overlap::refused,
            .lifetime = std::chrono::days(90),
            .ml_dsa = must(crypto::CertificateRequest::parse(requester.ml_dsa)),
            .classical = must(crypto::CertificateRequest::parse(requester.classical))};
  }
  Result<Issued> issue(const Order& order, UnixMs at) { return Issuer(*records_, *authorities_, *rng_).issue(order, at); }
  /// What stands in the record when the process dies right after the intention.
  std::vector<Recorded> intend_only(std::uint8_t hash) {
    return must(
        records_->intend({.identity = cmsp,
                          .request_hash = Bytes(32, hash),
                          .expectation = std::nullopt,
                          .overlap = Overlap::refused,
                          .intentions = {{.branch = Branch::ml_dsa, .serial = draw_serial(*rng_), .not_before = now, .not_after = now + test::day_ms},
                                         {.branch = Branch::classical, .serial = draw_serial(*rng_), .not_before = now, .not_after = now + test::day_ms}}},
                         now));
  }

  /// Within the life of a CA that is made by the clock of this machine.
  const UnixMs now = SystemClock().now_ms() / 1000 * 1000 + 1000;
  std::unique_ptr<crypto::CryptoDevice> device_;
  std::unique_ptr<Records> records_;
  std::optional<Authorities> authorities_;
};

TEST_F(IssuerTest, IntentionThatWasLeftIsCompletedWithTheSameSerials) {
  const std::vector<Recorded> intended = intend_only(1);
  for (const Recorded& each : intended) EXPECT_EQ(must(records_->status(each.intention.branch, each.intention.serial)), crypto::CertStatus::unknown);
  reopen();
  const Issued issued = must(issue(order(requester(cmsp), 1), now + 5000));
  EXPECT_EQ(issued.ml_dsa->serial(), intended[0].intention.serial);
  EXPECT_EQ(issued.classical->serial(), intended[1].intention.serial);
  EXPECT_EQ(issued.ml_dsa->not_before(), now);
  EXPECT_EQ(issued.ml_dsa->not_after(), now + test::day_ms);
  EXPECT_EQ(must(records_->status(*issued.ml_dsa)), crypto::CertStatus::good);
}

TEST_F(IssuerTest, IntentionThatWasLeftIsAbandonedWhenTheElementBeginsAnew) {
  const std::vector<Recorded> intended = intend_only(1);
  reopen();
  const Issued issued = must(issue(order(requester(cmsp), 2), now));
  EXPECT_NE(issued.ml_dsa->serial(), intended[0].intention.serial);
  EXPECT_EQ(refusal(issue(order(requester(cmsp), 1), now)), ErrorCode::conflict);
  EXPECT_EQ(must(records_->status(Branch::ml_dsa, intended[0].intention.serial)), crypto::CertStatus::unknown);
}

TEST_F(IssuerTest, IntentionThatWasLeftIsNotCompletedAfterARevocation) {
  intend_only(1);
  EXPECT_TRUE(must(records_->revoke(cmsp, now)).empty());
  EXPECT_EQ(refusal(issue(order(requester(cmsp), 1), now)), ErrorCode::conflict);
}

TEST_F(IssuerTest, CertificateSignedTwiceLeavesCasOnce) {
  // Both of two attempts hold the intention; only what was recorded first is ever handed out.
  const Order wanted = order(requester(cmsp), 1);
  const std::vector<Recorded> intended = intend_only(1);
  std::vector<Bytes> answers(8);
  std::vector<std::thread> threads;
  for (Bytes& answer : answers) {
    threads.emplace_back([&] {
      const auto issued = issue(wanted, now);
      if (issued) answer = concat({issued->ml_dsa->der(), issued->classical->der()});
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_FALSE(answers[0].empty());
  for (const Bytes& answer : answers) EXPECT_EQ(answer, answers[0]);
}

TEST_F(IssuerTest, ExpiredCertificatesOfARequestAreNotHandedOutAgainButMakeRoom) {
  const Order wanted = order(requester(cmsp), 1);
  const Issued issued = must(issue(wanted, now));
  EXPECT_EQ(refusal(issue(order(requester(cmsp), 2), now)), ErrorCode::conflict) << "the first is alive";
  const UnixMs later = issued.ml_dsa->not_after();
  EXPECT_EQ(refusal(issue(wanted, later)), ErrorCode::denied);
  EXPECT_TRUE(issue(order(requester(cmsp), 2), later));
}

TEST_F(IssuerTest, NoCertificateOutlivesItsIssuer) {
  const UnixMs late = std::min(authorities_->ml_dsa.certificate.not_after(), authorities_->classical.certificate.not_after()) - test::day_ms;
  const Issued issued = must(issue(order(requester(cmsp), 1), late));
  for (const Branch branch : all_branches) EXPECT_EQ(issued.of(branch)->not_after(), authorities_->of(branch).certificate.not_after());
}

TEST_F(IssuerTest, SerialsAreDistinctPositiveAndOfOneLength) {
  std::set<Bytes> seen;
  for (int i = 0; i < 1000; ++i) {
    const Bytes serial = draw_serial(*rng_);
    EXPECT_EQ(serial.size(), 16U);
    EXPECT_EQ(serial.front() & 0xc0, 0x40);
    EXPECT_TRUE(seen.insert(serial).second);
  }
}

TEST_F(IssuerTest, NoOneTimeSecretIsExpectedTwice) {
  std::vector<ExpectedElement> again;
  again.push_back({.identity = cmsp, .proof_key = proof_key_of(secret_of(kms_a))});
  EXPECT_EQ(refusal(records_->expect(again, now)), ErrorCode::conflict);
}

}  // namespace
}  // namespace qanat::cas
