// ETSI GS QKD 014 between two real QKMs, spoken to by curl as two SAEs with ECDSA certificates over a classical group: what an operator's encryptors do.
#include <sys/wait.h>

#include <fstream>

#include "base/key_run.hpp"
#include "crypto/site_key.hpp"
#include "point_test.hpp"
#include "sae_client.hpp"
#include "test_network.hpp"

namespace qanat::test {
namespace {

using Answer = SaeAnswer;

class Etsi014System : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    network_ = std::make_unique<TestNetwork>();
    if (!network_->ok()) return;
    let_saes_in(*network_, [](const app::SaeDemo& demo) { saes_.emplace(demo); });
    network_->await_quantum_keys();
  }
  static void TearDownTestSuite() {
    network_.reset();
    saes_.reset();
  }
  void SetUp() override { ASSERT_TRUE(network_ && network_->ok()); }

  static Answer curl(const std::string& sae, const std::string& qkm, const std::string& path, const std::string& arguments = "") {
    return saes_->curl(sae, qkm, path, arguments);
  }
  static Answer post(const std::string& sae, const std::string& qkm, const std::string& path, const std::string& body) { return saes_->post(sae, qkm, path, body); }
  static void await_stock(std::int64_t keys) {
    TestNetwork::await("keys for the SAEs", [&] {
      const auto stored = curl("sae-a", "qkm-a", "/api/v1/keys/sae-b/status").json().integer("stored_key_count");
      return stored && *stored >= keys;
    }, std::chrono::seconds(60));
  }
  /// A key of the stock that both QKMs share, taken out at the near end by its KMS: what the far end may now be told that it belongs to an SAE.
  struct Taken {
    std::string id;  // hexadecimal: its batch and its place in it
    Secret key;
  };
  static Taken take_from_stock() {
    const auto answer = network_->call_json("kms-a", points::Endpoint::km3_take, "qkm-a",
                                            wire::Json::object({{"peer_domain", "b"}, {"sid_wk", to_hex(network_->rng().bytes(16))}, {"count", 1}, {"kms", "kms-a"}}));
    EXPECT_TRUE(answer && answer->status == 200) << (answer ? std::string(as_text(answer->body)) : answer.error().message);
    if (!answer || answer->status != 200) return {};
    const wire::Json key = wire::Json::parse(answer->body).value().array("keys").value().at(0);
    const std::string id = key.text("key_id").value();
    const auto site = crypto::SiteKey::read(network_->network().secret_of("site-a.key"));
    auto secret = site->unwrap(concat({as_bytes("km-3"), *from_hex(id)}), key.base64("key").value());
    EXPECT_TRUE(secret);
    return {.id = id, .key = secret ? std::move(*secret) : Secret()};
  }
  static wire::Json list_of(wire::Json only) {
    wire::Json out = wire::Json::array();
    out.push(std::move(only));
    return out;
  }
  /// X-1 activate: "this key belongs to the slave of yours".
  static wire::Json activation(const std::string& key_id, const std::string& master, const std::string& slave) {
    const wire::Json run = wire::Json::object({{"stock", "qkm-a>qkm-r>qkm-b"},
                                               {"batch", key_id.substr(0, 2 * BatchId::size)},
                                               {"first", std::stol(key_id.substr(2 * BatchId::size), nullptr, 16)},
                                               {"count", 1}});
    const wire::Json group =
        wire::Json::object({{"master", master}, {"slaves", list_of(wire::Json(slave))}, {"octets", 32}, {"runs", list_of(run)}});
    return wire::Json::object({{"id", to_hex(network_->rng().bytes(16))}, {"groups", list_of(group)}});
  }
  static unsigned activate(const std::string& caller, const wire::Json& what) {
    const auto answer = network_->call_json(caller, points::Endpoint::x1_activate, "qkm-b", what);
    EXPECT_TRUE(answer) << (answer ? "" : answer.error().message);
    return answer ? answer->status : 0;
  }
  static std::string uuid(const std::string& id) {
    return id.substr(0, 8) + "-" + id.substr(8, 4) + "-" + id.substr(12, 4) + "-" + id.substr(16, 4) + "-" + id.substr(20);
  }
  static std::unique_ptr<TestNetwork> network_;
  static std::optional<SaeClient> saes_;
};
std::unique_ptr<TestNetwork> Etsi014System::network_;
std::optional<SaeClient> Etsi014System::saes_;

TEST_F(Etsi014System, StatusIsAnswered) {
  const Answer answer = curl("sae-a", "qkm-a", "/api/v1/keys/sae-b/status");
  EXPECT_EQ(answer.status, 200) << answer.body;
  EXPECT_EQ(answer.json().text("source_KME_ID").value_or(""), "qkm-a");
  EXPECT_EQ(answer.json().text("target_KME_ID").value_or(""), "qkm-b");
}

TEST_F(Etsi014System, BothSaesGetTheSameKeyAndTheSlaveOnlyOnce) {
  await_stock(2);
  const Answer enc = post("sae-a", "qkm-a", "/api/v1/keys/sae-b/enc_keys", R"({"number":2,"size":256})");
  ASSERT_EQ(enc.status, 200) << enc.body;
  const auto keys = *enc.json().array("keys");
  ASSERT_EQ(keys.size(), 2U);
  const std::string id = *keys[0].text("key_ID");
  const Answer dec = curl("sae-b", "qkm-b", "/api/v1/keys/sae-a/dec_keys?key_ID=" + id);
  ASSERT_EQ(dec.status, 200) << dec.body;
  EXPECT_EQ(*dec.json().array("keys")->at(0).text("key"), *keys[0].text("key"));
  // Debian's curl has no hybrid group: the answer says so.
  EXPECT_FALSE(*enc.json().object("key_container_extension")->object("qanat_transport")->boolean("quantum_safe"));
  const Answer again = curl("sae-b", "qkm-b", "/api/v1/keys/sae-a/dec_keys?key_ID=" + id);
  EXPECT_EQ(again.status, 400);
  EXPECT_EQ(again.json().text("message").value_or(""), "one or more keys specified are not found on KME");
  const Answer second = post("sae-b", "qkm-b", "/api/v1/keys/sae-a/dec_keys", R"({"key_IDs":[{"key_ID":")" + *keys[1].text("key_ID") + R"("}]})");
  EXPECT_EQ(second.status, 200) << second.body;
}

TEST_F(Etsi014System, ASlaveAtTheSameSiteGetsItsKey) {
  const Answer enc = curl("sae-a", "qkm-a", "/api/v1/keys/sae-c/enc_keys?number=1&size=512");
  ASSERT_EQ(enc.status, 200) << enc.body;
  const auto key = enc.json().array("keys")->at(0);
  const Answer other = curl("sae-a", "qkm-a", "/api/v1/keys/sae-a/dec_keys?key_ID=" + *key.text("key_ID"));
  EXPECT_EQ(other.status, 401);
  EXPECT_EQ(other.body, "");
  const Answer dec = curl("sae-c", "qkm-a", "/api/v1/keys/sae-a/dec_keys?key_ID=" + *key.text("key_ID"));
  ASSERT_EQ(dec.status, 200) << dec.body;
  EXPECT_EQ(*dec.json().array("keys")->at(0).text("key"), *key.text("key"));
}

TEST_F(Etsi014System, RefusalsHaveTheStandardsStatusAndWords) {
  EXPECT_EQ(post("sae-a", "qkm-a", "/api/v1/keys/sae-b/enc_keys", R"({"size":12})").json().text("message").value_or(""), "size shall be a multiple of 8");
  EXPECT_EQ(curl("sae-a", "qkm-a", "/api/v1/keys/nobody/enc_keys").status, 400);
  EXPECT_EQ(curl("sae-b", "qkm-a", "/api/v1/keys/sae-a/status").status, 401);  // served by the other KME
  EXPECT_EQ(curl("sae-a", "qkm-a", "/api/v1/keys/sae-b/other").status, 404);
  network_->expect_audit("qkm-a", "etsi014.enc_keys", "size shall be a multiple of 8");
}

TEST_F(Etsi014System, WhatMustBeProvedOfAKeyIsMetOrRefused) {
  await_stock(2);
  const auto demanding = [](const char* assurance) {
    return post("sae-a", "qkm-a", "/api/v1/keys/sae-b/enc_keys", R"({"extension_mandatory":[{"qanat_assurance":)" + std::string(assurance) + "}]}");
  };
  const Answer proved = demanding(R"({"bound":"finite","eps_max":1e-6,"way":"hop_by_hop","relays_max":1})");
  ASSERT_EQ(proved.status, 200) << proved.body;
  const Answer dec = curl("sae-b", "qkm-b", "/api/v1/keys/sae-a/dec_keys?key_ID=" + *proved.json().array("keys")->at(0).text("key_ID"));
  EXPECT_EQ(dec.status, 200) << dec.body;
  for (const char* unmet : {R"({"photons":"measured"})", R"({"relays_max":0})", R"({"bound":"wiesemann-2026"})", R"({"eps_max":1e-300})", R"({"bound":"best"})"}) {
    const Answer refused = demanding(unmet);
    EXPECT_EQ(refused.status, 400) << unmet << ": " << refused.body;
    EXPECT_EQ(refused.json().text("message").value_or(""), "not all extension_mandatory request options could be met") << unmet;
  }
}

TEST_F(Etsi014System, NoCertificateNoAnswer) {
  const std::string command = "curl -sS --max-time 20 --cacert " + saes_->demo().root.certificate.string() + " https://localhost:" +
                              std::to_string(saes_->demo().ports.at("qkm-a")) + "/api/v1/keys/sae-b/status >/dev/null 2>&1";
  EXPECT_NE(WEXITSTATUS(std::system(command.c_str())), 0);
  network_->expect_audit("qkm-a", "sae.connection", "peer did not return a certificate");
}

TEST_F(Etsi014System, AKeyThatWasAnsweredSurvivesTheDeathOfTheFarKme) {
  await_stock(1);
  const Answer enc = curl("sae-a", "qkm-a", "/api/v1/keys/sae-b/enc_keys");
  ASSERT_EQ(enc.status, 200) << enc.body;
  network_->running().stop_element("qkm-b", app::RunningNetwork::Ending::kill);
  EXPECT_EQ(curl("sae-a", "qkm-a", "/api/v1/keys/sae-b/enc_keys").status, 503);
  const auto started = network_->running().start_element("qkm-b");
  ASSERT_TRUE(started) << started.error().message;
  const auto key = enc.json().array("keys")->at(0);
  const Answer dec = curl("sae-b", "qkm-b", "/api/v1/keys/sae-a/dec_keys?key_ID=" + *key.text("key_ID"));
  ASSERT_EQ(dec.status, 200) << dec.body;
  EXPECT_EQ(*dec.json().array("keys")->at(0).text("key"), *key.text("key"));
}

TEST_F(Etsi014System, SkipSpeaksOnTheSamePort) {
  const Answer capabilities = curl("sae-a", "qkm-a", "/capabilities");
  EXPECT_EQ(capabilities.status, 200);
  EXPECT_EQ(capabilities.json().text("localSystemID").value_or(""), "sae-a");
  const Answer made = curl("sae-a", "qkm-a", "/key?remoteSystemID=sae-c");
  ASSERT_EQ(made.status, 200) << made.body;
  const Answer got = curl("sae-c", "qkm-a", "/key/" + *made.json().text("keyId"));
  EXPECT_EQ(*got.json().text("key"), *made.json().text("key"));
}

POINT_TEST(Etsi014System, X_1, accepts, AnActivationGivesAKeyOfTheCommonStockToAnSaeOfTheFarSite) {
  const Taken taken = take_from_stock();
  ASSERT_EQ(taken.key.size(), 32U);
  const wire::Json what = activation(taken.id, "sae-a", "sae-b");
  EXPECT_EQ(activate("qkm-a", what), 200U);
  EXPECT_EQ(activate("qkm-a", what), 200U) << "the same again: an answer may be lost";
  const Answer dec = curl("sae-b", "qkm-b", "/api/v1/keys/sae-a/dec_keys?key_ID=" + uuid(taken.id));
  ASSERT_EQ(dec.status, 200) << dec.body;
  EXPECT_TRUE(equal_secret(Secret::copy_of(dec.json().array("keys")->at(0).base64("key").value()), taken.key));
  network_->expect_audit("qkm-b", "sae.activated", "");
}

POINT_TEST(Etsi014System, X_1, refuses, ActivationsByOthersForOthersAndOfUsedKeys) {
  const Taken taken = take_from_stock();
  const wire::Json good = activation(taken.id, "sae-a", "sae-b");
  EXPECT_EQ(activate("kms-a", good), 403U) << "no QKM";
  EXPECT_EQ(activate("qkm-r", good), 403U) << "a QKM that shares no stock for SAEs";
  EXPECT_EQ(activate("qkm-a", activation(taken.id, "sae-b", "sae-b")), 403U) << "the master is none of the sender's";
  EXPECT_EQ(activate("qkm-a", activation(taken.id, "sae-a", "sae-c")), 403U) << "the slave is none of the receiver's";
  EXPECT_EQ(activate("qkm-a", wire::Json::object({{"id", "00"}})), 400U);
  network_->expect_audit("qkm-b", "x-1.activate", "is no SAE of this KME");
  EXPECT_EQ(curl("sae-b", "qkm-b", "/api/v1/keys/sae-a/dec_keys?key_ID=" + uuid(taken.id)).status, 400) << "none of them gave it away";
  EXPECT_EQ(activate("qkm-a", good), 200U) << "and none used it up";
  EXPECT_EQ(activate("qkm-a", activation(taken.id, "sae-a", "sae-b")), 409U) << "under another number it is used before";
  network_->expect_audit("qkm-b", "x-1.activate", "was used before");
}

}  // namespace
}  // namespace qanat::test
