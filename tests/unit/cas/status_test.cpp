// Certificate status: Cq-1, Cq-2, Cq-3 and X-4.
#include "cas_fixture.hpp"

namespace qanat::cas {
namespace {

class StatusTest : public CasFixture, public testing::WithParamInterface<crypto::SuiteId> {
 protected:
  StatusTest() : CasFixture(GetParam()) {
    const Bundle bundle = must(enrol_kms(requester(kms_a), secret_of(kms_a)));
    leaves_ = {bundle.ml_dsa, bundle.classical};
  }
  Bytes ask(const Bytes& request, Endpoint endpoint = Endpoint::cq1_status) { return must(call(endpoint, test::request_from(qkm_a, request))).body; }
  Result<crypto::StatusAnswer> ask_about(const crypto::Certificate& leaf, Endpoint endpoint = Endpoint::cq1_status) {
    const crypto::Certificate& issuer = *node_->trust().issuer_of(leaf);
    const Bytes nonce = rng_->bytes(32);
    const Bytes response = ask(must(crypto::make_status_request(leaf, issuer, nonce)), endpoint);
    return crypto::verify_status_response(response, leaf, issuer, nonce, SystemClock().now_ms());
  }
  std::vector<crypto::Certificate> leaves_;
};

TEST_P(StatusTest, LiveCertificatesOfBothBranchesAreGoodAtEveryPoint) {
  for (const crypto::Certificate& leaf : leaves_) {
    for (const Endpoint endpoint : {Endpoint::cq1_status, Endpoint::cq2_status, Endpoint::cq3_status, Endpoint::x4_status}) {
      const auto answer = ask_about(leaf, endpoint);
      ASSERT_TRUE(answer) << answer.error().message;
      EXPECT_EQ(answer->status, crypto::CertStatus::good);
      EXPECT_EQ(answer->next_update - answer->this_update, 60'000U);
    }
  }
}

TEST_P(StatusTest, RevocationShowsAtOnceInBothBranchesAndLocally) {
  for (const crypto::Certificate& leaf : leaves_) EXPECT_TRUE(node_->check_status(leaf, test::soon()));
  json_of(revoke(kms_a));
  for (const crypto::Certificate& leaf : leaves_) {
    EXPECT_EQ(must(ask_about(leaf)).status, crypto::CertStatus::revoked);
    EXPECT_EQ(refusal(node_->check_status(leaf, test::soon())), ErrorCode::denied);
  }
  open_service();
  EXPECT_EQ(must(ask_about(leaves_[0])).status, crypto::CertStatus::revoked) << "durable";
}

TEST_P(StatusTest, CertificateThatTheCaSignedButNeverRecordedIsUnknown) {
  close_service();
  const auto device = must(crypto::open_software_device(plan().master_key, *rng_));
  std::optional<crypto::Certificate> unrecorded;
  {
    const auto records = must(Records::open(state() / "cas.db", *device));
    const Authorities authorities = must(records->authorities(suite_));
    const UnixMs now = SystemClock().now_ms();
    unrecorded = must(crypto::issue({.use = crypto::CertificateUse::tls_and_signing,
                                     .names = element_names(kms_a),
                                     .key_algorithm = leaves_[0].key_algorithm(),
                                     .public_key = leaves_[0].public_key(),
                                     .serial = draw_serial(*rng_),
                                     .not_before = now - 1000,
                                     .not_after = now + test::day_ms},
                                    &authorities.ml_dsa.certificate, authorities.ml_dsa.key));
  }
  open_service();
  EXPECT_TRUE(node_->trust().verify(*unrecorded, SystemClock().now_ms()));
  EXPECT_EQ(must(ask_about(*unrecorded)).status, crypto::CertStatus::unknown);
  EXPECT_EQ(refusal(node_->check_status(*unrecorded, test::soon())), ErrorCode::denied);
}

TEST_P(StatusTest, OtherIssuersAndNoiseGetAnErrorResponseNotAStatus) {
  test::TrustedNetwork elsewhere(suite_.id);
  const auto foreign = elsewhere.credentials(kms_a).tls;
  const Bytes request = must(crypto::make_status_request(foreign->chain[0], foreign->chain[1], {}));
  EXPECT_EQ(ask(request), crypto::make_status_error(6));
  EXPECT_EQ(ask({}), crypto::make_status_error(1));
  EXPECT_EQ(ask(Bytes(100, 0x30)), crypto::make_status_error(1));
}

INSTANTIATE_TEST_SUITE_P(BothSuites, StatusTest, testing::Values(crypto::SuiteId::gm_hybrid, crypto::SuiteId::intl_hybrid),
                         [](const auto& instance) { return instance.param == crypto::SuiteId::gm_hybrid ? "Gm" : "Intl"; });

}  // namespace
}  // namespace qanat::cas
