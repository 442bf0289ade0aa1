// Mutual authentication at each reference point of the call: who is let in, and that everybody else is refused and on record.
#include <array>

#include "minted.hpp"
#include "net/server.hpp"
#include "point_test.hpp"
#include "test_network.hpp"
#include "unit/net/raw_tls.hpp"
#include "wire/key_schedule.hpp"

namespace qanat::test {
namespace {

using points::Endpoint;
using wire::Json;

constexpr UnixMs hour_ms = 3'600'000;
constexpr std::chrono::seconds answer_max{10};

/// One Ia row: a request across it that is answered, and who must not make it.
struct Row {
  std::string_view identity;
  Endpoint endpoint;
  const char* caller;
  const char* callee;
  unsigned status;         // of the answer to the right caller: the handler's own
  const char* wrong_kind;  // an element or terminal with good credentials of another kind
  const char* revoked;     // of the right kind, but revoked
  Bytes (*body)(TestNetwork&);
  const char* query = "";
};

Bytes no_body(TestNetwork& /*network*/) { return {}; }

Bytes application(TestNetwork& network) {
  TestTerminal& caller = network.terminal("A");
  const Number called((*network.network().terminal("C"))->number);
  const terminal::KeyWanted wanted{.role = wire::Role::caller,
                                   .sid_wk = network.rng().id<SidWk>(),
                                   .sid_call = wire::make_sid_call(caller.number(), called, network.rng().bytes(16)),
                                   .caller = caller.number(),
                                   .called = called};
  return caller.application(wanted).value().octets();
}

Bytes registration(TestNetwork& network) { return to_bytes(Json::object({{"uid", "A"}, {"number", (*network.network().terminal("A"))->number}}).dump()); }

Bytes status_request(TestNetwork& network) {
  const crypto::Certificate cert = network.identity_of("iam")->chain.front();
  return crypto::make_status_request(cert, *network.trust().issuer_of(cert), network.rng().bytes(32)).value();
}

Bytes unasked_confirmation(TestNetwork& network) {
  const Bytes zeros(network.suite().digest);
  return wire::frame(network.suite(), 1, wire::KmsConfirm{.sid_wk = network.rng().id<SidWk>(), .h_accept = zeros, .kc_a = zeros}).value().octets;
}

Bytes subscriber(TestNetwork& /*network*/) { return to_bytes(Json::object({{"uid", "A"}}).dump()); }
Bytes own_record(TestNetwork& /*network*/) { return to_bytes(Json::object({{"op", "self"}}).dump()); }
Bytes no_request(TestNetwork& /*network*/) { return to_bytes("none"); }
Bytes route(TestNetwork& /*network*/) { return to_bytes(Json::object({{"to", "qkm-b"}}).dump()); }

constexpr std::array rows{
    Row{"Ia-1", Endpoint::ma1_account, "A", "cmsp", 200, "kms-a", "B", no_body},
    Row{"Ia-2", Endpoint::km1_application, "A", "kms-a", 200, "qkm-a", "B", application},
    Row{"Ia-3", Endpoint::cq2_status, "A", "cas", 200, "kms-a", "B", status_request},
    Row{"Ia-4", Endpoint::id2_record, "A", "iam", 200, "kms-a", "B", own_record},
    Row{"Ia-6", Endpoint::ma2_register, "kms-a", "cmsp", 200, "A", "kms-spare", registration},
    Row{"Ia-7", Endpoint::cq1_status, "kms-a", "cas", 200, "operator", "kms-spare", status_request},
    Row{"Ia-8", Endpoint::id1_subscriber, "kms-a", "iam", 200, "qkm-a", "kms-spare", subscriber},
    Row{"Ia-9", Endpoint::km2_confirm, "kms-a", "kms-b", 404, "A", "kms-spare", unasked_confirmation},
    Row{"Ia-10", Endpoint::ce3_enrol, "ccs", "cas", 400, "kms-a", "ccs-spare", no_request},
    Row{"Ia-11", Endpoint::x8_nodes, "cmsp", "qkdnc", 200, "kms-a", "cmsp-spare", no_body},
    Row{"Ia-12", Endpoint::km3_status, "kms-a", "qkm-a", 200, "qkd-ar-alice", "kms-spare", no_body},
    Row{"Ia-13", Endpoint::cq3_status, "qkm-a", "cas", 200, "kms-a", "qkm-spare", status_request},
    Row{"Ia-14", Endpoint::id3_record, "qkm-a", "iam", 200, "kms-a", "qkm-spare", own_record},
    Row{"Ia-15", Endpoint::kq1_control, "qkd-ar-alice", "qkm-a", 200, "kms-a", "qkd-spare", no_body, "link=a-r&have=0"},
    Row{"Ia-16", Endpoint::kq2_route, "qkm-a", "qkdnc", 200, "qkd-ar-alice", "qkm-spare", route},
};

const Row& row_of(std::string_view identity) {
  const Row* const found = std::ranges::find(rows, identity, &Row::identity);
  EXPECT_NE(found, rows.end());
  EXPECT_EQ(points::row(found->endpoint).identity, identity) << "the table of endpoints has it at another row";
  return *found;
}

/// What the callee must have put on record about a refusal.
struct Record {
  std::string action;
  std::string reason;
  std::string subject;
};

class IaOverTheWire : public SharedNetwork {
 protected:
  static void SetUpTestSuite() {
    options_.spares = {{.domain = "a", .kind = Kind::kms, .name = "kms-spare"},
                       {.domain = "a", .kind = Kind::qkm, .name = "qkm-spare"},
                       {.domain = "a", .kind = Kind::qkd, .name = "qkd-spare"},
                       {.domain = "core", .kind = Kind::cmsp, .name = "cmsp-spare"},
                       {.domain = "core", .kind = Kind::ccs, .name = "ccs-spare"}};
    options_.status_fresh_ms = 0;  // asked each time, so that a revocation holds at once
    SharedNetwork::SetUpTestSuite();
    if (!net().ok()) return;
    for (const Identity& spare : options_.spares) {
      net().enrol_spare(spare.name);
      ASSERT_TRUE(net().op().revoke(spare));
    }
    for (const char* uid : {"A", "B", "C"}) net().enrol(uid);
    ASSERT_TRUE(net().op().revoke({.domain = "b", .kind = Kind::app1, .name = "B"}));
  }

  static Result<net::Response> send(const Row& row, net::Client& client) {
    const points::EndpointRow& line = points::row(row.endpoint);
    const Bytes body = row.body(net());
    return client.call({.method = std::string(line.method),
                        .path = std::string(line.path),
                        .query = row.query,
                        .content_type = std::string(line.request_type),
                        .body = body,
                        .request_id = to_hex(net().rng().bytes(8))},
                       Deadline::after(answer_max));
  }
  static Result<net::Response> send_as(const Row& row, std::shared_ptr<const net::TlsIdentity> identity) {
    return send(row, *net().client(row.callee, std::move(identity)));
  }
  static std::uint16_t port_of(const char* name) { return (*net().network().element(name))->port; }
  static Identity identity_in_plan(const char* name) { return (*net().network().element(name))->identity; }
  static crypto::SubjectNames names_of(const char* name) { return net().identity_of(name)->chain.front().names(); }

  static std::size_t count(const Row& row, const Record& record) {
    return static_cast<std::size_t>(std::ranges::count_if(net().audit(row.callee, record.action, record.reason), [&](const Json& line) {
      return line.text("subject").value_or("").starts_with(record.subject) && line.text("outcome").value_or("") == "refused";
    }));
  }
  /// `attempt` is refused by the callee, which has it on record, once, with the reason.
  template <class Attempt>
  static void expect_on_record(const Row& row, const Record& record, Attempt attempt) {
    SCOPED_TRACE(record.action + ": " + record.reason);
    const std::size_t before = count(row, record);
    attempt();
    TestNetwork::await(
        "an audit record of " + std::string(row.callee), [&] { return count(row, record) == before + 1; }, std::chrono::seconds(5));
  }
  /// Refused in the handshake: no answer at all.
  static void expect_no_connection(const Row& row, const Record& record, const std::shared_ptr<const net::TlsIdentity>& identity) {
    expect_on_record(row, record, [&] {
      const auto answer = send_as(row, identity);
      EXPECT_FALSE(answer) << answer->status;
    });
  }
  static void expect_status(const Row& row, const Record& record, unsigned status, const std::shared_ptr<const net::TlsIdentity>& identity) {
    expect_on_record(row, record, [&] {
      const auto answer = send_as(row, identity);
      ASSERT_TRUE(answer) << answer.error().message;
      EXPECT_EQ(answer->status, status) << as_text(answer->body);
    });
  }

  static void accepts(std::string_view id) {
    const Row& row = row_of(id);
    const auto answer = send_as(row, net().identity_of(row.caller));
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->status, row.status) << as_text(answer->body);
  }

  static void refuses(std::string_view id) {
    const Row& row = row_of(id);
    refuses_nobody(row);
    refuses_good_credentials_of_others(row);
    refuses_bad_certificates(row);
    refuses_weak_handshakes(row);
    caller_refuses_other_servers(row);
    accepts(id);  // and none of it has harmed the right peer
  }

  static void refuses_nobody(const Row& row) {
    const bool enrols = std::ranges::any_of(
        points::all_endpoints(), [&](const points::EndpointRow& line) { return line.anonymous && line.callees.has(identity_in_plan(row.callee).kind); });
    if (enrols) {  // its server lets callers without certificate in as far as the enrolment
      expect_status(row, {std::string(points::row(row.endpoint).point), "needs a client certificate", "127.0.0.1:"}, 401, nullptr);
    } else {
      expect_no_connection(row, {"tls.connection", "peer did not return a certificate", "127.0.0.1:"}, nullptr);
    }
  }

  static void refuses_good_credentials_of_others(const Row& row) {
    const std::string point(points::row(row.endpoint).point);
    const auto wrong = net().identity_of(row.wrong_kind);
    expect_status(row, {point, "may not call " + point, wrong->chain.front().names().element->uri()}, 403, wrong);
    const auto revoked = net().identity_of(row.revoked);
    expect_status(row, {point, "is revoked", revoked->chain.front().names().element->uri()}, 403, revoked);
  }

  static void refuses_bad_certificates(const Row& row) {
    const crypto::SubjectNames names = names_of(row.caller);
    const UnixMs now = SystemClock().now_ms();
    const Mint root = Mint::with_offline_root(net());
    const std::string uri = names.element->uri();
    const auto expired = root.leaf(names, now - hour_ms / 2, now - 1000);
    EXPECT_TRUE(net().trust().verify(expired->chain.front(), now - 2000)) << "time alone is wrong with it";
    expect_no_connection(row, {"tls.connection", "expired", uri}, expired);
    const auto early = root.leaf(names, now + hour_ms, now + 2 * hour_ms);
    expect_no_connection(row, {"tls.connection", "not valid before", uri}, early);
    const auto foreign = Mint::with_foreign_root(net()).leaf(names, now - 1000, now + hour_ms);
    expect_no_connection(row, {"tls.connection", "not issued under a trusted root", uri}, foreign);
  }

  static void refuses_weak_handshakes(const Row& row) {
    struct Weak {
      net::test::RawPolicy policy;
      const char* reason;
    };
    const auto identity = net().identity_of(row.caller);
    for (const Weak& weak : {Weak{{.groups = "X25519"}, "no suitable key share"},
                             Weak{{.signature_algorithms = "ECDSA+SHA384", .version = TLS1_2_VERSION}, "unsupported protocol"}}) {
      expect_on_record(row, {"tls.connection", weak.reason, "127.0.0.1:"}, [&] {
        const auto context = net::test::raw_context(TLS_client_method(), identity.get(), weak.policy);
        EXPECT_FALSE(net::test::RawTls::to(port_of(row.callee), *context).connect());
      });
    }
  }

  /// The other direction: a member of the network that is not the callee, and one that has the callee's names from another root.
  static void caller_refuses_other_servers(const Row& row) {
    const auto call_at = [&](std::uint16_t port) {
      const auto client = net::Client::create({.host = "127.0.0.1", .port = port, .expected = identity_in_plan(row.callee)}, net().identity_of(row.caller),
                                              net().shared_trust(), {});
      return send(row, *client);
    };
    const auto at_ccs = call_at(port_of("ccs"));
    ASSERT_FALSE(at_ccs);
    EXPECT_EQ(at_ccs.error().code, ErrorCode::unauthenticated) << at_ccs.error().message;

    const UnixMs now = SystemClock().now_ms();
    const auto impostor = Mint::with_foreign_root(net()).leaf(names_of(row.callee), now - 1000, now + hour_ms);
    const auto server = net::Server::start({}, *impostor, net().shared_trust(), {}, {}, {});
    ASSERT_TRUE(server) << server.error().message;
    const auto at_impostor = call_at((*server)->port());
    ASSERT_FALSE(at_impostor);
    EXPECT_EQ(at_impostor.error().code, ErrorCode::unauthenticated) << at_impostor.error().message;
  }
};

POINT_TEST(IaOverTheWire, Ia_1, accepts, TheRightPeer) { accepts("Ia-1"); }
POINT_TEST(IaOverTheWire, Ia_1, refuses, EveryOtherPeer) { refuses("Ia-1"); }
POINT_TEST(IaOverTheWire, Ia_2, accepts, TheRightPeer) { accepts("Ia-2"); }
POINT_TEST(IaOverTheWire, Ia_2, refuses, EveryOtherPeer) { refuses("Ia-2"); }
POINT_TEST(IaOverTheWire, Ia_3, accepts, TheRightPeer) { accepts("Ia-3"); }
POINT_TEST(IaOverTheWire, Ia_3, refuses, EveryOtherPeer) { refuses("Ia-3"); }
POINT_TEST(IaOverTheWire, Ia_4, accepts, TheRightPeer) { accepts("Ia-4"); }
POINT_TEST(IaOverTheWire, Ia_4, refuses, EveryOtherPeer) { refuses("Ia-4"); }
POINT_TEST(IaOverTheWire, Ia_6, accepts, TheRightPeer) { accepts("Ia-6"); }
POINT_TEST(IaOverTheWire, Ia_6, refuses, EveryOtherPeer) { refuses("Ia-6"); }
POINT_TEST(IaOverTheWire, Ia_7, accepts, TheRightPeer) { accepts("Ia-7"); }
POINT_TEST(IaOverTheWire, Ia_7, refuses, EveryOtherPeer) { refuses("Ia-7"); }
POINT_TEST(IaOverTheWire, Ia_8, accepts, TheRightPeer) { accepts("Ia-8"); }
POINT_TEST(IaOverTheWire, Ia_8, refuses, EveryOtherPeer) { refuses("Ia-8"); }
POINT_TEST(IaOverTheWire, Ia_9, accepts, TheRightPeer) { accepts("Ia-9"); }
POINT_TEST(IaOverTheWire, Ia_9, refuses, EveryOtherPeer) { refuses("Ia-9"); }
POINT_TEST(IaOverTheWire, Ia_10, accepts, TheRightPeer) { accepts("Ia-10"); }
POINT_TEST(IaOverTheWire, Ia_10, refuses, EveryOtherPeer) { refuses("Ia-10"); }
POINT_TEST(IaOverTheWire, Ia_11, accepts, TheRightPeer) {
  accepts("Ia-11");
  // And the CMSP's own process asks across it: its monitor sees the quantum network.
  TestNetwork::await("the quantum network as the CMSP sees it", [] {
    const auto health = net().op().health("cmsp");
    const auto networks = health ? health->array("quantum_networks") : Result<std::vector<Json>>(fail(health.error()));
    return networks && networks->size() == 1 && networks->front().integer("nodes").value_or(0) == 3;
  });
}
POINT_TEST(IaOverTheWire, Ia_11, refuses, EveryOtherPeer) { refuses("Ia-11"); }
POINT_TEST(IaOverTheWire, Ia_12, accepts, TheRightPeer) { accepts("Ia-12"); }
POINT_TEST(IaOverTheWire, Ia_12, refuses, EveryOtherPeer) { refuses("Ia-12"); }
POINT_TEST(IaOverTheWire, Ia_13, accepts, TheRightPeer) { accepts("Ia-13"); }
POINT_TEST(IaOverTheWire, Ia_13, refuses, EveryOtherPeer) { refuses("Ia-13"); }
POINT_TEST(IaOverTheWire, Ia_14, accepts, TheRightPeer) { accepts("Ia-14"); }
POINT_TEST(IaOverTheWire, Ia_14, refuses, EveryOtherPeer) { refuses("Ia-14"); }
POINT_TEST(IaOverTheWire, Ia_15, accepts, TheRightPeer) { accepts("Ia-15"); }
POINT_TEST(IaOverTheWire, Ia_15, refuses, EveryOtherPeer) { refuses("Ia-15"); }
POINT_TEST(IaOverTheWire, Ia_16, accepts, TheRightPeer) { accepts("Ia-16"); }
POINT_TEST(IaOverTheWire, Ia_16, refuses, EveryOtherPeer) { refuses("Ia-16"); }

}  // namespace
}  // namespace qanat::test
