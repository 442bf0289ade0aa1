// First enrolment of elements by EST: Ce-1, Ce-4, X-4.
#include "cas_fixture.hpp"
#include "crypto/x509_pkcs7.hpp"

namespace qanat::cas {
namespace {

class EnrolmentTest : public CasFixture {};

TEST_F(EnrolmentTest, ExpectedElementGetsBothCertificatesOverItsKeys) {
  const Requester requester = this->requester(kms_a);
  const UnixMs before = SystemClock().now_ms();
  const Bundle bundle = must(enrol_kms(requester, secret_of(kms_a)));
  const crypto::Certificate& leaf = bundle.ml_dsa;
  EXPECT_EQ(leaf.public_key(), must(crypto::CertificateRequest::parse(requester.ml_dsa)).public_key());
  EXPECT_EQ(bundle.classical.public_key(), must(crypto::CertificateRequest::parse(requester.classical)).public_key());
  EXPECT_EQ(leaf.names().element, kms_a);
  EXPECT_EQ(leaf.names().number, std::nullopt);
  EXPECT_FALSE(leaf.is_ca());
  EXPECT_EQ(leaf.serial().size(), 16U);
  EXPECT_EQ(leaf.serial().front() & 0x80, 0);
  EXPECT_LE(leaf.not_before(), before - 59'000);
  EXPECT_NEAR(static_cast<double>(leaf.not_after() - before), 90.0 * 86'400'000, 5000);
  EXPECT_TRUE(test::audited(state(), to_hex(leaf.serial())));
  EXPECT_TRUE(test::audited(state(), to_hex(bundle.classical.serial())));
}

TEST_F(EnrolmentTest, AnswerIsACertificateAloneInUnsignedCms) {
  const auto answer = call(Endpoint::ce1_enrol, est_request(requester(kms_a).ml_dsa, "kms-a", secret_of(kms_a)));
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->content_type, "application/pkcs7-mime; smime-type=certs-only");
  EXPECT_EQ(must(crypto::read_certs_only(must(wire::from_base64(as_text(answer->body))))).size(), 1U) << "RFC 7030 §4.2.3";
}

TEST_F(EnrolmentTest, ElementWithoutMessageKeysGetsOneCertificate) {
  const Requester requester = this->requester(qkm_a);
  EXPECT_EQ(must(enrol_one(Endpoint::ce4_enrol, qkm_a, requester.ml_dsa, secret_of(qkm_a))).names().element, qkm_a);
  EXPECT_EQ(refusal(enrol_one(Endpoint::ce4_enrol, qkm_a, requester.classical, secret_of(qkm_a))), ErrorCode::denied);
}

TEST_F(EnrolmentTest, WrongSecretIsUnauthenticatedAndOnRecord) {
  const Requester requester = this->requester(kms_a);
  EXPECT_EQ(refusal(enrol_kms(requester, secret_of(qkm_a))), ErrorCode::unauthenticated);
  EXPECT_TRUE(test::audited(state(), "the enrolment secret does not fit"));
  EXPECT_TRUE(enrol_kms(requester, secret_of(kms_a))) << "a wrong guess spends nothing";
  EXPECT_FALSE(test::audited(state(), as_text(secret_of(kms_a).reveal()))) << "no secret is ever on record";
  EXPECT_FALSE(test::audited(state(), as_text(secret_of(qkm_a).reveal())));
}

TEST_F(EnrolmentTest, SecretIsAskedForBeforeTheRequestIsRead) {
  EXPECT_EQ(refusal(call(Endpoint::ce1_enrol, test::request_from({}, to_bytes(std::string_view("no request at all"))))), ErrorCode::unauthenticated);
  net::Request other = est_request(requester(kms_a).ml_dsa, "kms-a", secret_of(kms_a));
  other.authorization = std::make_shared<const Secret>(Secret::copy_of(as_bytes("Bearer " + std::string(as_text(secret_of(kms_a).reveal())))));
  EXPECT_EQ(refusal(call(Endpoint::ce1_enrol, other)), ErrorCode::unauthenticated);
}

TEST_F(EnrolmentTest, UserIsTheElementThatTheRequestNames) {
  const Requester requester = this->requester(kms_a);
  EXPECT_EQ(refusal(call(Endpoint::ce1_enrol, est_request(requester.ml_dsa, "kms-b", secret_of(kms_a)))), ErrorCode::unauthenticated);
  EXPECT_EQ(refusal(call(Endpoint::ce1_enrol, est_request(requester.ml_dsa, "qkm-a", secret_of(qkm_a)))), ErrorCode::unauthenticated) << "another's secret for this name";
  EXPECT_TRUE(call(Endpoint::ce1_enrol, est_request(requester.ml_dsa, "kms-a", secret_of(kms_a))));
}

TEST_F(EnrolmentTest, UnknownIdentityAndWrongPointAreRefused) {
  const Identity stranger = identity("qanat://a/kms/kms-x");
  EXPECT_EQ(refusal(enrol_one(Endpoint::ce1_enrol, stranger, requester(stranger).ml_dsa, secret_of(stranger))), ErrorCode::unauthenticated);
  const Requester kms = this->requester(kms_a);
  for (const Endpoint wrong : {Endpoint::ce4_enrol, Endpoint::x4_enrol}) EXPECT_EQ(refusal(enrol_one(wrong, kms_a, kms.ml_dsa, secret_of(kms_a))), ErrorCode::denied);
}

TEST_F(EnrolmentTest, NamesOutsideThePolicyAreRefused) {
  const auto asking = [&](const crypto::SubjectNames& names) { return enrol_kms(Requester(suite_, *rng_, names), secret_of(kms_a)); };
  EXPECT_EQ(refusal(asking(element_names(identity("qanat://a/cas/kms-a")))), ErrorCode::denied) << "another kind";
  EXPECT_EQ(refusal(asking(element_names(identity("qanat://b/kms/kms-a")))), ErrorCode::unauthenticated) << "another domain: the secret is not its";
  EXPECT_EQ(refusal(asking(terminal_names(kms_a, Number("+8613800000001"), ElementName("kms-a")))), ErrorCode::denied) << "a number";
  EXPECT_EQ(refusal(asking({.common_name = "x", .element = kms_a, .number = {}, .dns = {"www.example.org"}})), ErrorCode::denied);
  EXPECT_EQ(refusal(asking({.common_name = "kms-a", .element = {}, .number = {}, .dns = {}})), ErrorCode::denied);
  EXPECT_TRUE(enrol_kms(requester(kms_a), secret_of(kms_a))) << "refusals spend nothing";
}

TEST_F(EnrolmentTest, KeysOfAnotherSuiteAndAlteredRequestsAreRefused) {
  const Requester foreign(crypto::suite(crypto::SuiteId::intl_hybrid), *rng_, element_names(kms_a));
  EXPECT_EQ(refusal(enrol_one(Endpoint::ce1_enrol, kms_a, foreign.ml_dsa, secret_of(kms_a))), ErrorCode::denied);
  EXPECT_EQ(refusal(enrol_one(Endpoint::ce1_enrol, kms_a, foreign.classical, secret_of(kms_a))), ErrorCode::denied);
  Requester altered = requester(kms_a);
  altered.ml_dsa.back() ^= 1;
  EXPECT_EQ(refusal(enrol_kms(altered, secret_of(kms_a))), ErrorCode::denied) << "its signature does not hold";
}

TEST_F(EnrolmentTest, SecretServesForOneRequestOfEachKeyHoweverOftenItComes) {
  const Requester first = requester(kms_a);
  const Bundle bundle = must(enrol_kms(first, secret_of(kms_a)));
  EXPECT_EQ(must(enrol_kms(first, secret_of(kms_a))), bundle) << "the same requests: the same certificates";
  open_service();
  EXPECT_EQ(must(enrol_kms(first, secret_of(kms_a))), bundle);
  const Requester second = requester(kms_a);
  EXPECT_EQ(refusal(enrol_one(Endpoint::ce1_enrol, kms_a, second.ml_dsa, secret_of(kms_a))), ErrorCode::conflict);
  EXPECT_EQ(refusal(enrol_one(Endpoint::ce1_enrol, kms_a, second.classical, secret_of(kms_a))), ErrorCode::conflict);
}

TEST_F(EnrolmentTest, HalvesOfABundleComeInAnyOrderAndAtAnyTime) {
  const Requester requester = this->requester(kms_a);
  const auto classical = must(enrol_one(Endpoint::ce1_enrol, kms_a, requester.classical, secret_of(kms_a)));
  open_service();
  const Bundle bundle = must(enrol_kms(requester, secret_of(kms_a)));
  EXPECT_EQ(bundle.classical.der(), classical.der());
}

TEST_F(EnrolmentTest, RevokedElementComesBackOnlyWithANewSecret) {
  const Requester first = requester(kms_a);
  const Bundle bundle = must(enrol_kms(first, secret_of(kms_a)));
  const wire::Json revoked = json_of(revoke(kms_a));
  EXPECT_EQ(must(revoked.texts("revoked")), (std::vector<std::string>{to_hex(bundle.ml_dsa.serial()), to_hex(bundle.classical.serial())}));
  EXPECT_EQ(refusal(enrol_kms(first, secret_of(kms_a))), ErrorCode::denied);
  EXPECT_EQ(refusal(enrol_kms(requester(kms_a), secret_of(kms_a))), ErrorCode::conflict);
  expect(kms_a, 2);
  const Bundle again = must(enrol_kms(requester(kms_a), secret_of(kms_a, 2)));
  EXPECT_TRUE(node_->check_status(again.ml_dsa, test::soon()));
  EXPECT_FALSE(node_->check_status(bundle.ml_dsa, test::soon()));
}

TEST_F(EnrolmentTest, LiveCertificateStandsInTheWayOfAnother) {
  must(enrol_kms(requester(kms_a), secret_of(kms_a)));
  expect(kms_a, 2);
  const Requester second = requester(kms_a);
  EXPECT_EQ(refusal(enrol_one(Endpoint::ce1_enrol, kms_a, second.ml_dsa, secret_of(kms_a, 2))), ErrorCode::conflict);
  EXPECT_EQ(refusal(enrol_one(Endpoint::ce1_enrol, kms_a, second.classical, secret_of(kms_a, 2))), ErrorCode::conflict);
  json_of(revoke(kms_a));
  EXPECT_TRUE(enrol_kms(second, secret_of(kms_a, 2))) << "the refusals did not spend the secret";
}

TEST_F(EnrolmentTest, HalfABundleStandsInTheWayOfAnothersHalf) {
  must(enrol_one(Endpoint::ce1_enrol, kms_a, requester(kms_a).ml_dsa, secret_of(kms_a)));
  expect(kms_a, 2);
  EXPECT_EQ(refusal(enrol_one(Endpoint::ce1_enrol, kms_a, requester(kms_a).classical, secret_of(kms_a, 2))), ErrorCode::conflict) << "two secrets never make one bundle";
}

TEST_F(EnrolmentTest, MalformedBodiesAreRefused) {
  const Bytes csr = requester(kms_a).ml_dsa;
  const auto send = [&](const std::string& body) {
    net::Request request = est_request(csr, "kms-a", secret_of(kms_a));
    request.body = to_bytes(body);
    return call(Endpoint::ce1_enrol, request);
  };
  for (const std::string body : {"", "\r\n", "{", "not base64", "Zm9v", "-----BEGIN CERTIFICATE REQUEST-----"}) EXPECT_EQ(refusal(send(body)), ErrorCode::invalid_argument) << body;
  const std::string text = wire::to_base64(csr);
  EXPECT_EQ(refusal(send(text.substr(0, text.size() - 8))), ErrorCode::invalid_argument);
  EXPECT_EQ(refusal(send(wire::to_base64(concat({csr, Bytes{0}})))), ErrorCode::invalid_argument) << "octets behind the request";
  std::string folded;
  for (std::size_t i = 0; i < text.size(); i += 64) folded += text.substr(i, 64) + "\r\n";
  EXPECT_TRUE(send(folded)) << "line ends are read over (RFC 8951 §3.1)";
}

TEST_F(EnrolmentTest, CasDoesNotRevokeItselfNorWhatItNeverKnew) {
  EXPECT_EQ(refusal(revoke(cas_id)), ErrorCode::denied);
  EXPECT_EQ(refusal(revoke(kms_a)), ErrorCode::not_found);
  must(enrol_kms(requester(kms_a), secret_of(kms_a)));
  EXPECT_EQ(must(json_of(revoke(kms_a)).texts("revoked")).size(), 2U);
  EXPECT_TRUE(must(json_of(revoke(kms_a)).texts("revoked")).empty()) << "nothing is left to revoke";
}

TEST_F(EnrolmentTest, CasGivesTheCertificatesOfItsAuthorities) {
  const auto answer = call(Endpoint::ce1_cacerts, test::request_from(kms_a, {}));
  ASSERT_TRUE(answer) << answer.error().message;
  const std::vector<Bytes> certificates = must(crypto::read_certs_only(must(wire::from_base64(as_text(answer->body)))));
  EXPECT_EQ(certificates.size(), 4U) << "an issuing CA and a root of both branches";
  for (const Bytes& der : certificates) EXPECT_TRUE(must(crypto::Certificate::parse(der)).is_ca());
}

}  // namespace
}  // namespace qanat::cas
