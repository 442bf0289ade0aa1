// A network whose links live from a maker's key management entities: real QKD processes with the driver "etsi014", ETSI GS QKD 014 over TLS to two KMEs of each
// link, and everything above as with any other keys.
#include "key_ledger_check.hpp"
#include "vendor_kmes.hpp"

namespace qanat::test {
namespace {

using points::Endpoint;
using Side = VendorKmes::Side;

constexpr std::chrono::seconds vendor_change_max{60};

class VendorKeys : public SharedNetwork {
 protected:
  static void SetUpTestSuite() {
    options_.optics = false;
    SharedNetwork::SetUpTestSuite();
    if (!net().ok()) return;
    links_ = start_vendor_links(net());
    for (const char* uid : {"A", "B"}) net().enrol(uid);
    net().await_quantum_keys();
  }
  static void TearDownTestSuite() {
    SharedNetwork::TearDownTestSuite();
    links_.clear();
  }
  static VendorKmes& link() { return *links_.front(); }

  static wire::Json health(Side side) { return net().op().health(link().end(side)).value_or(wire::Json::object({})); }
  static std::string last_failure(Side side) { return health(side).text("last_failure").value_or(""); }
  static std::int64_t failed_blocks(Side side) { return health(side).integer("failed_blocks").value_or(-1); }

  static Result<net::Response> take(const std::string& photons) {
    return net().call_json("kms-a", Endpoint::km3_take, "qkm-a",
                           wire::Json::object({{"peer_domain", "b"},
                                               {"sid_wk", to_hex(net().rng().bytes(16))},
                                               {"count", 4},
                                               {"kms", "kms-a"},
                                               {"quality", wire::Json::object({{"photons", photons}})}}));
  }
  static std::vector<wire::Json> keys_in(const Result<net::Response>& answer) {
    EXPECT_TRUE(answer && answer->status == 200) << (answer ? std::string(as_text(answer->body)) : answer.error().message);
    if (!answer || answer->status != 200) return {};
    return wire::Json::parse(answer->body).value().array("keys").value();
  }
  static void expect_vendors(const std::vector<wire::Json>& keys) {
    EXPECT_EQ(keys.size(), 4U);
    for (const wire::Json& key : keys) {
      const wire::Json proof = key.object("proof").value();
      EXPECT_EQ(proof.dump(), R"({"bounds":["vendor"],"eps":1.0,"photons":["vendor"]})");
    }
  }
  static void expect_call() {
    const auto pair = net().apply("A", "B");
    ASSERT_TRUE(pair.agree()) << pair.reasons();
    EXPECT_GE(pair.caller->assurance, wire::Assurance::one_qkd_path);
  }

  static std::vector<std::unique_ptr<VendorKmes>> links_;
};

std::vector<std::unique_ptr<VendorKmes>> VendorKeys::links_;

TEST_F(VendorKeys, ComeToBothQkmsOverARelayAndIntoACallAndSayThatTheyAreAVendors) {
  for (const auto& link : links_) await_further_block(net(), *link);
  for (const Side side : {Side::alice, Side::bob}) {
    const wire::Json now = health(side);
    EXPECT_EQ(now.text("driver").value_or(""), "etsi014");
    EXPECT_FALSE(now.boolean("simulated").value_or(true));
    EXPECT_TRUE(now.boolean("connected").value_or(false));
    EXPECT_EQ(failed_blocks(side), 0);
    const wire::Json block = now.object("last_block").value();
    EXPECT_EQ(block.text("bound").value_or(""), "vendor: ETSI GS QKD 014");
    EXPECT_FALSE(block.boolean("qber_known").value_or(true));
  }
  const auto keys = keys_in(take("real"));
  expect_vendors(keys);
  wire::Json ids = wire::Json::array();
  for (const wire::Json& key : keys) ids.push(key.text("key_id").value());
  expect_vendors(keys_in(net().call_json("kms-b", Endpoint::km3_fetch, "qkm-b",
                                         wire::Json::object({{"peer_domain", "a"}, {"key_ids", ids}, {"sid_wk", to_hex(net().rng().bytes(16))}}))));
  // Nobody here measured anything.
  const auto measured = take("measured");
  EXPECT_TRUE(measured && measured->status != 200) << "keys of a vendor are not measured ones";
  expect_call();
}

TEST_F(VendorKeys, OfAKmeThatIsAwayAreMissedByNameAndComeAgainWhenItIsBack) {
  for (const Side side : {Side::alice, Side::bob}) {
    const testing::ScopedTrace trace(__FILE__, __LINE__, "the KME of " + link().end(side));
    await_further_block(net(), link());
    link().away(side);
    TestNetwork::await(
        "word of the KME that is away", [&] { return last_failure(side).contains("127.0.0.1"); }, vendor_change_max);
    EXPECT_TRUE(last_failure(side).contains("127.0.0.1")) << last_failure(side);
    // The process stands, and so do the keys in stock.
    EXPECT_TRUE(net().running().lives(link().end(side)));
    expect_call();
    link().back(side);
    await_further_block(net(), link());
    link().expect_stock_in_order(net());
  }
}

TEST_F(VendorKeys, ThatDifferAtTheTwoKmesAreNoKeys) {
  await_further_block(net(), link());
  const std::int64_t before = failed_blocks(Side::alice);
  link().spoil(true);
  for (const Side side : {Side::alice, Side::bob}) {
    TestNetwork::await(
        "a block that " + link().end(side) + " gives up", [&] { return failed_blocks(side) > before; }, vendor_change_max);
    EXPECT_TRUE(last_failure(side).contains("different keys")) << last_failure(side);
  }
  link().spoil(false);
  await_further_block(net(), link());
  link().expect_stock_in_order(net());
}

TEST_F(VendorKeys, AreEachUsedOnce) {
  for (int i = 0; i < 5; ++i) expect_call();
  for (const auto& link : links_) {
    await_further_block(net(), *link);
    link->expect_stock_in_order(net());
    EXPECT_GT(link->given(Side::bob), 0U);
    EXPECT_LE(link->given(Side::bob), link->given(Side::alice));
  }
  expect_keys_in_order(net());
}

}  // namespace
}  // namespace qanat::test
