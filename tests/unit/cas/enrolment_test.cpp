// First enrolment of elements: Ce-1, Ce-4, X-4.
#include "cas_fixture.hpp"

namespace qanat::cas {
namespace {

class EnrolmentTest : public CasFixture {};

TEST_F(EnrolmentTest, ExpectedElementGetsBothCertificatesOverItsKeys) {
  const Requester requester = this->requester(kms_a);
  const UnixMs before = SystemClock().now_ms();
  const wire::Json answer = json_of(enrol_kms(requester, secret_of(kms_a)));
  const auto leaf = chain(answer, "ml_dsa").front();
  EXPECT_EQ(leaf.public_key(), must(crypto::CertificateRequest::parse(requester.ml_dsa)).public_key());
  EXPECT_EQ(chain(answer, "classical").front().public_key(), must(crypto::CertificateRequest::parse(requester.classical)).public_key());
  EXPECT_EQ(leaf.names().element, kms_a);
  EXPECT_EQ(leaf.names().number, std::nullopt);
  EXPECT_FALSE(leaf.is_ca());
  EXPECT_EQ(leaf.serial().size(), 16U);
  EXPECT_EQ(leaf.serial().front() & 0x80, 0);
  EXPECT_LE(leaf.not_before(), before - 59'000);
  EXPECT_NEAR(static_cast<double>(leaf.not_after() - before), 90.0 * 86'400'000, 5000);
  EXPECT_TRUE(test::audited(state(), to_hex(leaf.serial())));
}

TEST_F(EnrolmentTest, ElementWithoutMessageKeysGetsOneCertificate) {
  const Requester requester = this->requester(qkm_a);
  const wire::Json answer = json_of(call(Endpoint::ce4_enrol, json_request({}, element_body(qkm_a, requester.ml_dsa, {}, secret_of(qkm_a)))));
  EXPECT_EQ(chain(answer, "ml_dsa").front().names().element, qkm_a);
  EXPECT_TRUE(chain(answer, "classical").empty());
  EXPECT_EQ(refusal(call(Endpoint::ce4_enrol, json_request({}, element_body(qkm_a, requester.ml_dsa, requester.classical, secret_of(qkm_a))))),
            ErrorCode::invalid_argument);
}

TEST_F(EnrolmentTest, WrongSecretIsUnauthenticatedAndOnRecord) {
  const Requester requester = this->requester(kms_a);
  EXPECT_EQ(refusal(enrol_kms(requester, secret_of(qkm_a))), ErrorCode::unauthenticated);
  EXPECT_TRUE(test::audited(state(), "the enrolment secret does not fit"));
  EXPECT_TRUE(enrol_kms(requester, secret_of(kms_a))) << "a wrong guess spends nothing";
}

TEST_F(EnrolmentTest, ProofCoversBothRequestsAndTheNonce) {
  const Requester good = requester(kms_a);
  const Requester other = requester(kms_a);
  const auto with = [&](std::string_view member, const std::string& value) {
    wire::Json body = wire::Json::object();
    const wire::Json sound = element_body(kms_a, good.ml_dsa, good.classical, secret_of(kms_a));
    for (const std::string& each : sound.names()) body.set(each, each == member ? value : must(sound.text(each)));
    return call(Endpoint::ce1_enrol, json_request({}, body));
  };
  EXPECT_EQ(refusal(with("ml_dsa", wire::to_base64(other.ml_dsa))), ErrorCode::unauthenticated);
  EXPECT_EQ(refusal(with("classical", wire::to_base64(other.classical))), ErrorCode::unauthenticated);
  EXPECT_EQ(refusal(with("nonce", std::string(64, '0'))), ErrorCode::unauthenticated);
  EXPECT_EQ(refusal(with("proof", std::string(62, '0'))), ErrorCode::invalid_argument);
}

TEST_F(EnrolmentTest, UnknownIdentityAndWrongPointAreRefused) {
  const Identity stranger = identity("qanat://a/kms/kms-x");
  const Requester requester = this->requester(stranger);
  EXPECT_EQ(refusal(call(Endpoint::ce1_enrol, json_request({}, element_body(stranger, requester.ml_dsa, requester.classical, secret_of(stranger))))),
            ErrorCode::not_found);
  const Requester kms = this->requester(kms_a);
  for (const Endpoint wrong : {Endpoint::ce4_enrol, Endpoint::x4_enrol}) {
    EXPECT_EQ(refusal(call(wrong, json_request({}, element_body(kms_a, kms.ml_dsa, kms.classical, secret_of(kms_a))))), ErrorCode::denied);
  }
}

TEST_F(EnrolmentTest, NamesOutsideThePolicyAreRefused) {
  const auto asking = [&](const crypto::SubjectNames& names) { return enrol_kms(Requester(suite_, *rng_, names), secret_of(kms_a)); };
  EXPECT_EQ(refusal(asking(element_names(identity("qanat://a/cas/kms-a")))), ErrorCode::denied) << "another kind";
  EXPECT_EQ(refusal(asking(element_names(identity("qanat://b/kms/kms-a")))), ErrorCode::denied) << "another domain";
  EXPECT_EQ(refusal(asking(terminal_names(kms_a, Number("+8613800000001")))), ErrorCode::denied) << "a number";
  EXPECT_EQ(refusal(asking({.common_name = "x", .element = kms_a, .number = {}, .dns = {"www.example.org"}})), ErrorCode::denied);
  EXPECT_EQ(refusal(asking({.common_name = "kms-a", .element = {}, .number = {}, .dns = {}})), ErrorCode::denied);
  EXPECT_TRUE(enrol_kms(requester(kms_a), secret_of(kms_a))) << "refusals spend nothing";
}

TEST_F(EnrolmentTest, KeysOfAnotherSuiteAndAlteredRequestsAreRefused) {
  const Requester foreign(crypto::suite(crypto::SuiteId::intl_hybrid), *rng_, element_names(kms_a));
  EXPECT_EQ(refusal(enrol_kms(foreign, secret_of(kms_a))), ErrorCode::denied);
  Requester swapped = requester(kms_a);
  std::swap(swapped.ml_dsa, swapped.classical);
  EXPECT_EQ(refusal(enrol_kms(swapped, secret_of(kms_a))), ErrorCode::denied);
  Requester altered = requester(kms_a);
  altered.ml_dsa.back() ^= 1;
  EXPECT_EQ(refusal(enrol_kms(altered, secret_of(kms_a))), ErrorCode::denied) << "its signature does not hold";
  Requester one = requester(kms_a);
  one.classical.clear();
  EXPECT_EQ(refusal(enrol_kms(one, secret_of(kms_a))), ErrorCode::invalid_argument);
}

TEST_F(EnrolmentTest, SecretServesForOneRequestHoweverOftenItComes) {
  const Requester first = requester(kms_a);
  const std::string answer = json_of(enrol_kms(first, secret_of(kms_a))).dump();
  EXPECT_EQ(json_of(enrol_kms(first, secret_of(kms_a))).dump(), answer) << "a fresh nonce, the same requests: the same certificates";
  open_service();
  EXPECT_EQ(json_of(enrol_kms(first, secret_of(kms_a))).dump(), answer);
  EXPECT_EQ(refusal(enrol_kms(requester(kms_a), secret_of(kms_a))), ErrorCode::conflict);
}

TEST_F(EnrolmentTest, RevokedElementComesBackOnlyWithANewSecret) {
  const Requester first = requester(kms_a);
  const wire::Json answer = json_of(enrol_kms(first, secret_of(kms_a)));
  const wire::Json revoked = json_of(revoke(kms_a));
  EXPECT_EQ(must(revoked.texts("revoked")),
            (std::vector<std::string>{to_hex(chain(answer, "ml_dsa").front().serial()), to_hex(chain(answer, "classical").front().serial())}));
  EXPECT_EQ(refusal(enrol_kms(first, secret_of(kms_a))), ErrorCode::denied);
  EXPECT_EQ(refusal(enrol_kms(requester(kms_a), secret_of(kms_a))), ErrorCode::conflict);
  expect(kms_a, 2);
  const wire::Json again = json_of(enrol_kms(requester(kms_a), secret_of(kms_a, 2)));
  EXPECT_TRUE(node_->check_status(chain(again, "ml_dsa").front(), test::soon()));
  EXPECT_FALSE(node_->check_status(chain(answer, "ml_dsa").front(), test::soon()));
}

TEST_F(EnrolmentTest, LiveCertificateStandsInTheWayOfAnother) {
  json_of(enrol_kms(requester(kms_a), secret_of(kms_a)));
  expect(kms_a, 2);
  EXPECT_EQ(refusal(enrol_kms(requester(kms_a), secret_of(kms_a, 2))), ErrorCode::conflict);
  json_of(revoke(kms_a));
  EXPECT_TRUE(enrol_kms(requester(kms_a), secret_of(kms_a, 2))) << "the refusal did not spend the secret";
}

TEST_F(EnrolmentTest, MalformedBodiesAreRefused) {
  for (const std::string_view body : {"", "{", "[]", "{}", R"({"identity":"qanat://a/kms/kms-a"})", R"({"identity":7,"nonce":"","proof":"","ml_dsa":""})"}) {
    EXPECT_EQ(refusal(call(Endpoint::ce1_enrol, test::request_from({}, to_bytes(body)))), ErrorCode::invalid_argument) << body;
  }
  const Requester requester = this->requester(kms_a);
  wire::Json more = element_body(kms_a, requester.ml_dsa, requester.classical, secret_of(kms_a));
  more.set("more", 1);
  EXPECT_EQ(refusal(call(Endpoint::ce1_enrol, json_request({}, more))), ErrorCode::invalid_argument);
}

TEST_F(EnrolmentTest, CasDoesNotRevokeItselfNorWhatItNeverKnew) {
  EXPECT_EQ(refusal(revoke(cas_id)), ErrorCode::denied);
  EXPECT_EQ(refusal(revoke(kms_a)), ErrorCode::not_found);
  json_of(enrol_kms(requester(kms_a), secret_of(kms_a)));
  EXPECT_EQ(must(json_of(revoke(kms_a)).texts("revoked")).size(), 2U);
  EXPECT_TRUE(must(json_of(revoke(kms_a)).texts("revoked")).empty()) << "nothing is left to revoke";
}

}  // namespace
}  // namespace qanat::cas
