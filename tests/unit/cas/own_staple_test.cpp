// What CSP makes for the listener of the CEIS to staple: answers about its own certificates, made anew in time, none about what is not good.
#include <array>

#include "cas_fixture.hpp"
#include "front_fixture.hpp"
#include "services/cas/csp/status_desk.hpp"
#include "stapled_status.hpp"

namespace qanat::cas {
namespace {

constexpr UnixMs minute_ms = 60'000;
constexpr net::test::RawPolicy device_policy{.groups = "x25519", .signature_algorithms = "ecdsa_secp384r1_sha384:rsa_pss_rsae_sha256"};

/// A desk of its own on the records of a CAS that is not running.
class StapleDeskTest : public CasFixture {
 protected:
  StapleDeskTest() {
    leaf_.emplace(must(enrol_kms(requester(kms_a), secret_of(kms_a))).ml_dsa);
    close_service();
    device_ = must(crypto::open_software_device(plan().master_key, *rng_));
    records_ = must(Records::open(state() / "cas.db", *device_));
    authorities_.emplace(must(records_->authorities(suite_)));
    status_.emplace(records_->store());
    delegates_.emplace(*records_, *authorities_, suite_, *rng_, cas_id, std::chrono::days(7));
    desk_.emplace(*status_, *authorities_, *delegates_, clock_, DeskSettings{});
    clock_.stand_at(start_);
  }
  /// That it is a good answer about the leaf at the time of the clock, for an hour.
  void expect_good(const std::shared_ptr<const Bytes>& response) {
    ASSERT_NE(response, nullptr);
    const auto answer = crypto::verify_status_response(*response, *leaf_, authorities_->of(Branch::ml_dsa).certificate, {}, clock_.now_ms());
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->status, crypto::CertStatus::good);
    EXPECT_EQ(answer->next_update - answer->this_update, 60 * minute_ms);
  }

  const UnixMs start_ = SystemClock().now_ms();
  FrontClock clock_;
  std::optional<crypto::Certificate> leaf_;
  std::unique_ptr<crypto::CryptoDevice> device_;
  std::unique_ptr<Records> records_;
  std::optional<Authorities> authorities_;
  std::optional<StatusRecords> status_;
  std::optional<Delegates> delegates_;
  std::optional<StatusDesk> desk_;  // last
};

TEST_F(StapleDeskTest, AnAnswerIsMadeAnewAtHalfTimeAndOneWhoseTimeIsOverIsNotShown) {
  const net::Staple staple = desk_->staple(Branch::ml_dsa, leaf_->serial());
  EXPECT_EQ(staple(), nullptr) << "nobody is appointed to sign it";
  EXPECT_EQ(refusal(desk_->renew_staples()), ErrorCode::unavailable);
  must(delegates_->renew(start_));
  must(desk_->renew_staples());
  const auto first = staple();
  expect_good(first);
  clock_.stand_at(start_ + 29 * minute_ms);
  must(desk_->renew_staples());
  EXPECT_EQ(staple(), first);
  clock_.stand_at(start_ + 30 * minute_ms);
  EXPECT_EQ(staple(), first) << "a handshake makes nothing";
  must(desk_->renew_staples());
  const auto second = staple();
  EXPECT_NE(second, first);
  expect_good(second);
  clock_.stand_at(start_ + 90 * minute_ms);
  EXPECT_EQ(staple(), nullptr) << "the second one's time is over";
  must(desk_->renew_staples());
  expect_good(staple());
}

TEST_F(StapleDeskTest, NothingIsStapledToARevokedCertificateFromThenOn) {
  must(delegates_->renew(start_));
  const net::Staple staple = desk_->staple(Branch::ml_dsa, leaf_->serial());
  expect_good(staple());
  EXPECT_TRUE(must(records_->revoke_certificate(leaf_->serial(), 4, start_)));
  desk_->forget(Branch::ml_dsa, std::array{leaf_->serial()});
  EXPECT_EQ(staple(), nullptr);
  must(desk_->renew_staples());
  EXPECT_EQ(staple(), nullptr);
}

TEST_F(StapleDeskTest, WhatIsFoundRevokedAtHalfTimeGetsNoFurtherAnswer) {
  must(delegates_->renew(start_));
  const net::Staple staple = desk_->staple(Branch::ml_dsa, leaf_->serial());
  expect_good(staple());
  EXPECT_TRUE(must(records_->revoke_certificate(leaf_->serial(), 4, start_)));
  clock_.stand_at(start_ + 30 * minute_ms);
  must(desk_->renew_staples());
  EXPECT_EQ(staple(), nullptr);
}

TEST_F(StapleDeskTest, NothingIsStapledToANumberThatNobodyWasGiven) {
  must(delegates_->renew(start_));
  EXPECT_EQ(desk_->staple(Branch::ml_dsa, Bytes(16, 7))(), nullptr);
  EXPECT_EQ(desk_->staple(Branch::devices, leaf_->serial())(), nullptr) << "of another CA";
  expect_good(desk_->staple(Branch::ml_dsa, leaf_->serial())());
}

class OwnStapleTest : public CasFixture {
 protected:
  ~OwnStapleTest() override { service_->stop(); }
  void start(const std::string& status_url) {
    CasSettings settings;
    settings.front.url = status_url;
    settings.enrolment.url = settings.acme.url = "https://ra.test";
    settings.enrolment.dns = {"ra.test"};
    open_service(settings);
    must(service_->start());
  }
  ShownStatus shown(Branch branch, AsksForStatus asks = AsksForStatus::yes) {
    return status_shown(service_->enrolment().port(), branch == Branch::ml_dsa ? any_policy : device_policy, asks);
  }
  [[nodiscard]] const crypto::Certificate& issuer(Branch branch) { return service_->authorities().of(branch).certificate; }
};

TEST_F(OwnStapleTest, BothChainsOfTheListenerComeWithTheirStatusUntilOneIsRevoked) {
  start("http://status.test");
  for (const Branch branch : {Branch::ml_dsa, Branch::devices}) {
    EXPECT_EQ(status_by_openssl(shown(branch), issuer(branch)), "good") << name(branch);
    EXPECT_TRUE(shown(branch, AsksForStatus::no).response.empty()) << name(branch);
  }
  const Bytes serial = must(crypto::SubjectCertificate::parse(shown(Branch::ml_dsa).certificate)).serial();
  EXPECT_TRUE(must(service_->records().revoke_certificate(serial, 4, SystemClock().now_ms())));
  must(service_->csp().revoked(std::array{serial}));
  EXPECT_TRUE(shown(Branch::ml_dsa).response.empty());
  EXPECT_EQ(status_by_openssl(shown(Branch::devices), issuer(Branch::devices)), "good");
}

TEST_F(OwnStapleTest, WithoutAListenerForStatusItIsStapledAllTheSame) {
  start("");
  EXPECT_EQ(service_->csp().port(), 0);
  for (const Branch branch : {Branch::ml_dsa, Branch::devices}) EXPECT_EQ(status_by_openssl(shown(branch), issuer(branch)), "good") << name(branch);
}

TEST_F(OwnStapleTest, OfACertificateThatWasNotIssuedHereNothingIsKnown) {
  start("http://status.test");
  const FrontPki elsewhere(crypto::KeyAlgorithm::ecdsa_p384);
  EXPECT_EQ(refusal(service_->csp().staple(elsewhere.leaf(elsewhere.key(5), "other", {"other.test"}).der())), ErrorCode::not_found);
  EXPECT_EQ(refusal(service_->csp().staple(Bytes(8, 0x30))), ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace qanat::cas
