// SCIM as a directory uses it: with a token bound to its certificate, and every refusal that it may meet.
#include "services/iam/web/scim.hpp"

#include "iam_under_test.hpp"
#include "services/iam/schema.hpp"

namespace qanat::iam {
namespace {

const Identity scim_kms = identity("qanat://a/kms/kms-a");
const std::string every_scope = "identity.read identity.create identity.change identity.suspend identity.delete";

class ScimTest : public IamUnderTest {
 protected:
  ScimTest() : IamUnderTest({scim_kms}) {
    open_service();
    add("hr", "application", certificate_);
    grant_ = must(json_of(privileges(core_administrator, R"({"op":"give","subject":"hr","role":"directory"})")).integer("id"));
    token_ = token_for(certificate_, every_scope);
  }

  void open_service() {
    IamSettings settings;
    settings.web.url = "https://iam.example:8443";
    settings.founders.elements = elements_;
    IamUnderTest::open_service(settings, [this](Endpoint endpoint, const std::string& destination, const Json& body) -> Result<void> {
      letters_.push_back(destination + " " + std::string(points::row(endpoint).path) + " " + body.dump());
      return {};
    });
  }
  std::string token_for(const Bytes& certificate, std::string scope, const std::string& audience = "iam") {
    std::ranges::replace(scope, ' ', '+');
    const WebAnswer answer = service_->oauth().token(web_caller(certificate), "grant_type=client_credentials&audience=" + audience + "&scope=" + scope);
    EXPECT_EQ(answer.status, 200U) << answer.body.dump();
    return answer.body.text("access_token").value_or("");
  }
  using Work = WebAnswer (Scim::*)(const ScimRequest&);
  WebAnswer ask(Work work, const std::string& id, const std::string& body = "", const std::string& query = "", const std::string& if_match = "") {
    Scim scim = service_->scim();
    return (scim.*
            work)({.caller = web_caller(certificate_), .token = token_, .id = id, .query = query, .if_match = if_match, .if_none_match = {}, .body = body});
  }
  static std::string user(const std::string& members) { return R"({"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],)" + members + "}"; }
  static std::string operations(const std::string& list) {
    return R"({"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[)" + list + "]}";
  }
  Json created(const std::string& user_name, const std::string& more = "") {
    const WebAnswer answer = ask(&Scim::create, "", user(R"("userName":")" + user_name + "\"" + more));
    EXPECT_EQ(answer.status, 201U) << answer.body.dump();
    return answer.body;
  }
  static std::string field(const WebAnswer& answer, std::string_view name) {
    const auto found = std::ranges::find(answer.fields, name, [](const auto& one) { return std::string_view(one.first); });
    return found == answer.fields.end() ? "" : found->second;
  }
  /// "status scimType".
  static std::string refused(const WebAnswer& answer) {
    EXPECT_EQ(answer.content_type, "application/scim+json");
    EXPECT_EQ(answer.body.text("status").value_or(""), std::to_string(answer.status));
    EXPECT_NE(answer.body.text("detail").value_or(""), "");
    const std::string type = answer.body.text("scimType").value_or("");
    return std::to_string(answer.status) + (type.empty() ? "" : " " + type);
  }
  Json record_of(const std::string& uid) { return json_of(identities(core_operator, R"({"op":"find","uid":")" + uid + "\"}")); }
  std::string name_list(const std::string& query) {
    const WebAnswer answer = ask(&Scim::list, "", "", query);
    EXPECT_EQ(answer.status, 200U) << answer.body.dump();
    std::string out = std::to_string(must(answer.body.integer("totalResults"))) + ":";
    for (const Json& one : must(answer.body.array("Resources"))) out += " " + must(one.text("userName"));
    return out;
  }

  std::vector<std::string> letters_;
  std::vector<Identity> elements_;  // of the configuration
  const Bytes certificate_ = Bytes(32, 1);
  std::string token_;
  std::int64_t grant_ = 0;
};

TEST_F(ScimTest, AUserIsEnteredOnceAndFoundAgain) {
  const WebAnswer made =
      ask(&Scim::create, "", user(R"("userName":"wang.li@example.com","displayName":"Wang Li","externalId":"17","emails":[{"value":"w@x.example"}])"));
  ASSERT_EQ(made.status, 201U) << made.body.dump();
  EXPECT_EQ(must(made.body.text("id")), "wang.li");
  EXPECT_EQ(field(made, "Location"), "https://iam.example:8443/scim/v2/Users/wang.li");
  EXPECT_EQ(field(made, "ETag"), "W/\"1\"");
  EXPECT_EQ(ask(&Scim::show, "wang.li").body.dump(), made.body.dump());
  EXPECT_EQ(must(record_of("wang.li").text("class")), "person");
  EXPECT_EQ(must(record_of("wang.li").text("domain")), "core");
  EXPECT_EQ(refused(ask(&Scim::create, "", user(R"("userName":"WANG.LI@example.com")"))), "409 uniqueness");
  EXPECT_EQ(must(created("wang.li@other.example").text("id")), "wang.li-2") << "a name of its own, as its id is taken";
  EXPECT_EQ(refused(ask(&Scim::create, "", user(R"("userName":"operator")"))), "409 uniqueness") << "who is there already";
  EXPECT_TRUE(audited("scim.create.intended")) << "on record before it was done";
}

TEST_F(ScimTest, AConfiguredElementsNameIsNoUsersId) {
  elements_ = {identity("qanat://c/kms/kms-c")};
  open_service();
  token_ = token_for(certificate_, every_scope);
  json_of(identities(core_operator, R"({"op":"delete","uid":"kms-c","version":1})"));
  EXPECT_EQ(must(created("kms-c").text("id")), "kms-c-2");
  EXPECT_EQ(must(created("kms-d").text("id")), "kms-d");
}

TEST_F(ScimTest, AnIdIsNeverAnothersLater) {
  created("wang");
  EXPECT_EQ(ask(&Scim::remove, "wang").status, 204U);
  EXPECT_EQ(refused(ask(&Scim::show, "wang")), "404");
  EXPECT_EQ(must(created("wang").text("id")), "wang-2");
}

TEST_F(ScimTest, ListsAreFilteredAndPaged) {
  for (const char* name : {"alice@x.example", "bob@x.example", "carol@y.example"})
    created(name, std::string(R"(,"externalId":"ext","displayName":")") + name + "\"");
  EXPECT_EQ(name_list("filter=userName+eq+%22BOB%40x.example%22"), "1: bob@x.example");
  EXPECT_EQ(name_list("filter=externalId%20eq%20%22ext%22"), "3: alice@x.example bob@x.example carol@y.example");
  EXPECT_EQ(name_list("filter=userName+ew+%22x.example%22+and+active+eq+true"), "2: alice@x.example bob@x.example");
  EXPECT_EQ(name_list("filter=externalId+eq+%22ext%22&startIndex=2&count=1"), "3: bob@x.example");
  EXPECT_EQ(name_list("filter=externalId+eq+%22ext%22&count=0"), "3:");
  EXPECT_EQ(name_list("filter=userName+eq+%22nobody%22"), "0:");
  EXPECT_EQ(name_list("startIndex=-5&count=2").substr(0, 2), "6:") << "and the three with duties; no elements, no applications";
  const WebAnswer narrow = ask(&Scim::list, "", "", "filter=userName+eq+%22bob%40x.example%22&attributes=userName");
  EXPECT_EQ(must(narrow.body.array("Resources"))[0].names(), (std::vector<std::string>{"schemas", "id", "userName"}));
  EXPECT_EQ(refused(ask(&Scim::list, "", "", "filter=nothing")), "400 invalidFilter");
  EXPECT_EQ(refused(ask(&Scim::list, "", "", "count=many")), "400 invalidValue");
  EXPECT_EQ(refused(ask(&Scim::list, "", "", "filter")), "400 invalidValue");
}

TEST_F(ScimTest, DeactivatingSuspendsAndEndsWhatTheUserHolds) {
  created("wang");
  const WebAnswer patched = ask(&Scim::patch, "wang", operations(R"({"op":"replace","path":"active","value":false})"));
  ASSERT_EQ(patched.status, 200U) << patched.body.dump();
  EXPECT_FALSE(must(patched.body.boolean("active")));
  EXPECT_EQ(must(record_of("wang").text("status")), "suspended");
  EXPECT_EQ(must(record_of("wang").integer("epoch")), 1);
  EXPECT_TRUE(must(service_->outbox().deliver()));
  ASSERT_EQ(letters_.size(), 1U);
  EXPECT_TRUE(letters_[0].starts_with(R"(kms-a /pm/1/revoked {"subject":"wang","epoch":1,)")) << letters_[0];
  EXPECT_TRUE(audited("wang suspended"));
  EXPECT_TRUE(must(ask(&Scim::patch, "wang", operations(R"({"op":"replace","value":{"active":true}})")).body.boolean("active")));
  EXPECT_EQ(must(record_of("wang").integer("epoch")), 1);
}

TEST_F(ScimTest, ReplacingClearsWhatIsNotSaidAndLeavesWhoIsSuspendedSuspended) {
  created("wang", R"(,"displayName":"Wang","externalId":"17")");
  ask(&Scim::patch, "wang", operations(R"({"op":"replace","path":"active","value":false})"));
  const WebAnswer replaced = ask(&Scim::replace, "wang", user(R"("userName":"wang2")"));
  ASSERT_EQ(replaced.status, 200U) << replaced.body.dump();
  EXPECT_EQ(must(replaced.body.text("userName")), "wang2");
  EXPECT_EQ(must(replaced.body.text("id")), "wang");
  EXPECT_FALSE(replaced.body.has("displayName"));
  EXPECT_FALSE(must(replaced.body.boolean("active")));
  EXPECT_EQ(field(replaced, "ETag"), "W/\"3\"");
  EXPECT_EQ(field(ask(&Scim::replace, "wang", user(R"("userName":"wang2")")), "ETag"), "W/\"3\"") << "the same again changes nothing";
}

TEST_F(ScimTest, AChangeIsOfTheVersionThatTheClientHas) {
  created("wang");
  const std::string rename = operations(R"({"op":"replace","path":"displayName","value":"W"})");
  EXPECT_EQ(refused(ask(&Scim::patch, "wang", rename, "", "W/\"7\"")), "412");
  EXPECT_EQ(ask(&Scim::patch, "wang", rename, "", "\"5\", W/\"1\"").status, 200U);
  EXPECT_EQ(refused(ask(&Scim::replace, "wang", user(R"("userName":"wang")"), "", "W/\"1\"")), "412");
  EXPECT_EQ(refused(ask(&Scim::remove, "wang", "", "", "W/\"1\"")), "412");
  EXPECT_EQ(ask(&Scim::remove, "wang", "", "", "*").status, 204U);
  created("li");
  Scim scim = service_->scim();
  const WebAnswer same =
      scim.show({.caller = web_caller(certificate_), .token = token_, .id = "li", .query = {}, .if_match = {}, .if_none_match = "W/\"1\"", .body = {}});
  EXPECT_EQ(same.status, 304U);
  EXPECT_TRUE(same.body.is_null());
}

TEST_F(ScimTest, WhoHasADutyIsNoDirectorysToChangeAndOthersThanPeopleAreNotThere) {
  for (const char* uid : {"operator", "administrator", "auditor"}) {
    EXPECT_EQ(refused(ask(&Scim::patch, uid, operations(R"({"op":"replace","path":"active","value":false})"))), "403") << uid;
    EXPECT_EQ(refused(ask(&Scim::replace, uid, user(R"("userName":"x")"))), "403") << uid;
    EXPECT_EQ(refused(ask(&Scim::remove, uid)), "403") << uid;
    EXPECT_EQ(ask(&Scim::show, uid).status, 200U) << uid;
  }
  EXPECT_TRUE(audited("no directory changes that one"));
  for (const char* uid : {"hr", "kms-a", "nobody", "no/uid"}) {
    EXPECT_EQ(refused(ask(&Scim::show, uid)), "404") << uid;
    EXPECT_EQ(refused(ask(&Scim::remove, uid)), "404") << uid;
  }
}

TEST_F(ScimTest, AUserKeepsItsDomainAndAnothersName) {
  created("wang", R"(,"urn:qanat:scim:schemas:2.0:User":{"domain":"b"})");
  created("li");
  EXPECT_EQ(must(record_of("wang").text("domain")), "b");
  EXPECT_EQ(refused(ask(&Scim::patch, "wang", operations(R"({"op":"replace","path":"urn:qanat:scim:schemas:2.0:User:domain","value":"a"})"))),
            "400 mutability");
  EXPECT_EQ(refused(ask(&Scim::patch, "wang", operations(R"({"op":"replace","path":"userName","value":"LI"})"))), "409 uniqueness");
  EXPECT_EQ(refused(ask(&Scim::create, "", user(R"("userName":"x","urn:qanat:scim:schemas:2.0:User":{"domain":"No!"})"))), "400 invalidValue");
  EXPECT_EQ(refused(ask(&Scim::create, "", "{")), "400 invalidSyntax");
}

TEST_F(ScimTest, AllWithOneExternalIdAreCountedHoweverManyTheyAre) {
  std::string lines;
  for (int i = 1000; i < 1250; ++i) {
    lines += R"({"uid":"p)" + std::to_string(i) + R"(","class":"person","domain":"core","external_id":"many"})" + "\n";
    if (i % 50 != 49) continue;
    json_of(call(Endpoint::x5_identity, core_operator, Json::object({{"op", "import"}, {"lines", lines}})));
    lines.clear();
  }
  EXPECT_EQ(name_list("filter=externalId+eq+%22many%22&count=0"), "250:");
  EXPECT_EQ(name_list("filter=externalId+eq+%22many%22&startIndex=250&count=5"), "250: p1249");
  EXPECT_EQ(name_list("filter=externalId+eq+%22few%22&count=0"), "0:");
}

TEST_F(ScimTest, OnlyATokenForThisServiceBoundToThisCertificateCounts) {
  const auto with_token = [&](const std::string& token, const Bytes& certificate) {
    Scim scim = service_->scim();
    return scim.list({.caller = web_caller(certificate), .token = token, .id = {}, .query = {}, .if_match = {}, .if_none_match = {}, .body = {}});
  };
  EXPECT_EQ(with_token(token_, certificate_).status, 200U);
  const WebAnswer none = with_token("", certificate_);
  EXPECT_EQ(refused(none), "401");
  EXPECT_EQ(field(none, "WWW-Authenticate"), "Bearer realm=\"scim\"") << "no error where nothing was shown";
  const WebAnswer bad = with_token("x.y.z", certificate_);
  EXPECT_EQ(refused(bad), "401");
  EXPECT_EQ(field(bad, "WWW-Authenticate"), "Bearer error=\"invalid_token\"");
  EXPECT_EQ(refused(with_token(token_, Bytes(32, 2))), "401");
  EXPECT_TRUE(audited("bound to another certificate"));
  EXPECT_EQ(refused(with_token(token_for(certificate_, every_scope, "kms-a"), certificate_)), "401");
  EXPECT_EQ(refused(with_token(token_for(certificate_, "identity.create"), certificate_)), "403");
  json_of(privileges(core_administrator, R"({"op":"revoke","subject":"hr"})"));
  EXPECT_EQ(refused(with_token(token_, certificate_)), "401") << "its epoch is over";
}

TEST_F(ScimTest, WhatTheScopeLacksIsNotDoneEvenWithinAnotherChange) {
  created("wang");
  token_ = token_for(certificate_, "identity.change identity.create");
  EXPECT_EQ(ask(&Scim::patch, "wang", operations(R"({"op":"replace","path":"displayName","value":"W"})")).status, 200U);
  EXPECT_EQ(
      refused(ask(&Scim::patch, "wang", operations(R"({"op":"replace","path":"displayName","value":"V"},{"op":"replace","path":"active","value":false})"))),
      "403");
  EXPECT_EQ(must(record_of("wang").text("name")), "W") << "nothing of it";
  EXPECT_EQ(refused(ask(&Scim::create, "", user(R"("userName":"li","active":false)"))), "403");
  EXPECT_EQ(refused(ask(&Scim::remove, "wang")), "403");
  const WebAnswer unread = ask(&Scim::show, "wang");
  EXPECT_EQ(refused(unread), "403");
  EXPECT_EQ(field(unread, "WWW-Authenticate"), "Bearer error=\"insufficient_scope\"");
}

TEST_F(ScimTest, ARoleThatIsTakenCountsAtOnce) {
  const std::string fresh = token_for(certificate_, "identity.read");
  json_of(privileges(core_administrator, R"({"op":"take","grant":)" + std::to_string(grant_) + "}"));
  EXPECT_EQ(refused(ask(&Scim::list, "")), "401") << "the epoch of who lost something is over";
  EXPECT_EQ(service_->oauth().token(web_caller(certificate_), "grant_type=client_credentials&audience=iam&scope=identity.read").status, 400U);
}

TEST_F(ScimTest, AGrantWhoseTimeIsOverCountsNoMoreWhateverTheTokenSays) {
  EXPECT_EQ(ask(&Scim::list, "").status, 200U);
  service_.reset();
  {
    const auto store = must(store::Store::open(network_.state_of(core_iam) / "iam.db", migrations));
    must(store->transact([](store::Transaction& transaction) { return transaction.run("UPDATE role_grant SET not_after_ms = 1 WHERE subject = 'hr'", {}); }));
  }
  open_service();
  const WebAnswer ended = ask(&Scim::list, "");
  EXPECT_EQ(refused(ended), "403");
  EXPECT_EQ(field(ended, "WWW-Authenticate"), "") << "another token would not help";
}

TEST_F(ScimTest, TheServiceSaysWhatItIs) {
  const Json config = ask(&Scim::provider_config, "").body;
  EXPECT_FALSE(must(must(config.object("bulk")).boolean("supported")));
  EXPECT_TRUE(must(must(config.object("patch")).boolean("supported")));
  EXPECT_TRUE(must(must(config.object("etag")).boolean("supported")));
  EXPECT_EQ(must(ask(&Scim::resource_types, "").body.integer("totalResults")), 1) << "people alone: roles are given by the security administrator";
  EXPECT_EQ(must(ask(&Scim::resource_types, "User").body.text("endpoint")), "/Users");
  EXPECT_EQ(refused(ask(&Scim::resource_types, "Group")), "404");
  EXPECT_EQ(must(ask(&Scim::schemas, "").body.integer("totalResults")), 2);
  const Json schema = ask(&Scim::schemas, std::string(scim_user_schema)).body;
  for (const Json& attribute : must(schema.array("attributes"))) EXPECT_TRUE(find_scim_field(must(attribute.text("name")))) << attribute.dump();
  const Json own = ask(&Scim::schemas, std::string(scim_own_schema)).body;
  EXPECT_EQ(must(must(own.array("attributes"))[0].text("mutability")), "immutable") << "a user stays in its domain";
  EXPECT_EQ(refused(ask(&Scim::schemas, "urn:x")), "404");
}

}  // namespace
}  // namespace qanat::iam
