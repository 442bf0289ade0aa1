// Connections of the KMSs that are chained, and required to be: under a quantum key between the domains, under the site key to the QKM.
#include <fstream>

#include "point_test.hpp"
#include "refusals.hpp"
#include "test_network.hpp"

namespace qanat::points {
namespace {

using test::SharedNetwork;
using test::TestNetwork;
using wire::Json;

class ChainedConnections : public SharedNetwork {
 protected:
  static void SetUpTestSuite() {
    SharedNetwork::SetUpTestSuite();
    if (!net().ok()) return;
    net().enrol("A");
    net().enrol("B");
    net().await_quantum_keys();  // its client chains nothing, and is answered until then
    for (const char* qkm : {"qkm-a", "qkm-b"}) restart_with(qkm, "[qkm]\n", "km3_chained_alone = true\n");
    for (const char* kms : {"kms-a", "kms-b"}) restart_with(kms, "[kms]\n", "km2_chain = \"required\"\nkm3_chain = \"required\"\n");
    TestNetwork::await("a call over chained connections", [] { return net().apply("A", "B").agree(); }, std::chrono::seconds(30));
  }
  static void restart_with(const std::string& element, const std::string& table, const std::string& lines) {
    const std::filesystem::path file = net().network().config_of(element);
    std::ifstream in(file);
    std::string config{std::istreambuf_iterator<char>(in), {}};
    const std::size_t at = config.find(table);
    ASSERT_NE(at, std::string::npos) << config;
    config.insert(at + table.size(), lines);
    net().running().stop_element(element, app::RunningNetwork::Ending::orderly);
    std::ofstream(file, std::ios::trunc) << config;
    const auto started = net().running().start_element(element);
    ASSERT_TRUE(started) << started.error().message;
  }
  static unsigned status_of(const Result<net::Response>& answer) { return answer ? answer->status : 0; }
  /// How many records of this deed have succeeded.
  static std::size_t succeeded(const std::string& element, const std::string& action) {
    std::size_t out = 0;
    for (const Json& record : net().audit(element, action)) out += record.text("outcome").value_or("") == "success" ? 1U : 0U;
    return out;
  }
  static Json ask_for(const std::string& key_id, std::size_t salt_size = 16) {
    return Json::object({{"session", to_hex(net().rng().bytes(16))}, {"key_id", key_id}, {"salt", to_hex(net().rng().bytes(salt_size))}});
  }
};

POINT_TEST(ChainedConnections, Km_2, accepts, ACallIsAgreedUponOverConnectionsUnderAQuantumKey) {
  const auto pair = net().apply("A", "B");
  ASSERT_TRUE(pair.agree()) << pair.reasons();
  EXPECT_EQ(pair.caller->n_paths, 1);
  EXPECT_GE(succeeded("kms-b", "km-2.chain"), 1U);
  EXPECT_TRUE(net().audit("kms-a", "chain.without").empty()) << "required: there is no connection without";
}

POINT_TEST(ChainedConnections, Km_2, refuses, ConnectionsThatCertificatesAloneAuthenticate) {
  const auto offer = net().call("kms-a", Endpoint::km2_offer, "kms-b", as_bytes("an offer"));
  EXPECT_EQ(status_of(offer), 403U);
  net().expect_audit("kms-b", "", "Km-2 is answered over chained connections alone");
  // The stocks of the SAEs too, which are as good as the keys that they become.
  EXPECT_EQ(status_of(net().call("kms-a", Endpoint::km2_supply, "kms-b", as_bytes("an offer"))), 403U);
  EXPECT_EQ(status_of(net().call_json("kms-a", Endpoint::km2_activate, "kms-b", Json::object())), 403U);
  // Who may ask for one, and with what.
  EXPECT_EQ(status_of(net().call_json("qkm-b", Endpoint::km2_chain, "kms-b", ask_for(std::string(32, 'a')))), 403U);
  EXPECT_EQ(status_of(net().call_json("kms-a", Endpoint::km2_chain, "kms-b", ask_for(std::string(32, 'a')))), 404U) << "a quantum key that there is not";
  EXPECT_EQ(status_of(net().call_json("kms-a", Endpoint::km2_chain, "kms-b", ask_for("a"))), 400U);
  EXPECT_EQ(status_of(net().call_json("kms-a", Endpoint::km2_chain, "kms-b", ask_for(std::string(32, 'a'), 1))), 400U);
  net().expect_audit("kms-b", "km-2.chain", "is not to be had here");
}

POINT_TEST(ChainedConnections, Km_3, accepts, AKmsHasKeysOverConnectionsUnderTheSiteKey) {
  EXPECT_GE(succeeded("qkm-a", "km-3.chain"), 1U);
  EXPECT_EQ(status_of(net().call_json("kms-a", Endpoint::km3_chain, "qkm-a", Json::object({{"identity", to_hex(net().rng().bytes(32))}}))), 204U);
}

POINT_TEST(ChainedConnections, Km_3, refuses, ConnectionsThatAreNotUnderTheSiteKey) {
  const Json take = Json::object({{"peer_domain", "b"}, {"sid_wk", to_hex(net().rng().bytes(16))}, {"count", 1}, {"kms", "kms-a"}});
  EXPECT_EQ(status_of(net().call_json("kms-a", Endpoint::km3_take, "qkm-a", take)), 403U);
  net().expect_audit("qkm-a", "", "Km-3 is answered over chained connections alone");
  const Json asked = Json::object({{"identity", to_hex(net().rng().bytes(32))}});
  EXPECT_EQ(status_of(net().call_json("kms-b", Endpoint::km3_chain, "qkm-a", asked)), 403U) << "the KMS of another site";
  EXPECT_EQ(status_of(net().call_json("A", Endpoint::km3_chain, "qkm-a", asked)), 403U);
  EXPECT_EQ(status_of(net().call_json("kms-a", Endpoint::km3_chain, "qkm-a", Json::object({{"identity", "00"}}))), 400U);
}

TEST_F(ChainedConnections, AKmsThatStartedAnewIsReachedUnderAFreshQuantumKey) {
  const auto before = net().apply("A", "B");
  ASSERT_TRUE(before.agree()) << before.reasons();
  const std::size_t chains = succeeded("kms-b", "km-2.chain");
  net().running().stop_element("kms-b", app::RunningNetwork::Ending::kill);
  const auto started = net().running().start_element("kms-b");
  ASSERT_TRUE(started) << started.error().message;
  const auto after = net().apply("A", "B");
  ASSERT_TRUE(after.agree()) << after.reasons();
  EXPECT_GT(succeeded("kms-b", "km-2.chain"), chains);
}

}  // namespace
}  // namespace qanat::points
