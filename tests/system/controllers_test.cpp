// Two controllers of the relay network: one leads, the other takes over, and the network above sees both as one.
#include "point_test.hpp"
#include "quantum/qkdnc/sdn_view.hpp"
#include "test_network.hpp"

namespace qanat::test {
namespace {

using points::Endpoint;
using wire::Json;

class TwoControllers : public SharedNetwork {
 protected:
  static void SetUpTestSuite() {
    options_.controllers = 2;
    options_.spares = {{.domain = "core", .kind = Kind::cmsp, .name = "cmsp-spare"}};
    options_.status_fresh_ms = 200;
    SharedNetwork::SetUpTestSuite();
    if (!net().ok()) return;
    for (const char* uid : {"A", "B"}) net().enrol(uid);
    net().await_quantum_keys();
  }
  static unsigned status_of(const Result<net::Response>& response) {
    EXPECT_TRUE(response) << (response ? "" : response.error().message);
    return response ? response->status : 0;
  }
  static Json parsed(const Result<net::Response>& response) {
    EXPECT_EQ(status_of(response) / 100, 2U);
    const auto json = response ? Json::parse(response->body) : Result<Json>(Json());
    return json ? *json : Json();
  }
  static Result<net::Response> route(const std::string& controller) {
    return net().call_json("qkm-a", Endpoint::kq2_route, controller, Json::object({{"to", "qkm-b"}}));
  }
  static bool gives_routes(const std::string& controller) {
    const auto answer = route(controller);
    return answer && answer->status == 200;
  }
  static Json claim(const std::string& name, std::uint64_t term, bool leads) { return Json::object({{"name", name}, {"term", term}, {"leads", leads}}); }
};

POINT_TEST(TwoControllers, X_7, accepts, TheControllersAgreeOnOneLeader) {
  TestNetwork::await("a leader", [] { return gives_routes("qkdnc") || gives_routes("qkdnc-2"); });
  const Json one = parsed(net().call_json("qkdnc-2", Endpoint::x7_lead, "qkdnc", claim("qkdnc-2", 0, false)));
  const Json two = parsed(net().call_json("qkdnc", Endpoint::x7_lead, "qkdnc-2", claim("qkdnc", 0, false)));
  EXPECT_NE(one.boolean("leads").value(), two.boolean("leads").value());
  EXPECT_GE(std::max(one.integer("term").value(), two.integer("term").value()), 1);
}

POINT_TEST(TwoControllers, X_7, refuses, ClaimsInAnothersNameAndOtherKinds) {
  EXPECT_EQ(status_of(net().call_json("qkdnc-2", Endpoint::x7_lead, "qkdnc", claim("qkdnc", 99, true))), 403U);
  net().expect_audit("qkdnc", "x-7.lead", "the caller is qkdnc-2");
  EXPECT_EQ(status_of(net().call_json("qkdnc-2", Endpoint::x7_lead, "qkdnc", Json::object({{"name", "qkdnc-2"}}))), 400U);
  EXPECT_EQ(status_of(net().call_json("qkm-a", Endpoint::x7_lead, "qkdnc", claim("qkm-a", 99, true))), 403U);
}

POINT_TEST(TwoControllers, X_8, accepts, TheOperatorSeesEveryNodeByTheStandardsNames) {
  TestNetwork::await("all QKMs at the controller", [] {
    const auto answer = net().call("operator", Endpoint::x8_nodes, "qkdnc", {});
    const auto view = answer ? Json::parse(answer->body) : Result<Json>(Json());
    const auto nodes = view ? view->array("etsi-qkd-sdn-node:qkd_node") : Result<std::vector<Json>>(std::vector<Json>());
    return nodes && nodes->size() == 3;
  });
  const auto one = net().call("operator", Endpoint::x8_nodes, "qkdnc", {}, "qkdn_id=" + qkdnc::uuid_of("qkdn", "qkm-r"));
  const Json node = *parsed(one).object("etsi-qkd-sdn-node:qkd_node");
  EXPECT_EQ(node.text("qkdn_location_id").value(), "qkm-r");
  EXPECT_EQ(node.object("qkd_links")->array("qkd_link")->size(), 2U);
}

POINT_TEST(TwoControllers, X_8, refuses, KeyManagersAndUnknownNodes) {
  EXPECT_EQ(status_of(net().call("qkm-a", Endpoint::x8_nodes, "qkdnc", {})), 403U);
  net().expect_audit("qkdnc", "X-8", "");
  EXPECT_EQ(status_of(net().call("operator", Endpoint::x8_nodes, "qkdnc", {}, "qkdn_id=nobody")), 404U);
}

// Last in the file: it leaves one controller dead.
POINT_TEST(TwoControllers, Kq_2, accepts, WhenTheLeaderIsKilledTheOtherGivesTheRoutesAndCallsGoOn) {
  TestNetwork::await("a leader", [] { return gives_routes("qkdnc") || gives_routes("qkdnc-2"); });
  const std::string leader = gives_routes("qkdnc") ? "qkdnc" : "qkdnc-2";
  const std::string other = leader == "qkdnc" ? "qkdnc-2" : "qkdnc";
  const auto refused = route(other);
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 503U) << as_text(refused->body);
  net().running().stop_element(leader, app::RunningNetwork::Ending::kill);
  TestNetwork::await("the other controller leads", [&] { return gives_routes(other); });
  const Json answer = parsed(route(other));
  const auto routes = answer.array("routes");
  ASSERT_TRUE(routes);
  EXPECT_EQ(routes->front().texts("route").value(), (std::vector<std::string>{"qkm-r", "qkm-b"}));
}

}  // namespace
}  // namespace qanat::test
