// ETSI GS QKD 020 (drafts 0.4.1 to 0.6.2): keys that another maker's key manager brings, their acknowledgement and their voiding.
#include "kme/etsi020.hpp"

#include "kme/secret_json.hpp"
#include "provider_double.hpp"
#include "wire/json.hpp"

namespace qanat::kme::etsi020 {
namespace {

using test::ask;

class Etsi020Test : public testing::Test {
 protected:
  test::Answered bring(const std::string& body, const std::string& kme = "kme-b") {
    return ask(service, {.method = "POST", .pattern = "/kmapi/v1/ext_keys", .body = body, .sae = kme});
  }
  test::Answered voids(const std::string& body, const std::string& kme = "kme-b") {
    return ask(service, {.method = "POST", .pattern = "/kmapi/v1/ext_keys/void", .body = body, .sae = kme});
  }
  static std::string body(const std::string& value = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=", const std::string& initiator = "sae-b", const std::string& target = "sae-a",
                          const std::string& more = "") {
    return R"({"keys":[{"key_id":"a0a0a0a0-a0a0-a0a0-a0a0-a0a0a0a0a001","value":")" + value + R"("}],"initiator_sae_id":")" + initiator +
           R"(","target_sae_ids":[")" + target + R"("],"ack_callback_url":"https://kme-b.example/kmapi/v1/ext_keys/ack")" + more + "}";
  }
  test::ProviderDouble provider;
  std::vector<std::string> acks;
  net::ForeignService service = make_service(provider, test::registry(), [this](const std::string& kme, const std::string& url, const std::string& text) {
    acks.push_back(kme + ' ' + url + ' ' + text);
  });
};

TEST_F(Etsi020Test, KeysAreAcceptedKeptForTheirTargetAndAcknowledged) {
  EXPECT_EQ(bring(body()).status, 202U);
  ASSERT_EQ(provider.accepted.size(), 1U);
  EXPECT_TRUE(provider.waiting.at(test::key_id(1)).contains(SaeId("sae-a")));
  ASSERT_EQ(acks.size(), 1U);
  EXPECT_EQ(acks[0],
            R"(kme-b https://kme-b.example/kmapi/v1/ext_keys/ack [{"key_ids":[{"key_id":"a0a0a0a0-a0a0-a0a0-a0a0-a0a0a0a0a001"}],"ack_status":"relayed",)"
            R"("initiator_sae_id":"sae-b","target_sae_id":"sae-a"}])");
}

TEST_F(Etsi020Test, OnlyAKnownKmeBringsKeysAndOnlyOfItsOwnSaes) {
  EXPECT_EQ(bring(body(), "kme-x").status, 401U);
  EXPECT_EQ(bring(body("AQEBAQEBAQE=", "sae-a", "sae-c")).status, 401U);
  EXPECT_EQ(bring(body("AQEBAQEBAQE=", "sae-b", "nobody")).status, 400U);
  EXPECT_TRUE(provider.accepted.empty() && acks.empty());
  EXPECT_EQ(provider.refusals.size(), 3U);
}

TEST_F(Etsi020Test, MalformedKeysAreRefusedWithTheDraftsErrorBody) {
  for (const std::string& text : {std::string("{}"), body("!!!!"), body("AQE"), body(""), body("AQE="), body("AQEBAQEBAQE=", "sae-b", "sae-a", R"(,"extension_mandatory":[{"x":1}])"),
                                  body("AQEBAQEBAQE=", "sae-b", "sae-a", R"(,"more":1)")}) {
    const auto answer = bring(text);
    EXPECT_EQ(answer.status, 400U) << text;
    const auto json = wire::Json::parse(std::string_view(answer.body)).value_or(wire::Json());
    EXPECT_EQ(*json.integer("status"), 400);
    EXPECT_EQ(*json.text("title"), "Bad Request");
    EXPECT_TRUE(json.has("details") && json.has("type"));
  }
}

TEST_F(Etsi020Test, VoidNamesWhatWasThereAndWhatWasNot) {
  ASSERT_EQ(bring(body()).status, 202U);
  const auto answer = voids(R"({"initiator_sae_id":"sae-b","key_ids":[{"key_id":"a0a0a0a0-a0a0-a0a0-a0a0-a0a0a0a0a001"},{"key_id":"a0a0a0a0-a0a0-a0a0-a0a0-a0a0a0a0a009"}]})");
  EXPECT_EQ(answer.status, 200U);
  EXPECT_TRUE(answer.body.contains("key not present") && answer.body.contains("voided"));
  EXPECT_TRUE(provider.waiting.empty());
}

TEST_F(Etsi020Test, VoidingAllNeedsToBeConfirmed) {
  EXPECT_EQ(voids(R"({"initiator_sae_id":"sae-b"})").status, 400U);
  EXPECT_EQ(voids(R"({"initiator_sae_id":"sae-b","all_confirmation":false})").status, 400U);
  EXPECT_EQ(voids(R"({"initiator_sae_id":"sae-b","all_confirmation":true})").status, 200U);
  EXPECT_EQ(voids(R"({"initiator_sae_id":"sae-a","all_confirmation":true})").status, 401U);
}

TEST(SecretJson, LiftsEachValueAndLeavesNothingOfItBehind) {
  std::string text = R"({"a\"value":1, "value" : "AQID","b":{"value":"BA=="},"c":["value","x"],"other":"AQID"})";
  Bytes octets = to_bytes(text);
  const auto lifted = lift_base64(octets, "value");
  ASSERT_TRUE(lifted);
  ASSERT_EQ(lifted->size(), 2U);
  EXPECT_TRUE(equal((*lifted)[0].reveal(), Bytes{1, 2, 3}));
  EXPECT_TRUE(equal((*lifted)[1].reveal(), Bytes{4}));
  EXPECT_EQ(as_text(octets), R"({"a\"value":1, "value" : "####","b":{"value":"####"},"c":["value","x"],"other":"AQID"})");
}

TEST(SecretJson, RefusesWhatIsNoBase64) {
  for (const char* value : {"A", "AB==", "AQI", "AQID=", "AQ=D", "AQ I", "====", ""}) {
    Bytes octets = to_bytes(std::string(R"({"value":")") + value + R"("})");
    EXPECT_FALSE(lift_base64(octets, "value")) << value;
  }
}

}  // namespace
}  // namespace qanat::kme::etsi020
