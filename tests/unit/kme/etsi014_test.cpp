// ETSI GS QKD 014 V1.1.1, clause by clause: what is accepted, what is refused, and in which words.
#include "kme/etsi014.hpp"

#include "provider_double.hpp"

namespace qanat::kme::etsi014 {
namespace {

using test::Answered;
using test::ask;
using test::Asked;

constexpr const char* status_path = "/api/v1/keys/{}/status";
constexpr const char* enc_path = "/api/v1/keys/{}/enc_keys";
constexpr const char* dec_path = "/api/v1/keys/{}/dec_keys";

class Etsi014Test : public testing::Test {
 protected:
  Answered enc(const std::string& body) { return ask(service, {.method = "POST", .pattern = enc_path, .parameters = {"sae-b"}, .body = body}); }
  Answered enc_get(const std::string& query) { return ask(service, {.method = "GET", .pattern = enc_path, .parameters = {"sae-b"}, .query = query}); }
  static std::string message(const Answered& answer) {
    const auto json = wire::Json::parse(std::string_view(answer.body));
    EXPECT_TRUE(json) << answer.body;
    return json ? json->text("message").value_or("no message") : "";
  }
  static std::vector<wire::Json> keys(const Answered& answer) {
    const auto json = wire::Json::parse(std::string_view(answer.body));
    EXPECT_TRUE(json) << answer.body;
    return json ? json->array("keys").value_or(std::vector<wire::Json>()) : std::vector<wire::Json>();
  }

  test::ProviderDouble provider;
  net::ForeignService service = make_service(provider, test::registry());
};

// Clause 6.1, table 8: every field, sizes in bits.
TEST_F(Etsi014Test, StatusHasEveryFieldOfTheStandard) {
  const Answered answer = ask(service, {.pattern = status_path, .parameters = {"sae-b"}});
  EXPECT_EQ(answer.status, 200U);
  EXPECT_EQ(answer.content_type, "application/json");
  const auto json = *wire::Json::parse(std::string_view(answer.body));
  EXPECT_EQ(*json.text("source_KME_ID"), "kme-a");
  EXPECT_EQ(*json.text("target_KME_ID"), "kme-b");
  EXPECT_EQ(*json.text("master_SAE_ID"), "sae-a");
  EXPECT_EQ(*json.text("slave_SAE_ID"), "sae-b");
  EXPECT_EQ(*json.integer("key_size"), 256);
  EXPECT_EQ(*json.integer("stored_key_count"), 25000);
  EXPECT_EQ(*json.integer("max_key_count"), 100000);
  EXPECT_EQ(*json.integer("max_key_per_request"), 128);
  EXPECT_EQ(*json.integer("max_key_size"), 4096);
  EXPECT_EQ(*json.integer("min_key_size"), 64);
  EXPECT_EQ(*json.integer("max_SAE_ID_count"), 16);
}

TEST_F(Etsi014Test, StatusOfAnUnknownSlaveIsABadRequestWithAnErrorBody) {
  const Answered answer = ask(service, {.pattern = status_path, .parameters = {"sae-x"}});
  EXPECT_EQ(answer.status, 400U);
  EXPECT_EQ(message(answer), "SAE sae-x is not known to this KME");
}

// Clause 5: 401 has no body. The certificate is good, and yet nobody's here.
TEST_F(Etsi014Test, AStrangerIsUnauthorizedWithoutABodyAndThatIsRecorded) {
  for (const char* sae : {"sae-x", "sae-b"}) {  // sae-b is served by the other KME
    for (const auto& [method, path] : {std::pair{"GET", status_path}, {"POST", enc_path}, {"POST", dec_path}}) {
      const Answered answer = ask(service, {.method = method, .pattern = path, .parameters = {"sae-b"}, .sae = sae});
      EXPECT_EQ(answer.status, 401U);
      EXPECT_EQ(answer.body, "");
    }
  }
  EXPECT_EQ(provider.refusals.size(), 6U);
  EXPECT_TRUE(provider.orders.empty());
}

TEST_F(Etsi014Test, AnEmptyRequestAsksForOneKeyOfTheDefaultSize) {
  for (const char* body : {"", "{}"}) {
    const auto found = keys(enc(body));
    ASSERT_EQ(found.size(), 1U);
    EXPECT_TRUE(from_uuid(*found[0].text("key_ID")));
    EXPECT_EQ(found[0].base64("key")->size(), 32U);
  }
  EXPECT_EQ(enc_get("").status, 200U);
}

TEST_F(Etsi014Test, NumberAndSizeAreTakenFromBodyAndQuery) {
  const auto posted = keys(enc(R"({"number":3,"size":512})"));
  ASSERT_EQ(posted.size(), 3U);
  EXPECT_EQ(posted[2].base64("key")->size(), 64U);
  const auto got = keys(enc_get("number=2&size=128"));
  ASSERT_EQ(got.size(), 2U);
  EXPECT_EQ(got[0].base64("key")->size(), 16U);
}

TEST_F(Etsi014Test, KeysAreRenderedAsUuidAndBase64) {
  const auto found = keys(enc(R"({"size":64})"));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(*found[0].text("key_ID"), "a0a0a0a0-a0a0-a0a0-a0a0-a0a0a0a0a001");
  EXPECT_EQ(*found[0].text("key"), "AQEBAQEBAQE=");
}

TEST_F(Etsi014Test, TheAnswerSaysWhetherTheConnectionWithstandsAQuantumComputer) {
  for (const bool safe : {true, false}) {
    const Answered answer = ask(service, {.method = "POST", .pattern = enc_path, .parameters = {"sae-b"}, .quantum_safe = safe});
    const auto json = *wire::Json::parse(std::string_view(answer.body));
    const auto transport = *json.object("key_container_extension")->object("qanat_transport");
    EXPECT_EQ(*transport.boolean("quantum_safe"), safe);
    EXPECT_EQ(*transport.text("group"), safe ? "X25519MLKEM768" : "x25519");
  }
}

struct Refused {
  const char* body;
  const char* message;
};
class BadKeyRequest : public Etsi014Test, public testing::WithParamInterface<Refused> {};

TEST_P(BadKeyRequest, IsABadRequestInTheStandardsWords) {
  const Answered answer = enc(GetParam().body);
  EXPECT_EQ(answer.status, 400U);
  EXPECT_EQ(message(answer), GetParam().message);
  EXPECT_EQ(provider.refusals.size(), 1U);
  EXPECT_TRUE(provider.orders.empty());
}
INSTANTIATE_TEST_SUITE_P(
    Etsi014, BadKeyRequest,
    testing::Values(Refused{R"({"size":129})", "size shall be a multiple of 8"}, Refused{R"({"size":56})", "size shall be between 64 and 4096 bits"},
                    Refused{R"({"size":4104})", "size shall be between 64 and 4096 bits"}, Refused{R"({"number":0})", "number shall be between 1 and 128"},
                    Refused{R"({"number":-1})", "number shall be between 1 and 128"}, Refused{R"({"number":129})", "number shall be between 1 and 128"},
                    Refused{R"({"extension_mandatory":[{"acme_thing":1}]})", "not all extension_mandatory parameters are supported"},
                    Refused{R"({"extension_mandatory":[{"qanat_assurance":"perfect"}]})", "not all extension_mandatory request options could be met"},
                    Refused{R"({"extension_mandatory":[{"qanat_paths":65}]})", "not all extension_mandatory request options could be met"},
                    Refused{R"({"extension_mandatory":[{"qanat_paths":0}]})", "not all extension_mandatory request options could be met"},
                    Refused{R"({"additional_slave_SAE_IDs":["sae-x"]})", "SAE sae-x is not known to this KME"}));

TEST_F(Etsi014Test, MalformedRequestsAreRefused) {
  for (const char* body : {"[]", "nonsense", R"({"number":"1"})", R"({"number":1,"number":2})", R"({"size":256.0})", R"({"unheard_of":1})",
                           R"({"additional_slave_SAE_IDs":"sae-c"})", R"({"extension_mandatory":[1]})", R"({"number":1} x)"}) {
    EXPECT_EQ(enc(body).status, 400U) << body;
  }
  EXPECT_EQ(ask(service, {.method = "POST", .pattern = enc_path, .parameters = {"sae-b"}, .body = "{}", .content_type = "text/plain"}).status, 400U);
  EXPECT_EQ(ask(service, {.method = "POST", .pattern = enc_path, .parameters = {"sae-b"}, .query = "number=1", .body = "{}"}).status, 400U);
  EXPECT_EQ(ask(service, {.method = "POST", .pattern = enc_path, .parameters = {"sae-x"}}).status, 400U);
}

// Clause 5.2: GET only with number and size.
TEST_F(Etsi014Test, GetTakesNothingButNumberAndSizeOnce) {
  for (const char* query : {"number=1&number=2", "additional_slave_SAE_IDs=sae-c", "number", "number=x", "size=12", "number=1&size=256&more=1", "%zz=1"}) {
    EXPECT_EQ(enc_get(query).status, 400U) << query;
  }
}

TEST_F(Etsi014Test, AdditionalSlavesGoWithTheOrderOnceEach) {
  EXPECT_EQ(enc(R"({"additional_slave_SAE_IDs":["sae-c","sae b/ü","sae-b","sae-c"]})").status, 200U);
  ASSERT_EQ(provider.orders.size(), 1U);
  EXPECT_EQ(provider.orders[0].slaves, (std::vector{SaeId("sae-b"), SaeId("sae-c"), SaeId("sae b/ü")}));
}

// Clause 5.2 and 6.5: 400 with the error body, and the standard's words, also when it is the provider that cannot meet them.
TEST_F(Etsi014Test, ADemandThatTheStockDoesNotMeetIsABadRequest) {
  provider.fails = Error{ErrorCode::invalid_argument, demands_unmet};
  const Answered answer = enc(R"({"extension_mandatory":[{"qanat_paths":3}]})");
  EXPECT_EQ(answer.status, 400U);
  EXPECT_EQ(answer.content_type, "application/json");
  EXPECT_EQ(message(answer), "not all extension_mandatory request options could be met");
  provider.fails = Error{ErrorCode::exhausted, "too few keys"};
  EXPECT_EQ(enc("{}").status, 503U);
}

// Clause 6.2: what stands in extension_optional may be ignored, whatever it is.
TEST_F(Etsi014Test, NothingInExtensionOptionalRefusesARequest) {
  EXPECT_EQ(enc(R"({"extension_optional":[{"qanat_paths":"two"},{"qanat_paths":0},{"qanat_assurance":7},{"qanat_assurance":"perfect"},{"acme_x":{}}]})").status, 200U);
  EXPECT_TRUE(provider.orders.back().wishes == Demands{});
  EXPECT_EQ(enc(R"({"extension_optional":[{"qanat_quantum_safe_transport":true}]})").status, 200U);
  EXPECT_EQ(enc(R"({"extension_optional":7})").status, 400U);
  EXPECT_EQ(enc(R"({"extension_optional":[7]})").status, 400U);
}

TEST_F(Etsi014Test, SupportedExtensionsBecomeDemandsOnlyWhereTheyAreMandatory) {
  EXPECT_EQ(enc(R"({"extension_mandatory":[{"qanat_paths":2},{"qanat_assurance":"quantum"},{"qanat_quantum_safe_transport":true}]})").status, 200U);
  EXPECT_EQ(provider.orders.back().demands.paths, 2U);
  EXPECT_TRUE(provider.orders.back().demands.quantum);
  EXPECT_TRUE(provider.orders.back().wishes == Demands{});
  EXPECT_EQ(enc(R"({"extension_optional":[{"qanat_paths":2,"acme_thing":1},{"qanat_assurance":"quantum"}]})").status, 200U);
  EXPECT_TRUE(provider.orders.back().wishes == (Demands{.paths = 2, .quantum = true}));
  EXPECT_EQ(provider.orders.back().demands.paths, 1U);
  EXPECT_FALSE(provider.orders.back().demands.quantum);
}

// What a KMS may demand on Km-3, in the same words.
TEST_F(Etsi014Test, WhatMustBeProvedOfAKeyIsDemandedInTheWordsOfKm3) {
  EXPECT_EQ(enc(R"({"extension_mandatory":[{"qanat_assurance":{"bound":"one-decoy-finite","eps_max":1e-9,"photons":"real","way":"centralised","relays_max":3}}]})").status, 200U);
  EXPECT_TRUE(provider.orders.back().demands ==
              (Demands{.paths = 1, .quantum = true, .proof = {.bounds = 8 | 16, .photons = 8 | 4, .eps_max = 1e-9}, .relays_max = 3, .hop_by_hop = false}));
  EXPECT_EQ(enc(R"({"extension_mandatory":[{"qanat_assurance":{}}]})").status, 200U);
  EXPECT_TRUE(provider.orders.back().demands == (Demands{.paths = 1, .quantum = true}));
  EXPECT_EQ(enc(R"({"extension_optional":[{"qanat_assurance":{"eps_max":1e-9}},{"qanat_assurance":{"eps_max":1e-8,"bound":"finite"}}]})").status, 200U);
  EXPECT_TRUE(provider.orders.back().wishes == (Demands{.paths = 1, .quantum = true, .proof = {.bounds = points::bounds_finite, .eps_max = 1e-9}})) << "several add up";
  EXPECT_EQ(enc(R"({"extension_optional":[{"qanat_assurance":{"eps_max":1e-9,"bound":"best"}}]})").status, 200U);
  EXPECT_TRUE(provider.orders.back().wishes == Demands{}) << "nothing of what is malformed";
}

TEST_F(Etsi014Test, ADemandThatNobodyCouldMeetIsRefusedInTheStandardsWordsAndItsDetailsSayWhy) {
  const auto reason = [&](const char* assurance) {
    const Answered answer = enc(R"({"extension_mandatory":[{"qanat_assurance":)" + std::string(assurance) + "}]}");
    EXPECT_EQ(answer.status, 400U) << assurance;
    const auto details = wire::Json::parse(std::string_view(answer.body))->array("details");
    return message(answer) + " | " + (details ? details->front().text("reason").value_or("") : "");
  };
  const std::string unmet = "not all extension_mandatory request options could be met | ";
  EXPECT_TRUE(reason(R"({"bound":"best"})").starts_with(unmet + "bound: must be one of finite"));
  EXPECT_EQ(reason(R"({"eps_max":0})"), unmet + "eps_max: must be above 0 and at most 1");
  EXPECT_EQ(reason(R"({"eps_max":1.5})"), unmet + "eps_max: must be above 0 and at most 1");
  EXPECT_EQ(reason(R"({"photons":"simulated"})"), unmet + "photons: must be measured, real or any");
  EXPECT_EQ(reason(R"({"way":"direct"})"), unmet + "way: must be hop_by_hop or centralised");
  EXPECT_TRUE(reason(R"({"relays_max":-1})").starts_with(unmet));
  EXPECT_TRUE(reason(R"({"eps":1e-9})").starts_with("not all extension_mandatory parameters are supported | ")) << "a misspelt demand is not passed over";
  EXPECT_EQ(reason("\"perfect\""), unmet + "qanat_assurance: must be quantum, any or an object");
  EXPECT_TRUE(provider.orders.empty());
}

TEST_F(Etsi014Test, AQuantumSafeTransportThatIsMandatoryIsNotMetByAClassicalGroup) {
  const Answered answer = ask(service, {.method = "POST",
                                        .pattern = enc_path,
                                        .parameters = {"sae-b"},
                                        .body = R"({"extension_mandatory":[{"qanat_quantum_safe_transport":true}]})",
                                        .quantum_safe = false});
  EXPECT_EQ(answer.status, 400U);
  EXPECT_EQ(message(answer), "not all extension_mandatory request options could be met");
}

TEST_F(Etsi014Test, FailuresOfTheServerAreServiceUnavailable) {
  for (const ErrorCode code : {ErrorCode::exhausted, ErrorCode::unavailable, ErrorCode::deadline_exceeded, ErrorCode::internal}) {
    provider.fails = Error{code, "too few keys in stock"};
    const Answered answer = enc("");
    EXPECT_EQ(answer.status, 503U);
    EXPECT_EQ(message(answer), code == ErrorCode::internal ? "internal error" : "too few keys in stock") << "what is ours alone is not told";
  }
}

class DecKeys : public Etsi014Test {
 protected:
  Answered dec(const std::string& body, const std::string& sae = "sae-c") {
    return ask(service, {.method = "POST", .pattern = dec_path, .parameters = {"sae-a"}, .body = body, .sae = sae});
  }
  void order(std::uint32_t number) {
    provider.take({.master = {.sae = SaeId("sae-a"), .address = "", .group = "", .request_id = ""},
                   .slaves = {SaeId("sae-c")},
                   .number = number,
                   .size = 256,
                   .demands = {},
                   .standard = "etsi014",
                   .deadline = Deadline::after(std::chrono::seconds(1))},
                  [](Result<Delivery>) {});
  }
  static std::string id(std::uint8_t n) { return to_uuid(test::key_id(n)); }
};

TEST_F(DecKeys, GivesTheNamedSaeItsKeysOnce) {
  order(2);
  const std::string body = R"({"key_IDs":[{"key_ID":")" + id(1) + R"("},{"key_ID":")" + id(2) + R"("}]})";
  const auto found = keys(dec(body));
  ASSERT_EQ(found.size(), 2U);
  EXPECT_EQ(*found[0].base64("key"), Bytes(32, 1));
  // Clause 5.3: a missing key is 400, in these words.
  const Answered again = dec(body);
  EXPECT_EQ(again.status, 400U);
  EXPECT_EQ(message(again), "one or more keys specified are not found on KME");
}

TEST_F(DecKeys, AnSaeThatWasNotNamedIsUnauthorizedWithoutABody) {
  order(1);
  const Answered answer = dec(R"({"key_IDs":[{"key_ID":")" + id(1) + R"("}]})", "sae-a");
  EXPECT_EQ(answer.status, 401U);
  EXPECT_EQ(answer.body, "");
}

TEST_F(DecKeys, GetTakesExactlyOneKeyId) {
  order(2);
  const auto get = [&](const std::string& query) { return ask(service, {.pattern = dec_path, .parameters = {"sae-a"}, .query = query, .sae = "sae-c"}); };
  EXPECT_EQ(get("key_ID=" + id(1)).status, 200U);
  EXPECT_EQ(get("key_ID=" + id(2) + "&key_ID=" + id(1)).status, 400U);
  EXPECT_EQ(get("").status, 400U);
  EXPECT_EQ(get("key_ID=1234").status, 400U);
  EXPECT_EQ(get("id=" + id(2)).status, 400U);
}

TEST_F(DecKeys, MalformedListsAreRefused) {
  order(1);
  for (const std::string& body : {std::string(), std::string("{}"), std::string(R"({"key_IDs":[]})"), std::string(R"({"key_IDs":["x"]})"),
                                  std::string(R"({"key_IDs":[{"key_ID":"zz"}]})"), R"({"key_IDs":[{"key_ID":")" + id(1) + R"("},{"key_ID":")" + id(1) + R"("}]})",
                                  R"({"key_IDs":[{"key_ID":")" + id(1) + R"(","more":1}]})"}) {
    EXPECT_EQ(dec(body).status, 400U) << body;
  }
  // Extensions are objects, and passed over.
  EXPECT_EQ(dec(R"({"key_IDs":[{"key_ID":")" + id(1) + R"(","key_ID_extension":{}}],"key_IDs_extension":{"acme_x":1}})").status, 200U);
}

TEST(KeyIdText, IsAUuidInBothDirectionsAndNothingElse) {
  const KeyId id = test::key_id(7);
  EXPECT_EQ(*from_uuid(to_uuid(id)), id);
  EXPECT_EQ(*from_uuid("A0A0A0A0-A0A0-A0A0-A0A0-A0A0A0A0A007"), id);
  for (const char* text : {"", "a0a0a0a0a0a0a0a0a0a0a0a0a0a0a007", "a0a0a0a0-a0a0-a0a0-a0a0-a0a0a0a0a00", "a0a0a0a0-a0a0-a0a0-a0a0a-0a0a0a0a007",
                           "g0a0a0a0-a0a0-a0a0-a0a0-a0a0a0a0a007", "{0a0a0a0-a0a0-a0a0-a0a0-a0a0a0a0a007"}) {
    EXPECT_FALSE(from_uuid(text)) << text;
  }
}

TEST(QuotaTest, AnSaeOrdersSoManyKeysASecondAndNoMore) {
  Quotas quotas;
  const Sae sae{.id = SaeId("sae-a"), .domain = "a", .kme = "kme-a", .here = true, .keys_per_second = 10};
  EXPECT_TRUE(quotas.spend(sae, 6, 1000));
  EXPECT_FALSE(quotas.spend(sae, 5, 1999));
  EXPECT_TRUE(quotas.spend(sae, 4, 1999));
  EXPECT_TRUE(quotas.spend(sae, 10, 2000));
}

}  // namespace
}  // namespace qanat::kme::etsi014
