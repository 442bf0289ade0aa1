// Renewal of elements' certificates by EST simplereenroll: Ce-1, Ce-4, X-4.
#include "cas_fixture.hpp"

namespace qanat::cas {
namespace {

class ElementRenewalTest : public CasFixture {
 protected:
  Bundle first_ = must(enrol_kms(requester(kms_a), secret_of(kms_a)));
  Result<crypto::Certificate> renew(const Bytes& csr, const crypto::Certificate& shown) { return renew_one(Endpoint::ce1_reenrol, shown, csr); }
};

TEST_F(ElementRenewalTest, CertificateInForceGivesTheNextBesideItself) {
  const Requester next = requester(kms_a);
  const auto ml_dsa = must(renew(next.ml_dsa, first_.ml_dsa));
  const auto classical = must(renew(next.classical, first_.ml_dsa));
  EXPECT_EQ(ml_dsa.public_key(), must(crypto::CertificateRequest::parse(next.ml_dsa)).public_key());
  EXPECT_EQ(ml_dsa.names(), first_.ml_dsa.names());
  for (const crypto::Certificate& certificate : {ml_dsa, classical, first_.ml_dsa, first_.classical}) EXPECT_TRUE(node_->check_status(certificate, test::soon()));
  EXPECT_TRUE(test::audited(state(), "ce-1.reenrol"));
}

TEST_F(ElementRenewalTest, SameRequestGetsTheSameCertificateAlsoAfterARestart) {
  const Requester next = requester(kms_a);
  const auto ml_dsa = must(renew(next.ml_dsa, first_.ml_dsa));
  open_service();
  EXPECT_EQ(must(renew(next.ml_dsa, first_.ml_dsa)).der(), ml_dsa.der());
  EXPECT_EQ(must(renew(next.ml_dsa, ml_dsa)).der(), ml_dsa.der()) << "whichever certificate is shown";
}

TEST_F(ElementRenewalTest, ThirdLiveCertificateIsRefused) {
  const auto second = must(renew(requester(kms_a).ml_dsa, first_.ml_dsa));
  EXPECT_EQ(refusal(renew(requester(kms_a).ml_dsa, first_.ml_dsa)), ErrorCode::conflict);
  EXPECT_EQ(refusal(renew(requester(kms_a).ml_dsa, second)), ErrorCode::conflict);
  EXPECT_TRUE(renew(requester(kms_a).classical, second)) << "each branch by itself";
}

TEST_F(ElementRenewalTest, RenewalTakesANewKey) {
  const crypto::Signer signer = must(crypto::Signer::generate(suite_, *rng_));
  crypto::SigningSecret secret = signer.secret();
  const crypto::PrivateKey key{.algorithm = crypto::ml_dsa_key(suite_), .secret = std::move(secret.ml_dsa_seed)};
  const auto made = must(renew(must(crypto::make_request(key, element_names(kms_a))), first_.ml_dsa));
  // Another request over the same key: its common name differs.
  EXPECT_EQ(refusal(renew(must(crypto::make_request(key, {.common_name = "x", .element = kms_a, .number = {}, .dns = {}})), made)), ErrorCode::denied);
}

TEST_F(ElementRenewalTest, NamesAndKindsStayWhatTheyAre) {
  const Identity kms_b = identity("qanat://a/kms/kms-b");
  EXPECT_EQ(refusal(renew(requester(kms_b).ml_dsa, first_.ml_dsa)), ErrorCode::denied);
  EXPECT_EQ(refusal(renew(Requester(suite_, *rng_, terminal_names(kms_a, Number("+8613800000001"), ElementName("kms-a"))).ml_dsa, first_.ml_dsa)), ErrorCode::denied);
  const auto qkm = must(enrol_one(Endpoint::ce4_enrol, qkm_a, requester(qkm_a).ml_dsa, secret_of(qkm_a)));
  EXPECT_EQ(refusal(renew_one(Endpoint::ce4_reenrol, qkm, requester(qkm_a).classical)), ErrorCode::denied) << "a QKM signs no messages";
  EXPECT_TRUE(renew_one(Endpoint::ce4_reenrol, qkm, requester(qkm_a).ml_dsa));
  EXPECT_EQ(refusal(call(Endpoint::ce1_reenrol, test::request_from(kms_a, to_bytes(std::string_view("no request")), first_.ml_dsa))), ErrorCode::invalid_argument);
}

TEST_F(ElementRenewalTest, ElementThatIamDoesNotLetGoOnGetsNothingNew) {
  const Requester next = requester(kms_a);
  iam_refuses_ = Error{ErrorCode::denied, "qanat://a/kms/kms-a is suspended in IAM's register"};
  EXPECT_EQ(refusal(renew(next.ml_dsa, first_.ml_dsa)), ErrorCode::denied);
  EXPECT_TRUE(test::audited(state(), "is suspended in IAM's register"));
  iam_refuses_ = Error{ErrorCode::unavailable, "no answer"};
  EXPECT_EQ(refusal(renew(next.ml_dsa, first_.ml_dsa)), ErrorCode::unavailable) << "worth another attempt";
  iam_refuses_.reset();
  const auto second = must(renew(next.ml_dsa, first_.ml_dsa));
  iam_refuses_ = Error{ErrorCode::denied, "suspended"};
  EXPECT_EQ(must(renew(next.ml_dsa, first_.ml_dsa)).der(), second.der()) << "what was issued is given again";
}

TEST_F(ElementRenewalTest, RevocationEndsBothTheFormerAndTheNext) {
  const auto second = must(renew(requester(kms_a).ml_dsa, first_.ml_dsa));
  json_of(revoke(kms_a));
  EXPECT_FALSE(node_->check_status(first_.ml_dsa, test::soon()));
  EXPECT_FALSE(node_->check_status(second, test::soon()));
}

TEST_F(ElementRenewalTest, FirstEnrolmentStaysShutWhileARenewedCertificateIsAlive) {
  must(renew(requester(kms_a).ml_dsa, first_.ml_dsa));
  expect(kms_a, 2);
  EXPECT_EQ(refusal(enrol_kms(requester(kms_a), secret_of(kms_a, 2))), ErrorCode::conflict);
}

const Identity joint_ccs = identity("qanat://core/ccs/ccs");
const Identity joint_alice = identity("qanat://a/app1/alice");

/// Ce-3: keys that a terminal and a CCS hold together, as far as CAS can see: a request that is signed with the key.
class JointKeyTest : public CasFixture {
 protected:
  Result<crypto::Certificate> ask(Endpoint endpoint, const Bytes& csr) {
    ASSIGN_OR_RETURN(const net::Response answer, call(endpoint, test::request_from(joint_ccs, to_bytes(wire::to_base64(csr)))));
    return node::read_est_answer(answer);
  }
  Result<crypto::Certificate> enrol(const Requester& requester) { return ask(Endpoint::ce3_enrol, requester.ml_dsa); }
  Result<crypto::Certificate> renew(const Requester& requester) { return ask(Endpoint::ce3_reenrol, requester.ml_dsa); }
};

TEST_F(JointKeyTest, CertificateIsForSignaturesAndForNoEndOfTls) {
  const auto certificate = must(enrol(requester(joint_alice)));
  EXPECT_EQ(certificate.names().element, joint_alice);
  EXPECT_EQ(refusal(node_->trust().verify(certificate, SystemClock().now_ms())), ErrorCode::denied);
  EXPECT_TRUE(node_->check_status(certificate, test::soon()));
  EXPECT_TRUE(test::audited(state(), "qanat://a/app1/alice " + to_hex(certificate.serial())));
}

TEST_F(JointKeyTest, SameRequestGetsTheSameAndAnotherKeyIsARenewal) {
  const Requester first = requester(joint_alice);
  EXPECT_EQ(refusal(renew(first)), ErrorCode::conflict) << "there is nothing to renew";
  const auto certificate = must(enrol(first));
  EXPECT_EQ(must(enrol(first)).der(), certificate.der());
  EXPECT_EQ(refusal(enrol(requester(joint_alice))), ErrorCode::conflict);
  const auto next = must(renew(requester(joint_alice)));
  EXPECT_NE(next.public_key(), certificate.public_key());
  EXPECT_EQ(refusal(renew(requester(joint_alice))), ErrorCode::conflict) << "two live ones at most";
}

TEST_F(JointKeyTest, NamesKeysAndStandingAreHeldTo) {
  // In the words of CAS's own rules: the lint behind them would refuse the same.
  const auto why = [](const Result<crypto::Certificate>& result) { return result ? "it was granted" : result.error().message; };
  EXPECT_EQ(why(enrol(requester(kms_a))), "the request names no terminal or application");
  EXPECT_EQ(refusal(enrol(Requester(suite_, *rng_, terminal_names(joint_alice, Number("+8613800000001"), ElementName("kms-a"))))), ErrorCode::denied) << "a number";
  EXPECT_EQ(why(ask(Endpoint::ce3_enrol, requester(joint_alice).classical)), "jointly held keys are ML-DSA keys");
  iam_refuses_ = Error{ErrorCode::denied, "'alice' is not in IAM's register"};
  EXPECT_EQ(refusal(enrol(requester(joint_alice))), ErrorCode::denied);
}

TEST_F(JointKeyTest, TerminalLearnsThatACcsHasOneInItsName) {
  const auto certificate = must(enrol(requester(joint_alice)));
  const wire::Json answer = json_of(call(Endpoint::ce2_issued, test::request_from(joint_alice, {})));
  const std::vector<wire::Json> list = must(answer.array("certificates"));
  ASSERT_EQ(list.size(), 1U);
  EXPECT_EQ(must(list.front().base64("certificate")), certificate.der());
  EXPECT_EQ(must(list.front().text("role")), "joint");
}

TEST_F(JointKeyTest, RevocationOfTheSubjectEndsItToo) {
  const auto certificate = must(enrol(requester(joint_alice)));
  EXPECT_EQ(must(json_of(revoke(joint_alice)).texts("revoked")), std::vector<std::string>{to_hex(certificate.serial())});
  EXPECT_FALSE(node_->check_status(certificate, test::soon()));
}

}  // namespace
}  // namespace qanat::cas
