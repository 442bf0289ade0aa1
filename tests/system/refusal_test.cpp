// Applications for a working key that must not be served, and octets that are no application at all.
#include <random>

#include "refusals.hpp"
#include "unit/net/raw_tls.hpp"

namespace qanat::test {
namespace {

using points::Endpoint;
using wire::Json;

class RefusedApplications : public Refusals {
 protected:
  static void SetUpTestSuite() {
    options_.status_fresh_ms = 0;  // asked each time, so that a revocation holds at once
    SharedNetwork::SetUpTestSuite();
    if (!net().ok()) return;
    for (const char* uid : {"A", "B", "C"}) net().enrol(uid);
  }
};

TEST_F(RefusedApplications, OfASubscriberThatIsNotEnrolled) {
  const Bytes octets = changed("A", number_of("B"), [](wire::KeyRequest& message) { message.uid = Uid("nobody"); });
  expect_refused([&] { return net().terminal("A").send(Endpoint::km1_application, octets); }, ErrorCode::denied, "no terminal nobody is enrolled at kms-a");
}

TEST_F(RefusedApplications, OfATerminalWithAnotherTerminalsCertificate) {
  // B shows its own certificate and sends what A has signed …
  const auto answer = net().call("B", Endpoint::km1_application, "kms-a", application("A", number_of("B")).octets());
  ASSERT_TRUE(answer) << answer.error().message;
  EXPECT_EQ(answer->status, 403U);
  net().expect_audit("kms-a", "km-1.application", "the connection is not that of terminal A");
  // … and A claims to be C.
  const Bytes octets = changed("A", number_of("B"), [](wire::KeyRequest& message) { message.uid = Uid("C"); });
  expect_refused([&] { return net().terminal("A").send(Endpoint::km1_application, octets); }, ErrorCode::denied, "the connection is not that of terminal C");
}

TEST_F(RefusedApplications, WithANumberThatIsNotTheCallers) {
  const Bytes octets = changed("A", number_of("B"), [](wire::KeyRequest& message) { message.num_call = number_of("C"); });
  expect_refused([&] { return net().terminal("A").send(Endpoint::km1_application, octets); }, ErrorCode::denied, "is not the number of A");
}

TEST_F(RefusedApplications, ForACalleeInNoDomain) {
  expect_refused([&] { return apply_once("A", Number("+8655990000009")); }, ErrorCode::not_found, "is in no domain");
  net().expect_audit("cmsp", "ma-2.locate", "+8655990000009 is in no domain");
}

TEST_F(RefusedApplications, ForACalleeWithoutTheServiceUntilItIsOpenAgain) {
  const app::TerminalPlan& b = **net().network().terminal("B");
  ASSERT_TRUE(net().op().set_service(b, "closed"));
  expect_refused([&] { return apply_once("A", number_of("B")); }, ErrorCode::denied, "callee +8655120000002 has not opened the service");
  net().expect_audit("cmsp", "ma-2.locate", "has not opened the service");
  expect_refused([&] { return apply_once("B", number_of("A")); }, ErrorCode::denied, "caller +8655120000002 has not opened the service", "kms-b");
  ASSERT_TRUE(net().op().set_service(b, "open"));
  const auto pair = net().apply("A", "B");
  EXPECT_TRUE(pair.agree()) << pair.reasons();
}

TEST_F(RefusedApplications, OfASuspendedSubscriberUntilItIsResumed) {
  ASSERT_TRUE(net().op().set_subscriber("B", "suspend"));
  expect_refused([&] { return apply_once("B", number_of("A")); }, ErrorCode::denied, "suspended", "kms-b");
  net().expect_audit("iam", "pm-1.token", "suspended");
  ASSERT_TRUE(net().op().set_subscriber("B", "resume"));
  const auto pair = net().apply("B", "A");
  EXPECT_TRUE(pair.agree()) << pair.reasons();
}

TEST_F(RefusedApplications, FromEveryOtherKindOfPeer) {
  const Bytes octets = application("A", number_of("B")).octets();
  for (const char* caller : {"kms-b", "qkm-a", "qkd-ar-alice", "qkdnc", "iam", "cmsp", "ccs", "operator"}) {
    const auto answer = net().call(caller, Endpoint::km1_application, "kms-a", octets);
    ASSERT_TRUE(answer) << caller << ": " << answer.error().message;
    EXPECT_EQ(answer->status, 403U) << caller;
    const std::string uri = net().identity_of(caller)->chain.front().names().element->uri();
    TestNetwork::await(std::string("a record that names ") + caller, [&] {
      return std::ranges::any_of(net().audit("kms-a", "Km-1", "may not call Km-1"), [&](const Json& line) { return line.text("subject").value_or("") == uri; });
    });
  }
  EXPECT_TRUE(net().terminal("A").send(Endpoint::km1_application, octets)) << "the same octets from their owner are served";
}

TEST_F(RefusedApplications, ThatWereMadeAndAcknowledgedBeforeAlsoAfterARestart) {
  TestTerminal& a = net().terminal("A");
  const terminal::KeyApplication application = this->application("A", number_of("B"));
  const Bytes octets = application.octets();
  const auto served = a.send(Endpoint::km1_application, octets);
  ASSERT_TRUE(served) << served.error().message;
  // Until the answer is acknowledged it may have been lost: the same application gets the same octets, and no second key.
  const auto again = a.send(Endpoint::km1_application, octets);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(*again, *served);
  net().expect_audit("kms-a", "km-1.repeated", "it gets the answer that it got");
  const auto acknowledgement = application.acknowledgement(crypto::digest(net().suite().hash, *served), true, net().rng());
  ASSERT_TRUE(acknowledgement && a.send(Endpoint::km1_ack, *acknowledgement));
  expect_refused([&] { return net().terminal("A").send(Endpoint::km1_application, octets); }, ErrorCode::conflict, "made before (replay)");

  net().running().stop_element("kms-a", app::RunningNetwork::Ending::kill);
  const auto started = net().running().start_element("kms-a");
  ASSERT_TRUE(started) << started.error().message;
  expect_refused([&] { return net().terminal("A").send(Endpoint::km1_application, octets); }, ErrorCode::conflict, "made before (replay)");
}

TEST_F(RefusedApplications, ADeliveryWithAnyOctetAlteredIsRefusedByTheTerminal) {
  TestTerminal& a = net().terminal("A");
  const terminal::KeyApplication application = this->application("A", number_of("B"));
  const auto kms = a.kms();
  ASSERT_TRUE(kms) << kms.error().message;
  auto answer = a.send(Endpoint::km1_application, application.octets());
  ASSERT_TRUE(answer) << answer.error().message;
  const auto opens = [&](ByteView octets) {
    const auto delivery = application.authenticate(octets, **kms);
    return delivery && application.open(*delivery, **kms, a.node().clock().now_ms());
  };
  Bytes octets = *answer;
  ASSERT_TRUE(opens(octets));
  ASSERT_GT(octets.size(), 3000U);
  std::vector<std::size_t> opened;
  for (std::size_t i = 0; i < octets.size(); ++i) {
    const auto flipped = static_cast<std::uint8_t>(1U << (i % 8));
    octets[i] ^= flipped;
    if (opens(octets)) opened.push_back(i);
    octets[i] ^= flipped;
  }
  EXPECT_TRUE(opened.empty()) << opened.size() << " alterations passed, the first at octet " << opened.front();
  EXPECT_FALSE(opens(ByteView(octets).first(octets.size() - 1)));
  octets.push_back(0);
  EXPECT_FALSE(opens(octets));
}

TEST_F(RefusedApplications, ARequestWithAnOctetAlteredIsRefusedByTheKms) {
  constexpr std::size_t samples = 64;
  TestTerminal& a = net().terminal("A");
  Bytes octets = application("A", number_of("B")).octets();
  for (std::size_t sample = 0; sample < samples; ++sample) {
    const std::size_t at = sample * (octets.size() - 1) / (samples - 1);  // from the first octet to the last
    octets[at] ^= 0x20;
    const auto answer = a.send(Endpoint::km1_application, octets);
    ASSERT_FALSE(answer) << "altered at octet " << at;
    EXPECT_TRUE(answer.error().code == ErrorCode::denied || answer.error().code == ErrorCode::invalid_argument) << at << ": " << answer.error().message;
    octets[at] ^= 0x20;
  }
  net().expect_audit("kms-a", "km-1.application", "KeyRequest");
  EXPECT_TRUE(a.send(Endpoint::km1_application, octets)) << "the altered ones have not used up the right one";
}

TEST_F(RefusedApplications, OfATerminalWhoseCertificateIsRevoked) {
  TestTerminal& c = net().terminal("C");
  const auto before = apply_once("C", number_of("A"));
  ASSERT_TRUE(before) << before.error().message;
  ASSERT_TRUE(net().op().revoke(c.node().identity()));
  // On the connection that was good a moment ago the application itself is checked (step 5), until the notice of the revocation closes it …
  TestNetwork::await("a refusal that names the revocation", [&] {
    const auto refused = apply_once("C", number_of("A"));
    EXPECT_FALSE(refused) << "was served";
    return !refused && refused.error().message.contains("is revoked");
  });
  // … and a new connection does not come as far as that; one on which the notice falls is closed.
  TestNetwork::await("a refusal of the connection", [&] {
    const auto refused = net().call("C", Endpoint::km1_application, "kms-a", application("C", number_of("A")).octets());
    EXPECT_TRUE(!refused || refused->status == 403U);
    return refused.has_value();
  });
  net().expect_audit("kms-a", "Km-1", "is revoked");
}

class RefusedOctets : public Refusals {
 protected:
  static void SetUpTestSuite() {
    SharedNetwork::SetUpTestSuite();
    if (!net().ok()) return;
    for (const char* uid : {"A", "B"}) net().enrol(uid);
  }

  /// A's request with another content type or body than the product would send.
  static Result<net::Response> post(ByteView body, std::string_view content_type = points::type_qfc2) {
    const points::EndpointRow& line = points::row(Endpoint::km1_application);
    return net()
        .client("kms-a", net().identity_of("A"))
        ->call({.method = std::string(line.method),
                .path = std::string(line.path),
                .query = "",
                .content_type = std::string(content_type),
                .body = body,
                .request_id = to_hex(net().rng().bytes(8))},
               Deadline::after(std::chrono::seconds(10)));
  }
  static void expect_answer(const Result<net::Response>& answer, unsigned status, const std::string& reason) {
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->status, status);
    EXPECT_NE(as_text(answer->body).find(reason), std::string_view::npos) << as_text(answer->body);
  }
  static void expect_still_serving() {
    EXPECT_TRUE(net().running().lives("kms-a"));
    const auto pair = net().apply("A", "B");
    EXPECT_TRUE(pair.agree()) << pair.reasons();
  }
};

TEST_F(RefusedOctets, OversizedBodies) {
  const std::size_t limit = points::row(Endpoint::km1_application).body_max;
  expect_answer(post(Bytes(limit + 1)), 413, "Km-1 takes at most " + std::to_string(limit) + " octets");
  net().expect_audit("kms-a", "Km-1", "takes at most");
  expect_answer(post(Bytes(8 * 1024 * 1024)), 413, "takes at most");
  expect_answer(post(Bytes(limit)), 400, "QFC2");  // as large as it may be: read, and then found to be no message
}

TEST_F(RefusedOctets, WrongContentTypes) {
  const Bytes octets = application("A", number_of("B")).octets();
  for (const std::string_view type : {points::type_json, points::type_octets, std::string_view("application/qfc2x"), std::string_view("text/plain")}) {
    expect_answer(post(octets, type), 415, "Km-1 takes application/qfc2");
  }
  net().expect_audit("kms-a", "Km-1", "takes application/qfc2");
}

TEST_F(RefusedOctets, MalformedBodiesWithWhatAndWhere) {
  const Bytes good = application("A", number_of("B")).octets();
  const auto with = [&](std::size_t at, std::uint8_t value) {
    Bytes out = good;
    out[at] = value;
    return out;
  };
  const Bytes ack =
      wire::sign_message(net().suite(), 1,
                         wire::DeliverAck{.sid_wk = net().rng().id<SidWk>(), .uid = Uid("A"), .h_deliver = Bytes(net().suite().digest), .ok = true},
                         net().terminal("A").applicant().signer.signer, net().terminal("A").applicant().signer.fps, net().rng())
          .value()
          .octets;
  Bytes longer = good;
  longer.push_back(0);
  struct Case {
    Bytes body;
    const char* reason;
  };
  for (const Case& one : {Case{{}, "header"}, Case{to_bytes("QFC"), "header"}, Case{with(0, 'X'), "magic"}, Case{with(4, 9), "version"},
                          Case{to_bytes(ByteView(good).first(good.size() / 2)), "octets"}, Case{longer, "octets"}, Case{ack, "DeliverAck"}}) {
    expect_answer(post(one.body), 400, one.reason);
    net().expect_audit("kms-a", "km-1.application", one.reason);
  }
  expect_still_serving();
}

TEST_F(RefusedOctets, RandomMutationsOfARequestNeverHarmTheKms) {
  constexpr int mutations = 200;
  const Bytes good = application("A", number_of("B")).octets();
  std::mt19937 random(20240601);  // the same mutations each time
  const auto below = [&](std::size_t bound) { return std::uniform_int_distribution<std::size_t>(0, bound - 1)(random); };
  TestTerminal& a = net().terminal("A");
  for (int i = 0; i < mutations; ++i) {
    Bytes octets = good;
    const std::size_t at = below(octets.size());
    const auto here = octets.begin() + static_cast<std::ptrdiff_t>(at);
    switch (below(5)) {
      case 0:
        octets[at] = static_cast<std::uint8_t>(octets[at] + 1 + below(255));
        break;
      case 1:
        octets.resize(at);
        break;
      case 2:
        octets.insert(here, 1 + below(300), static_cast<std::uint8_t>(below(256)));
        break;
      case 3:
        octets.erase(here, here + static_cast<std::ptrdiff_t>(1 + below(octets.size() - at)));
        break;
      default:  // a length field in the body's fixed part, or whatever else is there, becomes as large as it can
        octets[at % 200] = static_cast<std::uint8_t>(octets[at % 200] ^ 0xFF);
        break;
    }
    const auto answer = a.send(Endpoint::km1_application, octets);
    ASSERT_FALSE(answer) << "mutation " << i << " was served";
    const ErrorCode code = answer.error().code;
    EXPECT_TRUE(code == ErrorCode::denied || code == ErrorCode::invalid_argument) << "mutation " << i << ": " << answer.error().message;
  }
  expect_still_serving();
}

TEST_F(RefusedOctets, ClientsThatAreSlowAreCutOffWhileOthersAreServed) {
  using std::chrono::steady_clock;
  const auto identity = net().identity_of("A");
  const auto context = net::test::raw_context(TLS_client_method(), identity.get());
  const std::uint16_t port = (*net().network().element("kms-a"))->port;
  auto slow_head = net::test::RawTls::to(port, *context);
  auto slow_body = net::test::RawTls::to(port, *context);
  ASSERT_TRUE(slow_head.connect());
  ASSERT_TRUE(slow_body.connect());
  const auto started = steady_clock::now();
  ASSERT_TRUE(slow_head.write("POST /km/1/application HTTP/1.1\r\nHost: kms-a\r\nContent-"));
  ASSERT_TRUE(slow_body.write("POST /km/1/application HTTP/1.1\r\nHost: kms-a\r\nContent-Type: application/qfc2\r\nContent-Length: 4000\r\n\r\nQFC2"));
  expect_still_serving();
  EXPECT_LT(steady_clock::now() - started, std::chrono::seconds(4)) << "the others had to wait for the slow ones";

  EXPECT_NE(slow_head.read_all().find("408"), std::string::npos);
  EXPECT_NE(slow_body.read_all().find("408"), std::string::npos);
  const auto took = steady_clock::now() - started;
  EXPECT_GE(took, std::chrono::seconds(4)) << "cut off before its time";
  EXPECT_LT(took, std::chrono::seconds(8)) << "slow_client_ms is 5000";
  net().expect_audit("kms-a", "tls.connection", "head took too long");
  net().expect_audit("kms-a", "Km-1", "body took too long");
}

}  // namespace
}  // namespace qanat::test
