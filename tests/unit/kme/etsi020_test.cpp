// ETSI GS QKD 020 (drafts 0.4.1 to 0.6.2): keys that another maker's key manager brings, their acknowledgement and their voiding.
#include "kme/etsi020.hpp"

#include "kme/etsi020_client.hpp"
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
  test::Answered acknowledge(const std::string& body, const std::string& kme = "kme-b") {
    return ask(service, {.method = "POST", .pattern = "/kmapi/v1/ext_keys/ack", .body = body, .sae = kme});
  }
  static std::string ack(const std::string& status, const std::string& target = "sae-b", const std::string& more = "") {
    return R"([{"key_ids":[{"key_id":"a0a0a0a0-a0a0-a0a0-a0a0-a0a0a0a0a001"}],"ack_status":")" + status + R"(","initiator_sae_id":"sae-a","target_sae_id":")" + target + '"' +
           more + "}]";
  }
  std::vector<std::string> acks;
  std::vector<Ack> taken;
  std::optional<Error> ack_fails;
  net::ForeignService service = make_service(
      provider, test::registry(),
      [this](const std::string& kme, const std::string& url, const std::string& text) { acks.push_back(kme + ' ' + url + ' ' + text); },
      [this](const std::string&, std::vector<Ack> said, Done<void> done) {
        taken = std::move(said);
        done(ack_fails ? Result<void>(fail(*ack_fails)) : Result<void>());
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
  // The rule for acknowledgements holds for what this end says too: no container without keys.
  const auto absent = wire::Json::parse(std::string_view(voids(R"({"initiator_sae_id":"sae-b","key_ids":[{"key_id":"a0a0a0a0-a0a0-a0a0-a0a0-a0a0a0a0a009"}]})").body));
  ASSERT_TRUE(absent);
  ASSERT_EQ(absent->as_array()->size(), 1U);
  EXPECT_EQ(*absent->as_array()->front().text("ack_status"), "key not present");
}

TEST_F(Etsi020Test, VoidingAllNeedsToBeConfirmed) {
  EXPECT_EQ(voids(R"({"initiator_sae_id":"sae-b"})").status, 400U);
  EXPECT_EQ(voids(R"({"initiator_sae_id":"sae-b","all_confirmation":false})").status, 400U);
  EXPECT_EQ(voids(R"({"initiator_sae_id":"sae-b","all_confirmation":true})").status, 200U);
  EXPECT_EQ(voids(R"({"initiator_sae_id":"sae-a","all_confirmation":true})").status, 401U);
}

TEST_F(Etsi020Test, AcknowledgementsAreTakenAsAnArrayWithEveryStatusOfTheDrafts) {
  for (const auto& [text, status] : {std::pair{"relayed", AckStatus::relayed}, {"voided", AckStatus::voided}, {"failed", AckStatus::failed},
                                     {"key not present", AckStatus::not_present}, {"failed to void", AckStatus::failed_to_void}}) {
    EXPECT_EQ(acknowledge(ack(text, "sae-b", R"(,"message":"a\nb","of_another_draft":[1])")).status, 200U) << text;
    ASSERT_EQ(taken.size(), 1U);
    EXPECT_EQ(taken[0].status, status);
    EXPECT_EQ(taken[0].ids, std::vector{test::key_id(1)});
    EXPECT_EQ(taken[0].initiator.text() + taken[0].target.text() + taken[0].message, "sae-asae-ba?b");
    taken.clear();
  }
  ack_fails = Error{ErrorCode::internal, "disk full"};
  EXPECT_EQ(acknowledge(ack("relayed")).status, 503U);  // it will be said again
}

TEST_F(Etsi020Test, AcknowledgementsOfStrangersForOthersSaesOrMalformedAreRefused) {
  EXPECT_EQ(acknowledge(ack("relayed"), "kme-x").status, 401U);
  EXPECT_EQ(acknowledge(ack("relayed"), "sae-a").status, 401U);
  EXPECT_EQ(acknowledge(ack("relayed", "sae-c")).status, 401U);
  EXPECT_EQ(acknowledge(ack("relayed", "nobody")).status, 401U);
  const std::string one = ack("relayed");
  std::string many = "[" + one.substr(1, one.size() - 2);
  for (int i = 0; i < 64; ++i) many += "," + one.substr(1, one.size() - 2);
  for (const std::string& body : {std::string("{}"), std::string("[]"), std::string("[1]"), ack("kept"), ack("relayed", ""), ack("relayed", "sae-b", R"(,"message":1)"),
                                  many + "]", std::string(R"([{"key_ids":[],"ack_status":"relayed","initiator_sae_id":"sae-a","target_sae_id":"sae-b"}])"),
                                  std::string(R"([{"ack_status":"relayed","initiator_sae_id":"sae-a","target_sae_id":"sae-b"}])")}) {
    EXPECT_EQ(acknowledge(body).status, 400U) << body.substr(0, 100);
  }
  EXPECT_TRUE(taken.empty());
}

TEST_F(Etsi020Test, WhatOneSideWritesTheOtherReads) {
  const Offer offer{.ids = {test::key_id(1), test::key_id(2)}, .initiator = SaeId("sae \"q\"/ü"), .targets = {SaeId("sae-a"), SaeId("sae-c")}, .ack_callback_url = "https://x/ack"};
  const Secret octets = Secret::copy_of(Bytes(80, 7));
  Bytes body = to_bytes(render_ext_keys(offer, octets).reveal());
  const auto read = read_ext_keys(body, Limits{});
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->initiator, offer.initiator);
  EXPECT_EQ(read->targets, offer.targets);
  EXPECT_EQ(read->ack_callback_url, offer.ack_callback_url);
  ASSERT_EQ(read->keys.size(), 2U);
  EXPECT_EQ(read->keys[1].id, test::key_id(2));
  EXPECT_TRUE(equal(read->keys[1].octets.reveal(), Bytes(40, 7)));
  const auto wanted = read_void(as_bytes(render_void(offer.ids, offer.initiator, offer.targets)));
  ASSERT_TRUE(wanted) << wanted.error().message;
  EXPECT_EQ(wanted->ids, offer.ids);
  const auto said = read_acks(as_bytes(render_ack(offer.ids, AckStatus::not_present, offer.initiator, SaeId("sae-a"), "why")));
  ASSERT_TRUE(said) << said.error().message;
  EXPECT_TRUE(said->at(0).ids == offer.ids && said->at(0).status == AckStatus::not_present && said->at(0).message == "why");
}

TEST(Etsi020Client, RefusalsAreTakenWithTheirDetailsCutAndCleaned) {
  const auto of = [](unsigned status, const std::string& body) { return refusal_of(status, as_bytes(body)); };
  EXPECT_EQ(of(400, R"({"details":"no\nroute"})").message, "the key manager answers 400: no?route");
  EXPECT_EQ(of(400, "").code, ErrorCode::invalid_argument);
  EXPECT_EQ(of(401, "").code, ErrorCode::denied);
  EXPECT_EQ(of(503, R"({"message":"later"})").code, ErrorCode::unavailable);
  EXPECT_EQ(of(500, R"({"details":")" + std::string(5000, 'x') + R"("})").message.size(), 200 + std::string("the key manager answers 500: ").size());
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
