// Elements enrol and renew by EST: over the wire, in a network whose certificates last a minute, and when they die in the middle of it.
#include <fstream>
#include <map>
#include <set>

#include "node/enrolment.hpp"
#include "point_test.hpp"
#include "test_network.hpp"
#include "wire/est.hpp"

namespace qanat::test {
namespace {

using points::Endpoint;
using wire::Json;

constexpr std::int64_t est_lifetime_s = 60;

class ElementEst : public SharedNetwork {
 protected:
  static void SetUpTestSuite() {
    options_.spares = {{.domain = "a", .kind = Kind::kms, .name = "kms-spare"},
                       {.domain = "core", .kind = Kind::qkm, .name = "qkm-spare"},
                       {.domain = "core", .kind = Kind::ccs, .name = "ccs-spare"}};
    options_.optics = false;
    options_.status_fresh_ms = 200;
    options_.element_lifetime_s = est_lifetime_s;
    SharedNetwork::SetUpTestSuite();
    if (!net().ok()) return;
    for (const char* uid : {"A", "B"}) net().enrol(uid);
  }

  /// A request over a fresh ML-DSA key.
  static Bytes request_for(const Identity& identity) {
    const crypto::Signer keys = crypto::Signer::generate(net().suite(), net().rng()).value();
    const crypto::SubjectNames names{.common_name = identity.name, .element = identity, .number = {}, .dns = {}};
    return crypto::make_request({.algorithm = crypto::ml_dsa_key(net().suite()), .secret = keys.secret().ml_dsa_seed}, names).value();
  }
  static Result<net::Response> send(const std::shared_ptr<const net::TlsIdentity>& shown, Endpoint endpoint, ByteView csr) {
    const points::EndpointRow& line = points::row(endpoint);
    const std::string body = csr.empty() ? std::string() : wire::est_body(csr);
    return net().client("cas", shown)->call({.method = std::string(line.method),
                                             .path = std::string(line.path),
                                             .query = "",
                                             .content_type = std::string(line.request_type),
                                             .body = as_bytes(body),
                                             .request_id = ""},
                                            Deadline::after(std::chrono::seconds(10)));
  }
  static crypto::CertStatus status_seen_by(const std::string& caller, Endpoint endpoint, const crypto::Certificate& certificate) {
    const crypto::Certificate* const issuer = net().trust().issuer_of(certificate);
    if (issuer == nullptr) return crypto::CertStatus::unknown;
    const Bytes nonce = net().rng().bytes(32);
    const auto answer = net().call(caller, endpoint, "cas", crypto::make_status_request(certificate, *issuer, nonce).value());
    if (!answer) return crypto::CertStatus::unknown;
    const auto status = crypto::verify_status_response(answer->body, certificate, *issuer, nonce, SystemClock().now_ms());
    return status ? status->status : crypto::CertStatus::unknown;
  }
  static unsigned status_of(const Result<net::Response>& answer) {
    EXPECT_TRUE(answer) << (answer ? "" : answer.error().message);
    return answer ? answer->status : 0;
  }
  /// The spare enrols, and what it has renews itself: the new certificate is good, and in the same name.
  static void expect_renewal(const std::string& spare, Endpoint endpoint) {
    const auto shown = net().enrol_spare(spare);
    ASSERT_TRUE(shown);
    const Identity identity = *shown->chain.front().names().element;
    const auto answer = send(shown, endpoint, request_for(identity));
    ASSERT_EQ(status_of(answer), 200U) << as_text(answer->body);
    const auto certificate = node::read_est_answer(*answer);
    ASSERT_TRUE(certificate) << certificate.error().message;
    EXPECT_EQ(certificate->names().element, identity);
    EXPECT_NE(certificate->public_key(), shown->chain.front().public_key());
    EXPECT_TRUE(net().trust().verify(*certificate, SystemClock().now_ms()));
    EXPECT_EQ(status_of(send(shown, endpoint, request_for(identity))), 409U) << "a third one";
  }
  /// Certificates that this element renewed, as its audit record has them: their serials.
  static std::set<std::string> renewed(const std::string& element) {
    std::set<std::string> out;
    for (const Json& line : net().audit(element, "certificate.renewed")) {
      if (line.text("outcome").value_or("") == "success") out.insert(line.text("object").value_or(""));
    }
    return out;
  }
};

POINT_TEST(ElementEst, Ce_1, accepts, AKmsRenewsByItsCertificate) { expect_renewal("kms-spare", Endpoint::ce1_reenrol); }
POINT_TEST(ElementEst, Ce_1, refuses, RenewalsInAnothersNameAndByOthers) {
  const auto kms_a = net().identity_of("kms-a");
  EXPECT_EQ(status_of(send(kms_a, Endpoint::ce1_reenrol, request_for({.domain = "b", .kind = Kind::kms, .name = "kms-b"}))), 403U);
  net().expect_audit("cas", "ce-1.reenrol", "asks for the name of another element");
  EXPECT_EQ(status_of(send(net().identity_of("qkm-a"), Endpoint::ce1_reenrol, request_for({.domain = "a", .kind = Kind::qkm, .name = "qkm-a"}))), 403U);
  EXPECT_EQ(status_of(send(nullptr, Endpoint::ce1_reenrol, request_for({.domain = "a", .kind = Kind::kms, .name = "kms-a"}))), 401U);
}
POINT_TEST(ElementEst, Ce_4, accepts, AQkmRenewsByItsCertificate) { expect_renewal("qkm-spare", Endpoint::ce4_reenrol); }
POINT_TEST(ElementEst, Ce_4, refuses, ARenewalByAKms) {
  EXPECT_EQ(status_of(send(net().identity_of("kms-a"), Endpoint::ce4_reenrol, request_for({.domain = "a", .kind = Kind::kms, .name = "kms-a"}))), 403U);
}
POINT_TEST(ElementEst, X_4, accepts, ACcsRenewsByItsCertificate) { expect_renewal("ccs-spare", Endpoint::x4_reenrol); }
POINT_TEST(ElementEst, X_4, refuses, WhoIsSuspendedAtIam) {
  const auto ask = [](const char* op) {
    return net().op().ask(Endpoint::x5_identity, "iam", Json::object({{"op", op}, {"uid", "ccs"}}));
  };
  ASSERT_TRUE(ask("suspend"));
  const auto ccs = net().identity_of("ccs");
  const Bytes request = request_for(*ccs->chain.front().names().element);
  EXPECT_EQ(status_of(send(ccs, Endpoint::x4_reenrol, request)), 403U);
  net().expect_audit("cas", "x-4.reenrol", "suspended in IAM's register");
  ASSERT_TRUE(ask("resume"));
}
POINT_TEST(ElementEst, X_3, accepts, CasAsksWhetherAnElementMayGoOn) {
  const auto answer = net().call_json("cas", Endpoint::x3_identity, "iam", Json::object({{"identity", "qanat://a/kms/kms-a"}}));
  ASSERT_EQ(status_of(answer), 200U);
  EXPECT_EQ(Json::parse(answer->body).value().text("status").value(), "active");
}
POINT_TEST(ElementEst, X_3, refuses, OthersThanCas) {
  EXPECT_EQ(status_of(net().call_json("kms-a", Endpoint::x3_identity, "iam", Json::object({{"identity", "qanat://a/kms/kms-a"}}))), 403U);
}
POINT_TEST(ElementEst, Km_1, accepts, ATerminalAsksWhatFollowedItsKmssCertificates) {
  const std::string pinned = net().terminal("A").pinned().value();
  const auto answer = net().call("A", Endpoint::km1_certificates, "kms-a", {}, "since=" + pinned);
  ASSERT_EQ(status_of(answer), 200U);
  EXPECT_TRUE(wire::parse_successions(net().suite(), answer->body)) << as_text(answer->body);
}
POINT_TEST(ElementEst, Km_1, refuses, OthersAndCertificatesThatWereNeverItsOwn) {
  EXPECT_EQ(status_of(net().call("A", Endpoint::km1_certificates, "kms-a", {}, "since=" + std::string(64, '0'))), 404U);
  EXPECT_EQ(status_of(net().call("qkm-a", Endpoint::km1_certificates, "kms-a", {}, "since=" + std::string(64, '0'))), 403U);
}
POINT_TEST(ElementEst, Km_1, refuses, ApplicationsOfATerminalThatKeepsOtherCertificatesOfIt) {
  TestTerminal& caller = net().terminal("A");
  const Number called = net().terminal("B").number();
  const auto application = caller.application({.role = wire::Role::caller,
                                               .sid_wk = net().rng().id<SidWk>(),
                                               .sid_call = wire::make_sid_call(caller.number(), called, net().rng().bytes(16)),
                                               .caller = caller.number(),
                                               .called = called});
  ASSERT_TRUE(application) << application.error().message;
  EXPECT_EQ(status_of(net().call("A", Endpoint::km1_application, "kms-a", application->octets(), "kms=" + std::string(64, '0'))), 503U);
  net().expect_audit("kms-a", "km-1.application", "this KMS has other certificates by now");
}
POINT_TEST(ElementEst, Ce_1, accepts, AKmsLearnsTheCertificatesOfTheAuthorities) {
  EXPECT_EQ(status_of(send(net().identity_of("kms-a"), Endpoint::ce1_cacerts, {})), 200U);
  EXPECT_EQ(status_of(send(net().identity_of("qkm-a"), Endpoint::ce4_cacerts, {})), 200U);
}

// The key is made here alone: to make it between a terminal and a CCS is not offered yet.
POINT_TEST(ElementEst, Ce_3, accepts, ACcsGetsACertificateForAJointlyHeldKey) {
  const Identity subject = *net().identity_of("A")->chain.front().names().element;
  const auto answer = send(net().identity_of("ccs"), Endpoint::ce3_enrol, request_for(subject));
  ASSERT_EQ(status_of(answer), 200U) << as_text(answer->body);
  const auto certificate = node::read_est_answer(*answer);
  ASSERT_TRUE(certificate) << certificate.error().message;
  EXPECT_EQ(certificate->names().element, subject);
  EXPECT_EQ(status_seen_by("kms-a", Endpoint::cq1_status, *certificate), crypto::CertStatus::good);
  const auto verified = net().trust().verify(*certificate, SystemClock().now_ms());
  ASSERT_FALSE(verified) << "nobody takes it for the terminal's own end of a connection";
  EXPECT_TRUE(verified.error().message.contains("not for both ends of TLS")) << verified.error().message;
  EXPECT_EQ(status_of(send(net().identity_of("ccs"), Endpoint::ce3_enrol, request_for(subject))), 409U) << "it has one";
  EXPECT_EQ(status_of(send(net().identity_of("ccs"), Endpoint::ce3_reenrol, request_for(subject))), 200U);
}
POINT_TEST(ElementEst, Ce_3, refuses, OthersThanACcsAndSubjectsThatIamDoesNotKnow) {
  const Identity subject = *net().identity_of("B")->chain.front().names().element;
  EXPECT_EQ(status_of(send(net().identity_of("kms-a"), Endpoint::ce3_enrol, request_for(subject))), 403U);
  EXPECT_EQ(status_of(send(nullptr, Endpoint::ce3_enrol, request_for(subject))), 401U);
  const auto ccs = net().identity_of("ccs");
  EXPECT_EQ(status_of(send(ccs, Endpoint::ce3_enrol, request_for({.domain = "a", .kind = Kind::app1, .name = "nobody"}))), 403U);
  net().expect_audit("cas", "ce-3.enrol", "is not in IAM's register");
  EXPECT_EQ(status_of(send(ccs, Endpoint::ce3_enrol, request_for({.domain = "a", .kind = Kind::kms, .name = "kms-a"}))), 403U) << "an element's name";
  EXPECT_EQ(status_of(send(ccs, Endpoint::ce3_reenrol, request_for(subject))), 409U) << "nothing to renew";
}

TEST_F(ElementEst, EveryElementRenewsItselfInTimeWhileCallsGoOn) {
  const std::vector<std::string> elements{"cas", "iam", "cmsp", "kms-a", "kms-b", "qkm-a", "qkm-r", "qkm-b", "qkdnc", "ccs"};
  const auto missing = [&] {
    std::string out;
    for (const std::string& element : elements) out += renewed(element).empty() ? " " + element : "";
    return out;
  };
  UnixMs first_ones_over = 0;
  for (const std::string& element : elements) first_ones_over = std::max(first_ones_over, net().identity_of(element)->chain.front().not_after());
  std::map<std::string, std::string> first_pinned;
  for (const char* uid : {"A", "B"}) first_pinned[uid] = net().terminal(uid).pinned().value();
  int calls = 0;
  const Deadline until = Deadline::after(std::chrono::seconds(3 * est_lifetime_s));
  while ((!missing().empty() || SystemClock().now_ms() <= first_ones_over) && !until.passed()) {
    const auto pair = net().apply(calls % 2 == 0 ? "A" : "B", calls % 2 == 0 ? "B" : "A");
    EXPECT_TRUE(pair.agree()) << "call " << calls << ": " << pair.reasons();
    ++calls;
  }
  EXPECT_EQ(missing(), "") << "these have not renewed";
  EXPECT_GT(SystemClock().now_ms(), first_ones_over) << "the first certificates are over, and calls went on";
  EXPECT_GT(calls, 10);
  for (const std::string& element : elements) EXPECT_TRUE(net().running().lives(element)) << element;
  for (const auto& [uid, pinned] : first_pinned) EXPECT_NE(net().terminal(uid).pinned().value(), pinned) << uid << " follows its KMS";
}

}  // namespace
}  // namespace qanat::test
