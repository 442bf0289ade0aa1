// Who gets a connection: certificates, status, algorithms, on both sides.
#include <gtest/gtest.h>

#include <atomic>

#include "element.hpp"
#include "net/tls_context.hpp"
#include "raw_tls.hpp"

namespace qanat::net::test {
namespace {

constexpr const char* kms_uri = "qanat://a/kms/kms-a";

TEST(HandshakeTest, TheHandlerSeesWhoCalls) {
  const Element element;
  const auto answer = element.kms_client()->call(get("/who"), soon());
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->status, 200U);
  EXPECT_TRUE(as_text(answer->body).starts_with(std::string(kms_uri) + "?#127.0.0.1:")) << as_text(answer->body);
}

TEST(HandshakeTest, AMlDsa87CertificateIsAccepted) {
  const Element element;
  const auto answer = element.client(pki().leaf(Kind::kms, "kms-87", crypto::KeyAlgorithm::ml_dsa_87))->call(get("/who"), soon());
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->status, 200U);
}

TEST(HandshakeTest, ACallerWithoutCertificateIsRefused) {
  Element element;
  EXPECT_EQ(element.client(nullptr)->call(get("/who"), soon()).error().code, ErrorCode::unavailable);
  const Refusal refusal = element.refusals.wait_for("peer did not return a certificate");
  EXPECT_EQ(refusal.code, ErrorCode::unauthenticated);
  EXPECT_TRUE(refusal.peer.starts_with("127.0.0.1:")) << refusal.peer;
}

TEST(HandshakeTest, AnExpiredCertificateIsRefusedByName) {
  Element element;
  EXPECT_EQ(element.client(pki().expired_leaf(Kind::kms, "kms-a"))->call(get("/who"), soon()).error().code, ErrorCode::unavailable);
  const Refusal refusal = element.refusals.wait_for("expired");
  EXPECT_EQ(refusal.code, ErrorCode::denied);
  EXPECT_EQ(refusal.peer, kms_uri);
}

TEST(HandshakeTest, ACertificateOfAForeignRootIsRefused) {
  Element element;
  // A client that would trust the server, with a leaf of the other hierarchy.
  EXPECT_EQ(element.client(foreign_pki().leaf(Kind::kms, "kms-a"))->call(get("/who"), soon()).error().code, ErrorCode::unavailable);
  const Refusal refusal = element.refusals.wait_for("handshake: ");
  EXPECT_EQ(refusal.code, ErrorCode::denied);
  EXPECT_EQ(refusal.peer, kms_uri);
}

TEST(HandshakeTest, ACertificateThatNamesNoElementIsRefused) {
  Element element;
  EXPECT_FALSE(element.client(pki().nameless_leaf())->call(get("/who"), soon()));
  EXPECT_EQ(element.refusals.wait_for("names no element").code, ErrorCode::denied);
}

TEST(HandshakeTest, AnIdentityWithoutMlDsaKeyIsRefusedOnOurOwnSide) {
  const auto classical = pki().leaf(Kind::qkm, "qkm-a", crypto::KeyAlgorithm::ecdsa_p384);
  EXPECT_EQ(make_server_context(*classical, ClientCertificate::required).error().code, ErrorCode::invalid_argument);
  const Element element;
  EXPECT_EQ(element.client(classical)->call(get("/who"), soon()).error().code, ErrorCode::invalid_argument);
}

TEST(HandshakeTest, AKeyThatIsNotTheCertificatesIsRefused) {
  TlsIdentity mixed;
  mixed.chain = pki().leaf(Kind::qkm, "qkm-a")->chain;
  mixed.key = {.algorithm = crypto::KeyAlgorithm::ml_dsa_65, .secret = Secret(32)};
  EXPECT_EQ(make_server_context(mixed, ClientCertificate::required).error().code, ErrorCode::invalid_argument);
}

struct Classical {
  const char* what;
  RawPolicy policy;
  const char* reason;
};
void PrintTo(const Classical& row, std::ostream* out) { *out << row.what; }

class ClassicalClientTest : public testing::TestWithParam<Classical> {};

TEST_P(ClassicalClientTest, IsRefusedWithTheReason) {
  Element element;
  const auto identity = pki().leaf(Kind::kms, "kms-a");
  const RawContext context = raw_context(TLS_client_method(), identity.get(), GetParam().policy);
  RawTls peer = RawTls::to(element.server->port(), *context);
  EXPECT_FALSE(peer.connect());
  const Refusal refusal = element.refusals.wait_for(GetParam().reason);
  EXPECT_EQ(refusal.code, ErrorCode::unauthenticated);
  EXPECT_TRUE(refusal.peer.starts_with("127.0.0.1:"));
}

INSTANTIATE_TEST_SUITE_P(Each, ClassicalClientTest,
                         testing::Values(Classical{"group", {.groups = "X25519", .signature_algorithms = tls_signature_algorithms, .version = TLS1_3_VERSION},
                                                   "no suitable key share"},
                                         Classical{"pure_ml_kem", {.groups = "MLKEM768", .signature_algorithms = tls_signature_algorithms, .version = TLS1_3_VERSION},
                                                   "no suitable key share"},
                                         Classical{"signature", {.groups = tls_groups, .signature_algorithms = "ECDSA+SHA384", .version = TLS1_3_VERSION},
                                                   "no shared signature algorithms"},
                                         Classical{"version", {.groups = tls_groups, .signature_algorithms = "ECDSA+SHA384", .version = TLS1_2_VERSION},
                                                   "unsupported protocol"}),
                         [](const auto& row) { return std::string(row.param.what); });

TEST(ClassicalServerTest, IsRefusedByTheClient) {
  for (const RawPolicy& policy : {RawPolicy{.groups = "X25519", .signature_algorithms = tls_signature_algorithms, .version = TLS1_3_VERSION},
                                  RawPolicy{.groups = tls_groups, .signature_algorithms = tls_signature_algorithms, .version = TLS1_2_VERSION}}) {
    RawListener listener;
    const auto identity = pki().leaf(Kind::qkm, "qkm-a");
    const RawContext context = raw_context(TLS_server_method(), identity.get(), policy);
    std::thread serving([&] { EXPECT_FALSE(listener.accept(*context).accept()); });
    const auto client = Client::create({.host = "127.0.0.1", .port = listener.port(), .expected = identity_of(Kind::qkm, "qkm-a")},
                                       pki().leaf(Kind::kms, "kms-a"), pki().trust(), {});
    EXPECT_EQ(client->call(get("/"), soon()).error().code, ErrorCode::unavailable);
    serving.join();
  }
}

TEST(HandshakeTest, APeerThatMerelyLeavesIsNoRefusal) {
  Element element;
  const RawContext context = raw_context(TLS_client_method(), nullptr);
  RawTls::to(element.server->port(), *context).close();
  ASSERT_TRUE(element.kms_client()->call(get("/who"), soon()));  // the server has seen the other one go before it answers this
  element.server->stop(patience);
  EXPECT_EQ(element.refusals.count(), 0U);
}

TEST(HandshakeTest, ASilentPeerIsCutOff) {
  ElementSettings settings;
  settings.limits.handshake_max = milliseconds(20);
  const Element element(std::move(settings));
  const RawContext context = raw_context(TLS_client_method(), nullptr);
  RawTls peer = RawTls::to(element.server->port(), *context);
  EXPECT_EQ(peer.read_all(), "");  // blocks until the server closes
}

TEST(ServerIdentityTest, AServerWithAnotherNameIsRefused) {
  Element element;
  Target target = element.target();
  target.expected.name = "qkm-b";
  const auto client = Client::create(target, pki().leaf(Kind::kms, "kms-a"), pki().trust(), {});
  const auto answer = client->call(get("/who"), soon());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::unauthenticated);
  EXPECT_TRUE(answer.error().message.contains("qanat://a/qkm/qkm-a")) << answer.error().message;
  // The server is told by an alert, and records it.
  EXPECT_EQ(element.refusals.wait_for("alert").code, ErrorCode::unauthenticated);
}

TEST(ServerIdentityTest, AServerOfAForeignRootOrExpiredIsRefused) {
  for (const auto& identity : {foreign_pki().leaf(Kind::qkm, "qkm-a"), pki().expired_leaf(Kind::qkm, "qkm-a")}) {
    ElementSettings settings;
    settings.identity = identity;
    const Element element(std::move(settings));
    EXPECT_EQ(element.kms_client()->call(get("/who"), soon()).error().code, ErrorCode::unauthenticated);
  }
}

TEST(ServerIdentityTest, ARevokedServerGetsNoRequest) {
  std::atomic<int> handled = 0;
  ElementSettings settings;
  settings.routes = {get_route("/", [&](const Request&) -> Result<Response> {
    ++handled;
    return text_response("");
  })};
  const Element element(std::move(settings));
  const auto client = element.client(pki().leaf(Kind::kms, "kms-a"), [](const crypto::Certificate& certificate, Deadline) -> Result<void> {
    EXPECT_EQ(certificate.names().element->name, "qkm-a");
    return fail(ErrorCode::denied, "revoked");
  });
  EXPECT_EQ(client->call(get("/"), soon()).error().code, ErrorCode::unauthenticated);
  EXPECT_EQ(handled, 0);
}

TEST(ServerIdentityTest, AStatusThatIsNotKnownIsUnavailable) {
  const Element element;
  const auto client = element.client(pki().leaf(Kind::kms, "kms-a"),
                                     [](const crypto::Certificate&, Deadline) -> Result<void> { return fail(ErrorCode::unavailable, "no CAS"); });
  EXPECT_EQ(client->call(get("/who"), soon()).error().code, ErrorCode::unavailable);
}

TEST(ServerIdentityTest, TheStatusIsAskedOncePerConnection) {
  const Element element;
  std::atomic<int> asked = 0;
  const auto client = element.client(pki().leaf(Kind::kms, "kms-a"), [&](const crypto::Certificate&, Deadline) -> Result<void> {
    ++asked;
    return {};
  });
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(client->call(get("/who"), soon()));
  EXPECT_EQ(asked, 1);
}

TEST(CallerStatusTest, ARevokedCallerGets403AndIsCutOff) {
  std::atomic<int> handled = 0;
  ElementSettings settings;
  settings.routes = {get_route("/", [&](const Request&) -> Result<Response> {
    ++handled;
    return text_response("");
  })};
  std::atomic<int> asked = 0;
  settings.status = [&](const crypto::Certificate& certificate, Deadline) -> Result<void> {
    ++asked;
    EXPECT_EQ(certificate.names().element->name, "kms-a");
    return fail(ErrorCode::denied, "revoked");
  };
  Element element(std::move(settings));
  const auto client = element.kms_client();
  for (int i = 0; i < 2; ++i) {
    const auto answer = client->call(get("/"), soon());
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->status, 403U);
    EXPECT_EQ(error_of(*answer).code, ErrorCode::denied);
  }
  EXPECT_EQ(handled, 0);
  EXPECT_EQ(asked, 2);  // the second call came on a connection of its own
  const Refusal refusal = element.refusals.wait_for("revoked");
  EXPECT_EQ(refusal.peer, kms_uri);
  EXPECT_EQ(refusal.point, "T-get");
}

TEST(CallerStatusTest, AStatusThatIsNotKnownIs503) {
  ElementSettings settings;
  settings.status = [](const crypto::Certificate&, Deadline) -> Result<void> { return fail(ErrorCode::unavailable, "no CAS"); };
  Element element(std::move(settings));
  const auto answer = element.kms_client()->call(get("/who"), soon());
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->status, 503U);
  EXPECT_EQ(element.refusals.wait_for("no CAS").code, ErrorCode::unavailable);
}

TEST(CallerStatusTest, IsAskedOncePerConnection) {
  std::atomic<int> asked = 0;
  ElementSettings settings;
  settings.status = [&](const crypto::Certificate&, Deadline) -> Result<void> {
    ++asked;
    return {};
  };
  const Element element(std::move(settings));
  const auto client = element.kms_client();
  for (int i = 0; i < 3; ++i) ASSERT_EQ(client->call(get("/who"), soon()).value().status, 200U);
  EXPECT_EQ(asked, 1);
}

TEST(AnonymousTest, OnlyTheAnonymousRouteAnswersACallerWithoutCertificate) {
  ElementSettings settings;
  settings.routes.push_back(get_route("/enrol", [](const Request& request) -> Result<Response> {
    return text_response(request.peer.certificate || request.peer.identity ? "known" : "unknown");
  }));
  settings.routes.back().anonymous = true;
  settings.status = [](const crypto::Certificate&, Deadline) -> Result<void> { return fail(ErrorCode::denied, "nobody's status is good"); };
  Element element(std::move(settings));
  const auto client = element.client(nullptr);
  const auto answer = client->call(get("/enrol"), soon());
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(as_text(answer->body), "unknown");

  const auto refused = client->call(get("/who"), soon());
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 401U);
  EXPECT_EQ(element.refusals.wait_for("needs a client certificate").code, ErrorCode::unauthenticated);
}

TEST(AnonymousTest, ACertificateThatDoesNotHoldIsRefusedThereToo) {
  ElementSettings settings;
  settings.routes.front().anonymous = true;
  Element element(std::move(settings));
  EXPECT_FALSE(element.client(pki().expired_leaf(Kind::kms, "kms-a"))->call(get("/who"), soon()));
  EXPECT_EQ(element.refusals.wait_for("expired").peer, kms_uri);
}

}  // namespace
}  // namespace qanat::net::test
