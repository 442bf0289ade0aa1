// CAS and an element that enrols, as two nodes that meet over loopback: both sides of the enrolment contract, and status by OCSP.
#include "audit/auditor.hpp"
#include "audit/files.hpp"
#include "cas_fixture.hpp"

namespace qanat::cas {
namespace {

class OverTheWireTest : public CasFixture {
 protected:
  OverTheWireTest() { serve(); }
  void serve() { must(node_->serve(service_->handlers())); }
  static crypto::Certificate leaf_of(const node::Node& node) { return node.credentials().tls->chain.front(); }

  std::unique_ptr<node::Node> open_element(const Identity& who, const Secret& secret) {
    node::Settings settings;
    settings.identity = who;
    settings.state = directory_ / who.name;
    settings.trust = trust();
    settings.master_key = settings.state.string() + ".master";
    settings.enrolment_secret = settings.state.string() + ".enrolment";
    settings.suite = &suite_;
    settings.status.fresh = std::chrono::milliseconds(0);
    settings.peers.emplace("cas", net::Target{.host = "127.0.0.1", .port = node_->port(), .expected = cas_id});
    std::ofstream(settings.enrolment_secret, std::ios::binary) << as_text(secret.reveal());
    std::filesystem::permissions(settings.enrolment_secret, std::filesystem::perms::owner_read);
    return must(node::Node::open(std::move(settings)));
  }
};

TEST_F(OverTheWireTest, ElementEnrolsOnceAndLosesItsStandingWhenRevoked) {
  auto kms = open_element(kms_a, secret_of(kms_a));
  must(kms->enrol(test::soon()));
  ASSERT_TRUE(kms->credentials().messages);
  const crypto::Certificate own = kms->credentials().messages->ml_dsa;
  EXPECT_EQ(own.names().element, kms_a);
  EXPECT_TRUE(kms->check_certificate(own, test::soon()));
  EXPECT_TRUE(kms->check_certificate(kms->credentials().messages->classical, test::soon()));
  EXPECT_FALSE(std::filesystem::exists(kms->settings().enrolment_secret)) << "the secret is spent";

  kms.reset();
  kms = open_element(kms_a, secret_of(qkm_a));
  must(kms->enrol(test::soon()));
  EXPECT_EQ(kms->credentials().messages->ml_dsa.der(), own.der()) << "a restart does not enrol again";

  json_of(revoke(kms_a));
  const auto checked = kms->check_certificate(own, test::soon());
  EXPECT_FALSE(checked) << "by the connection that is refused, or by the answer";
}

TEST_F(OverTheWireTest, ElementRenewsWithNewKeysAndGoesOnWithoutARestart) {
  auto kms = open_element(kms_a, secret_of(kms_a));
  must(kms->enrol(test::soon()));
  const node::Credentials before = kms->credentials();
  must(kms->renew(test::soon()));
  const node::Credentials after = kms->credentials();
  EXPECT_NE(after.messages->ml_dsa.public_key(), before.messages->ml_dsa.public_key());
  EXPECT_NE(after.messages->classical.public_key(), before.messages->classical.public_key());
  ASSERT_EQ(after.successions->size(), 1U);
  EXPECT_EQ(after.successions->front().former, before.messages->fps);
  for (const crypto::Certificate& certificate : {before.messages->ml_dsa, after.messages->ml_dsa, after.messages->classical}) {
    EXPECT_TRUE(kms->check_certificate(certificate, test::soon())) << "asked on a connection that shows the new certificate";
  }
  const auto third = kms->renew(test::soon());
  EXPECT_EQ(refusal(third), ErrorCode::conflict) << "the first one is still alive";
  EXPECT_EQ(leaf_of(*kms).der(), after.tls->chain.front().der());

  kms.reset();
  kms = open_element(kms_a, secret_of(kms_a));
  must(kms->enrol(test::soon()));
  EXPECT_EQ(leaf_of(*kms).der(), after.tls->chain.front().der());
  EXPECT_EQ(kms->credentials().successions->size(), 1U);
}

TEST_F(OverTheWireTest, AuditKeysAreBoundToTheCertificateThatFollows) {
  const auto kms = open_element(kms_a, secret_of(kms_a));
  must(kms->enrol(test::soon()));
  must(kms->renew(test::soon()));
  const Bytes statement = must(audit::read_small_file(audit::statement_file(kms->audit_log().folder()), audit::statement_octets_max)).value();
  const audit::KeyStatement stated = must(audit::parse_statement(as_text(statement)));
  EXPECT_EQ(stated.chain.front().der(), leaf_of(*kms).der());
  must(audit::verify_statement(stated, kms->trust().roots()));
}

TEST_F(OverTheWireTest, CasShowsItsRenewedCertificateWithoutARestart) {
  const auto kms = open_element(kms_a, secret_of(kms_a));
  must(kms->enrol(test::soon()));
  const crypto::Certificate before = leaf_of(*node_);
  must(node_->renew(test::soon()));
  EXPECT_NE(leaf_of(*node_).public_key(), before.public_key());
  must(kms->renew(test::soon()));  // drops the kept connection: the next one meets the new certificate
  EXPECT_TRUE(kms->check_certificate(leaf_of(*kms), test::soon()));
}

TEST_F(OverTheWireTest, RenewalInTheBackgroundComesInTimeAndIsOnRecord) {
  open_service({.element_lifetime = std::chrono::seconds(4)});
  serve();
  const auto qkm = open_element(qkm_a, secret_of(qkm_a));
  must(qkm->enrol(test::soon()));
  const crypto::Certificate first = leaf_of(*qkm);
  must(qkm->serve({}));
  crypto::Certificate now = first;
  for (const Deadline until = Deadline::after(std::chrono::seconds(20)); now.der() == first.der() && !until.passed(); now = leaf_of(*qkm)) {
  }
  EXPECT_NE(now.public_key(), first.public_key());
  EXPECT_LT(SystemClock().now_ms(), first.not_after()) << "before the first one expired";
  EXPECT_TRUE(qkm->check_certificate(now, test::soon()));
  qkm->stop();
  EXPECT_TRUE(test::audited(directory_ / "qkm-a", "certificate.renewed"));
}

TEST_F(OverTheWireTest, RenewalThatFailsIsTriedAgainAndOnRecord) {
  open_service({.element_lifetime = std::chrono::seconds(6)});
  serve();
  const auto qkm = open_element(qkm_a, secret_of(qkm_a));
  must(qkm->enrol(test::soon()));
  const crypto::Certificate first = leaf_of(*qkm);
  must(qkm->serve({}));
  json_of(revoke(qkm_a));
  for (const Deadline until = Deadline::after(std::chrono::seconds(20)); !test::audited(directory_ / "qkm-a", R"("certificate.renewed","object")") && !until.passed();) {
    if (test::audited(directory_ / "qkm-a", "renewal: ")) break;
  }
  EXPECT_TRUE(test::audited(directory_ / "qkm-a", "renewal: ")) << "the refusal";
  EXPECT_EQ(leaf_of(*qkm).der(), first.der());
}

TEST_F(OverTheWireTest, ElementWhoseCertificateExpiredComesBackOnlyWithANewSecret) {
  open_service({.element_lifetime = std::chrono::seconds(2)});
  serve();
  auto qkm = open_element(qkm_a, secret_of(qkm_a));
  must(qkm->enrol(test::soon()));
  const crypto::Certificate first = leaf_of(*qkm);
  const Secret spent = secret_of(qkm_a);
  qkm.reset();
  const auto enrolled = [&](const Secret& secret, bool with_secret) {
    qkm.reset();
    qkm = open_element(qkm_a, secret);
    if (!with_secret) std::filesystem::remove(qkm->settings().enrolment_secret);
    return qkm->enrol(test::soon());
  };
  Result<void> without;
  for (const Deadline until = Deadline::after(std::chrono::seconds(20)); (without = enrolled(spent, false)) && !until.passed();) {
  }
  EXPECT_EQ(refusal(without), ErrorCode::denied);
  EXPECT_EQ(refusal(enrolled(spent, true)), ErrorCode::conflict);
  expect(qkm_a, 2);
  serve();
  must(enrolled(secret_of(qkm_a, 2), true));
  EXPECT_NE(leaf_of(*qkm).public_key(), first.public_key());
}

TEST_F(OverTheWireTest, ElementWithTheWrongSecretStaysOutside) {
  const auto kms = open_element(kms_a, secret_of(qkm_a));
  const auto enrolled = kms->enrol(test::soon());
  EXPECT_EQ(refusal(enrolled), ErrorCode::unauthenticated);
  EXPECT_TRUE(enrolled.error().message.contains("the enrolment secret does not fit")) << enrolled.error().message;
}

}  // namespace
}  // namespace qanat::cas
