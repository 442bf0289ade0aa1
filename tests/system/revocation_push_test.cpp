// A revocation reaches every element at once: what is remembered about the certificate is forgotten, and connections that show it are closed.
#include "point_test.hpp"
#include "test_network.hpp"
#include "unit/net/raw_tls.hpp"

namespace qanat::test {
namespace {

using points::Endpoint;
using wire::Json;

class RevocationPush : public SharedNetwork {
 protected:
  static void SetUpTestSuite() {
    options_.spares = {{.domain = "a", .kind = Kind::kms, .name = "kms-spare"}, {.domain = "b", .kind = Kind::kms, .name = "kms-other"}};
    options_.optics = false;
    options_.status_fresh_ms = 3'600'000;  // by itself, nobody would ask again for an hour
    SharedNetwork::SetUpTestSuite();
  }
  static std::uint16_t port_of(const std::string& name) { return (*net().network().element(name))->port; }
  static std::string request() { return "GET /km/3/status HTTP/1.1\r\nHost: qkm-a\r\n\r\n"; }
};

POINT_TEST(RevocationPush, X_10, accepts, ARevokedElementLosesItsOpenConnectionAndItsStanding) {
  const auto identity = net().enrol_spare("kms-spare");
  const auto context = net::test::raw_context(TLS_client_method(), identity.get());
  auto open = net::test::RawTls::to(port_of("qkm-a"), *context);
  ASSERT_TRUE(open.connect());
  ASSERT_TRUE(open.write(request()));
  const std::string before = open.read_until("\r\n\r\n");
  ASSERT_TRUE(before.starts_with("HTTP/1.1 ")) << before;
  EXPECT_FALSE(before.starts_with("HTTP/1.1 403")) << before;

  ASSERT_TRUE(net().op().revoke(*identity->chain.front().names().element));
  net().expect_audit("qkm-a", "tls.connection", "connection closed: its certificate is revoked");
  std::string rest = open.read_all();
  static_cast<void>(open.write(request()));
  rest += open.read_all();
  EXPECT_FALSE(rest.contains("HTTP/1.1 200")) << "nothing is answered on it any more";

  // A new connection: what qkm-a knew of the certificate, for an hour, is forgotten.
  auto again = net::test::RawTls::to(port_of("qkm-a"), *context);
  ASSERT_TRUE(again.connect());
  ASSERT_TRUE(again.write(request()));
  EXPECT_TRUE(again.read_until("\r\n\r\n").starts_with("HTTP/1.1 403"));
}

TEST_F(RevocationPush, AnElementStaplesItsStatusToItsCertificate) {
  const app::ElementPlan* element = *net().network().element("qkm-a");
  const auto identity = net().identity_of("kms-a");
  const auto trust = net().shared_trust();
  TestNetwork::await("qkm-a to staple a status that holds", [&] {
    bool good = false;
    const net::StapleSink sink = [&](const crypto::Certificate& certificate, ByteView response) {
      const auto answer = crypto::verify_status_response(response, certificate, *trust->issuer_of(certificate), {}, SystemClock().now_ms());
      good = answer && answer->status == crypto::CertStatus::good;
    };
    const auto client = net::Client::create({.host = "127.0.0.1", .port = element->port, .expected = element->identity}, identity, trust, {}, sink);
    const net::Call call{.method = "GET", .path = "/km/3/status", .query = "", .content_type = "", .body = {}, .request_id = ""};
    return client->call(call, Deadline::after(std::chrono::seconds(5))).has_value() && good;
  });
}

TEST_F(RevocationPush, AnElementThatWasAwayHearsOfItWhenItIsBack) {
  const auto identity = net().enrol_spare("kms-other");
  const auto context = net::test::raw_context(TLS_client_method(), identity.get());
  const auto status = [&] {
    auto connection = net::test::RawTls::to(port_of("qkm-b"), *context);
    if (!connection.connect() || !connection.write(request())) return std::string();
    return connection.read_until("\r\n\r\n");
  };
  const std::string before = status();
  ASSERT_TRUE(before.starts_with("HTTP/1.1 ") && !before.starts_with("HTTP/1.1 403")) << before;
  net().running().stop_element("qkm-a", app::RunningNetwork::Ending::kill);
  ASSERT_TRUE(net().op().revoke(*identity->chain.front().names().element));
  TestNetwork::await("qkm-b to hear", [&] { return status().starts_with("HTTP/1.1 403"); });
  const auto waiting = [&] {
    const auto health = net().op().health("cas");
    const auto csp = health ? health->object("csp") : Result<Json>(fail(health.error()));
    const auto notices = csp ? csp->object("notices_waiting") : csp;
    return notices ? notices->integer("qkm-a").value_or(0) : -1;
  };
  EXPECT_EQ(waiting(), 2) << "qkm-a has not heard of the certificates of both branches";
  const auto started = net().running().start_element("qkm-a");
  ASSERT_TRUE(started) << started.error().message;
  TestNetwork::await("qkm-a to hear", [&] { return waiting() == 0; }, std::chrono::seconds(60));
}

POINT_TEST(RevocationPush, X_10, refuses, OthersThanCasAndMalformedNotices) {
  const std::string fingerprint(64, 'a');
  const Json body = Json::object({{"revoked", Json::array({fingerprint})}});
  for (const char* caller : {"kms-a", "qkm-b"}) {
    const auto answer = net().call_json(caller, Endpoint::x10_revoked, "qkm-a", body);
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->status, 403U) << caller;
  }
  for (const Json& malformed : {Json::object({{"revoked", Json::array({"aa"})}}), Json::object({{"revoke", Json::array()}}), Json::array()}) {
    const auto answer = net().call_json("cas", Endpoint::x10_revoked, "qkm-a", malformed);
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->status, 400U) << malformed.dump();
  }
  const auto good = net().call_json("cas", Endpoint::x10_revoked, "qkm-a", body);
  ASSERT_TRUE(good) << good.error().message;
  EXPECT_EQ(good->status, 200U);
}

}  // namespace
}  // namespace qanat::test
