// ETSI GS QKD 014 and SKIP at the KMSs of two domains, spoken to by curl: SAEs that IAM knows, keys that the KMSs agree on over Km-2.
#include <set>

#include "kms_saes.hpp"
#include "point_test.hpp"

namespace qanat::test {
namespace {

class KmsSaeSystem : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    app::NetworkOptions options;
    options.saes = true;
    network_ = std::make_unique<TestNetwork>(options);
    if (!network_->ok()) return;
    saes_ = let_saes_in_at_kmss(*network_, {{.name = "enc-a", .domain = "a", .peer_domains = {"b"}},
                                            {.name = "enc-a2", .domain = "a", .peer_domains = {}},
                                            {.name = "enc-b", .domain = "b", .peer_domains = {"*"}},
                                            {.name = "frugal", .domain = "a", .peer_domains = {"b"}, .keys_per_second = 0, .keys_per_day = 3}});
    if (saes_) await_stock("enc-a", "kms-a", "enc-b");
    if (saes_) await_stock("enc-b", "kms-b", "enc-a");
  }
  static void TearDownTestSuite() {
    saes_.reset();
    network_.reset();
  }
  void SetUp() override { ASSERT_TRUE(network_ && network_->ok() && saes_); }

  static void await_stock(const std::string& sae, const std::string& kms, const std::string& other) {
    TestNetwork::await(
        "keys for " + sae,
        [&] {
          const auto stored = saes_->curl(sae, kms, "/api/v1/keys/" + other + "/status").json().integer("stored_key_count");
          return stored && *stored > 0;
        },
        std::chrono::seconds(60));
  }
  static SaeAnswer order(const std::string& from, const std::string& kms, const std::string& to, const std::string& body = R"({"number":1})") {
    return saes_->post(from, kms, "/api/v1/keys/" + to + "/enc_keys", body);
  }
  static SaeAnswer collect(const std::string& by, const std::string& kms, const std::string& master, const std::string& id) {
    return saes_->curl(by, kms, "/api/v1/keys/" + master + "/dec_keys?key_ID=" + id);
  }
  struct One {
    std::string id;
    std::string key;
  };
  static One only_key(const SaeAnswer& answer) {
    const auto keys = answer.json().array("keys");
    if (answer.status != 200 || !keys || keys->size() != 1) {
      ADD_FAILURE() << answer.status << " " << answer.body;
      return {};
    }
    return {.id = keys->front().text("key_ID").value_or(""), .key = keys->front().text("key").value_or("")};
  }
  static Result<wire::Json> iam(const wire::Json& body) { return network_->op().ask(points::Endpoint::x5_identity, "iam", body); }

  static std::unique_ptr<TestNetwork> network_;
  static std::optional<SaeClient> saes_;
};
std::unique_ptr<TestNetwork> KmsSaeSystem::network_;
std::optional<SaeClient> KmsSaeSystem::saes_;

TEST_F(KmsSaeSystem, StatusNamesBothKmss) {
  const wire::Json status = saes_->curl("enc-a", "kms-a", "/api/v1/keys/enc-b/status").json();
  EXPECT_EQ(status.text("source_KME_ID").value_or(""), "kms-a");
  EXPECT_EQ(status.text("target_KME_ID").value_or(""), "kms-b");
  EXPECT_EQ(status.text("master_SAE_ID").value_or(""), "enc-a");
  EXPECT_GT(status.integer("stored_key_count").value_or(0), 0);
}

TEST_F(KmsSaeSystem, SaesOfTwoDomainsGetTheSameKeyAndEachOnce) {
  const SaeAnswer enc = order("enc-a", "kms-a", "enc-b", R"({"number":2,"size":512})");
  ASSERT_EQ(enc.status, 200) << enc.body;
  const auto keys = enc.json().array("keys").value();
  ASSERT_EQ(keys.size(), 2U);
  for (const wire::Json& key : keys) {
    const std::string id = key.text("key_ID").value();
    const One fetched = only_key(collect("enc-b", "kms-b", "enc-a", id));
    EXPECT_EQ(fetched.id, id);
    EXPECT_EQ(fetched.key, key.text("key").value());
    EXPECT_EQ(key.base64("key").value().size(), 64U);
    const SaeAnswer again = collect("enc-b", "kms-b", "enc-a", id);
    EXPECT_EQ(again.status, 400) << again.body;
    EXPECT_EQ(again.json().text("message").value_or(""), "one or more keys specified are not found on KME");
  }
  // Debian's curl has no hybrid group: the answer says so, and the record.
  EXPECT_FALSE(*enc.json().object("key_container_extension")->object("qanat_transport")->boolean("quantum_safe"));
  network_->expect_audit("kms-b", "sae.activated", "");
  network_->expect_audit("kms-b", "km-2.supplied", " keys, ");
}

TEST_F(KmsSaeSystem, TheOtherDomainOrdersFromItsOwnKms) {
  const One made = only_key(order("enc-b", "kms-b", "enc-a"));
  EXPECT_EQ(only_key(collect("enc-a", "kms-a", "enc-b", made.id)).key, made.key);
}

TEST_F(KmsSaeSystem, SaesOfOneDomainGetTheirKeyWithoutAnotherKms) {
  const One made = only_key(order("enc-a", "kms-a", "enc-a2"));
  EXPECT_EQ(only_key(collect("enc-a2", "kms-a", "enc-a", made.id)).key, made.key);
}

TEST_F(KmsSaeSystem, AKeyForBothDomainsIsOneKey) {
  const One made = only_key(order("enc-a", "kms-a", "enc-b", R"({"number":1,"additional_slave_SAE_IDs":["enc-a2"]})"));
  EXPECT_EQ(only_key(collect("enc-b", "kms-b", "enc-a", made.id)).key, made.key);
  EXPECT_EQ(only_key(collect("enc-a2", "kms-a", "enc-a", made.id)).key, made.key);
}

TEST_F(KmsSaeSystem, SkipSpeaksOnTheSamePort) {
  EXPECT_EQ(saes_->curl("enc-a", "kms-a", "/capabilities").json().text("localSystemID").value_or(""), "enc-a");
  const SaeAnswer made = saes_->curl("enc-a", "kms-a", "/key?remoteSystemID=enc-b");
  ASSERT_EQ(made.status, 200) << made.body;
  const std::string path = "/key/" + made.json().text("keyId").value() + "?remoteSystemID=enc-a";
  const SaeAnswer got = saes_->curl("enc-b", "kms-b", path);
  ASSERT_EQ(got.status, 200) << got.body;
  EXPECT_EQ(got.json().text("key").value(), made.json().text("key").value());
  EXPECT_EQ(saes_->curl("enc-b", "kms-b", path).status, 400) << "it had the key";
  EXPECT_EQ(saes_->curl("enc-a", "kms-a", "/key?remoteSystemID=nobody").status, 400);
}

TEST_F(KmsSaeSystem, WhatIsDemandedOfAKeyIsMetOrRefused) {
  TestNetwork::await(
      "a key that rests on quantum key distribution",
      [] { return order("enc-a", "kms-a", "enc-b", R"({"extension_mandatory":[{"qanat_assurance":"quantum"}]})").status == 200; }, std::chrono::seconds(60));
  for (const char* unmet : {R"({"qanat_paths":2})", R"({"qanat_assurance":{"relays_max":1}})", R"({"qanat_assurance":{"bound":"finite"}})",
                            R"({"qanat_quantum_safe_transport":true})"}) {
    const SaeAnswer refused = order("enc-a", "kms-a", "enc-b", R"({"extension_mandatory":[)" + std::string(unmet) + "]}");
    EXPECT_EQ(refused.status, 400) << unmet << ": " << refused.body;
    EXPECT_EQ(refused.json().text("message").value_or(""), "not all extension_mandatory request options could be met") << unmet;
  }
}

TEST_F(KmsSaeSystem, WhoIsNoSaeHereIsRefused) {
  EXPECT_EQ(saes_->curl("enc-b", "kms-a", "/api/v1/keys/enc-a/status").status, 401) << "served by the other KMS";
  EXPECT_EQ(order("enc-a", "kms-a", "nobody").status, 400);
  const SaeAnswer refused = order("enc-a2", "kms-a", "enc-b");
  EXPECT_EQ(refused.status, 401) << "its keys stay in its domain";
  EXPECT_EQ(refused.body, "");
  network_->expect_audit("kms-a", "etsi014.enc_keys", "may share no keys");
  // A certificate of the same authority for a name that IAM does not have.
  auto authority = app::SaeAuthority::open(network_->network());
  ASSERT_TRUE(authority) << authority.error().message;
  const auto made = authority->add({.name = "unknown", .domain = "a", .folder = {}, .key = crypto::ForeignKey::ecdsa_p256, .at = app::SaeAt::kms});
  ASSERT_TRUE(made) << made.error().message;
  app::SaeDemo with_unknown = saes_->demo();
  with_unknown.saes["unknown"] = made->files();
  EXPECT_EQ(SaeClient(with_unknown).curl("unknown", "kms-a", "/api/v1/keys/enc-b/status").status, 401);
  network_->expect_audit("kms-a", "etsi014.status", "no SAE of this KME");
}

TEST_F(KmsSaeSystem, AQuotaIsKeptForTheDayAcrossARestart) {
  EXPECT_EQ(order("frugal", "kms-a", "enc-b", R"({"number":2})").status, 200);
  network_->running().stop_element("kms-a", app::RunningNetwork::Ending::kill);
  ASSERT_TRUE(network_->running().start_element("kms-a"));
  await_stock("frugal", "kms-a", "enc-b");
  const SaeAnswer over = order("frugal", "kms-a", "enc-b", R"({"number":2})");
  EXPECT_EQ(over.status, 503) << over.body;
  EXPECT_NE(over.body.find("may order 3 keys a day"), std::string::npos) << over.body;
  EXPECT_EQ(order("frugal", "kms-a", "enc-b").status, 200) << "the third";
}

TEST_F(KmsSaeSystem, ASuspendedSaeIsRefusedWithinSecondsAndComesBack) {
  const One made = only_key(order("enc-a", "kms-a", "enc-b"));
  ASSERT_TRUE(iam(wire::Json::object({{"op", "suspend"}, {"uid", "enc-a"}})));
  TestNetwork::await("the refusal of a suspended SAE", [] { return order("enc-a", "kms-a", "enc-b").status == 401; }, std::chrono::seconds(5));
  TestNetwork::await("its name to be unknown at the other KMS", [] { return order("enc-b", "kms-b", "enc-a").status == 400; }, std::chrono::seconds(5));
  EXPECT_EQ(only_key(collect("enc-b", "kms-b", "enc-a", made.id)).key, made.key) << "what was given before is the other's too";
  ASSERT_TRUE(iam(wire::Json::object({{"op", "resume"}, {"uid", "enc-a"}})));
  TestNetwork::await("keys again", [] { return order("enc-a", "kms-a", "enc-b").status == 200; }, std::chrono::seconds(5));
}

TEST_F(KmsSaeSystem, AKeyThatWasAnsweredSurvivesTheDeathOfEitherKms) {
  std::set<std::string> seen;
  for (const char* victim : {"kms-b", "kms-a"}) {
    const One made = only_key(order("enc-a", "kms-a", "enc-b"));
    EXPECT_TRUE(seen.insert(made.key).second) << "a key came twice";
    network_->running().stop_element(victim, app::RunningNetwork::Ending::kill);
    if (victim == std::string_view("kms-b")) EXPECT_EQ(order("enc-a", "kms-a", "enc-b").status, 503) << "the far end is silent";
    const auto started = network_->running().start_element(victim);
    ASSERT_TRUE(started) << started.error().message;
    await_stock("enc-a", "kms-a", "enc-b");
    await_stock("enc-b", "kms-b", "enc-a");
    EXPECT_EQ(only_key(collect("enc-b", "kms-b", "enc-a", made.id)).key, made.key) << victim;
    EXPECT_EQ(collect("enc-b", "kms-b", "enc-a", made.id).status, 400);
  }
}

POINT_TEST(KmsSaeSystem, Km_2, refuses, SuppliesAndActivationsOfOthersAndOfNonsense) {
  const wire::Json stranger = wire::Json::object({{"id", std::string(32, '0')}, {"groups", wire::Json::array()}});
  const auto status_of = [](const Result<net::Response>& answer) { return answer ? answer->status : 0U; };
  EXPECT_EQ(status_of(network_->call_json("qkm-a", points::Endpoint::km2_activate, "kms-b", stranger)), 403U) << "no KMS";
  EXPECT_EQ(status_of(network_->call_json("kms-a", points::Endpoint::km2_activate, "kms-b", stranger)), 400U) << "no groups";
  const auto activation = [](const std::string& master, const std::string& slave) {
    wire::Json slaves = wire::Json::array();
    slaves.push(slave);
    wire::Json runs = wire::Json::array();
    runs.push(wire::Json::object({{"stock", "pqc"}, {"batch", std::string(24, 'a')}, {"first", 0}, {"count", 1}}));
    wire::Json groups = wire::Json::array();
    groups.push(wire::Json::object({{"master", master}, {"slaves", slaves}, {"octets", 32}, {"runs", runs}}));
    return wire::Json::object({{"id", to_hex(network_->rng().bytes(16))}, {"groups", groups}});
  };
  EXPECT_EQ(status_of(network_->call_json("kms-a", points::Endpoint::km2_activate, "kms-b", activation("enc-b", "enc-b"))), 403U) << "the master is none of its";
  EXPECT_EQ(status_of(network_->call_json("kms-a", points::Endpoint::km2_activate, "kms-b", activation("enc-a2", "enc-b"))), 403U) << "they may share no keys";
  const auto missing = network_->call_json("kms-a", points::Endpoint::km2_activate, "kms-b", activation("enc-a", "enc-b"));
  ASSERT_EQ(status_of(missing), 200U);
  EXPECT_EQ(wire::Json::parse(missing->body).value().texts("missing").value(), std::vector<std::string>{std::string(24, 'a')}) << "keys that never were";
  EXPECT_EQ(status_of(network_->call("kms-a", points::Endpoint::km2_supply, "kms-b", as_bytes("nonsense"))), 400U);
  EXPECT_EQ(status_of(network_->call("qkm-a", points::Endpoint::km2_supply, "kms-b", as_bytes("nonsense"))), 403U);
  network_->expect_audit("kms-b", "km-2.activate", "may share no keys");
  network_->expect_audit("kms-b", "km-2.supplied", "");
}

POINT_TEST(KmsSaeSystem, Id_1, refuses, TheListOfSaesToWhoIsNoKms) {
  const auto asked = network_->call_json("kms-a", points::Endpoint::id1_record, "iam", wire::Json::object({{"op", "saes"}, {"more", 1}}));
  ASSERT_TRUE(asked) << asked.error().message;
  EXPECT_EQ(asked->status, 400U);
  const auto other = network_->call_json("qkm-a", points::Endpoint::id3_record, "iam", wire::Json::object({{"op", "saes"}}));
  ASSERT_TRUE(other) << other.error().message;
  EXPECT_EQ(other->status, 403U);
}

}  // namespace
}  // namespace qanat::test
