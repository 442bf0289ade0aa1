// CAS and an element that enrols, as two nodes that meet over loopback: both sides of the enrolment contract, and status by OCSP.
#include "cas_fixture.hpp"

namespace qanat::cas {
namespace {

class OverTheWireTest : public CasFixture {
 protected:
  OverTheWireTest() { must(node_->serve(service_->handlers())); }

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

TEST_F(OverTheWireTest, ElementWithTheWrongSecretStaysOutside) {
  const auto kms = open_element(kms_a, secret_of(qkm_a));
  const auto enrolled = kms->enrol(test::soon());
  EXPECT_EQ(refusal(enrolled), ErrorCode::unauthenticated);
  EXPECT_TRUE(enrolled.error().message.contains("the enrolment secret does not fit")) << enrolled.error().message;
}

}  // namespace
}  // namespace qanat::cas
