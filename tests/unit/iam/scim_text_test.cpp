// SCIM without a service: filters and paths as directories write them, users read and changed, and every way to be refused.
#include "services/iam/web/scim_user.hpp"

#include <gtest/gtest.h>

#include "base/check.hpp"

namespace qanat::iam {
namespace {

using wire::Json;

IdentityRecord scim_record() {
  IdentityRecord out;
  out.uid = Uid("wang.li");
  out.of = IdentityClass::person;
  out.domain = "a";
  out.user_name = "Wang.Li@Example.com";
  out.name = "Wang Li";
  out.mail = "wang@a.example";
  out.external_id = "X-17";
  out.version = 3;
  out.created_ms = 1'800'000'000'123;
  out.changed_ms = 1'800'000'060'000;
  return out;
}
bool holds(std::string_view filter, const IdentityRecord& record = scim_record()) {
  const auto parsed = ScimFilter::parse(filter);
  EXPECT_TRUE(parsed) << filter << ": " << (parsed ? "" : parsed.error().message);
  return parsed && parsed->matches(record);
}
/// The scimType of a refusal.
template <class T>
std::string refused_as(const Result<T>& result) {
  EXPECT_FALSE(result.has_value()) << "was taken";
  if (result) return "";
  EXPECT_EQ(result.error().code, ErrorCode::invalid_argument);
  return result.error().message.substr(0, result.error().message.find(": "));
}
Json scim_json(std::string_view text) {
  const auto out = Json::parse(text);
  CHECK(out.has_value());
  return *out;
}

TEST(ScimFilterTest, ComparesAsTheStandardSays) {
  for (const char* filter :
       {R"(userName eq "wang.li@example.com")", R"(USERNAME EQ "WANG.LI@EXAMPLE.COM")", R"(userName sw "wang")", R"(userName ew "example.COM")",
        R"(userName co "li@")", R"(emails.value eq "wang@a.example")", R"(emails co "@a.")", R"(emails[type eq "work" and value sw "wang"])",
        R"(externalId eq "X-17")", "externalId pr", "active eq true", "active ne False", R"(displayName co "ang")", R"(name.formatted eq "wang li")",
        R"(id eq "wang.li")", R"(title ne "x")", R"(urn:ietf:params:scim:schemas:core:2.0:User:userName eq "wang.li@example.com")",
        R"(urn:qanat:scim:schemas:2.0:User:domain eq "a")", R"(userName eq "\u0057ang.li@example.com")"}) {
    EXPECT_TRUE(holds(filter)) << filter;
  }
  for (const char* filter : {R"(userName eq "wang")", R"(externalId eq "x-17")", R"(externalId ne "X-17")", "title pr", "active eq false",
                             R"(emails[type eq "home"])", R"(password eq "x")"}) {
    EXPECT_FALSE(holds(filter)) << filter;
  }
  IdentityRecord bare = scim_record();
  bare.mail.clear();
  EXPECT_FALSE(holds("emails pr", bare));
  EXPECT_FALSE(holds("emails.primary eq true", bare));
  EXPECT_TRUE(holds(R"(emails.value ne "x")", bare)) << "no value is unequal to any";
}

TEST(ScimFilterTest, NotBindsBeforeAndBeforeOr) {
  const std::string yes = "active eq true";
  const std::string no = "active eq false";
  EXPECT_TRUE(holds(yes + " or " + yes + " and " + no));
  EXPECT_FALSE(holds("(" + yes + " or " + yes + ") and " + no));
  EXPECT_TRUE(holds("not (" + no + ") and " + yes));
  EXPECT_FALSE(holds("not (" + no + " or " + yes + ")"));
  EXPECT_TRUE(holds("( ( " + yes + " ) )"));
}

TEST(ScimFilterTest, RefusesWhatIsNoFilter) {
  for (const char* filter : {"",
                             " ",
                             "userName",
                             "userName eq",
                             R"(userName xx "a")",
                             R"(userName eq "a)",
                             R"(userName eq a)",
                             R"(nothing eq "a")",
                             R"(userName eq "a" and)",
                             R"(userName eq "a" userName eq "b")",
                             R"((userName eq "a")",
                             R"(userName eq "a"))",
                             R"(not userName eq "a")",
                             R"(userName eq true)",
                             R"(active eq "true")",
                             "active co true",
                             R"(active sw true)",
                             R"(emails[type eq "work")",
                             R"(emails[emails[type eq "x"]])",
                             R"(userName[type eq "x"])",
                             R"(meta.created eq "2026")",
                             R"(userName eq "\x")",
                             R"(userName eq 5)",
                             R"(userName gt "a")",
                             R"(emails[userName eq "x"])"}) {
    EXPECT_EQ(refused_as(ScimFilter::parse(filter)), "invalidFilter") << filter;
  }
  EXPECT_EQ(refused_as(ScimFilter::parse("userName eq \"" + std::string(scim_filter_max, 'a') + "\"")), "invalidFilter");
  std::string deep = "active pr";
  for (int i = 0; i < 10; ++i) deep = "(" + deep + ")";
  EXPECT_EQ(refused_as(ScimFilter::parse(deep)), "invalidFilter");
  std::string wide = "active pr";
  for (int i = 0; i < 40; ++i) wide += " or active pr";
  EXPECT_EQ(refused_as(ScimFilter::parse(wide)), "invalidFilter");
}

TEST(ScimFilterTest, SaysWhatItIsEqualTo) {
  EXPECT_EQ(ScimFilter::parse(R"(userName eq "Wang")")->equals(ScimField::user_name), "wang");
  EXPECT_FALSE(ScimFilter::parse(R"(userName sw "Wang")")->equals(ScimField::user_name));
  EXPECT_FALSE(ScimFilter::parse(R"(userName eq "Wang" or active eq true)")->equals(ScimField::user_name));
  EXPECT_FALSE(ScimFilter::parse(R"(userName eq "Wang")")->equals(ScimField::external_id));
}

TEST(ScimPathTest, IsReadAsDirectoriesWriteIt) {
  EXPECT_EQ(parse_scim_path("active")->field, ScimField::active);
  EXPECT_EQ(parse_scim_path("name.formatted")->field, ScimField::name_formatted);
  EXPECT_EQ(parse_scim_path(R"(emails[type eq "work"].value)")->field, ScimField::email_value);
  EXPECT_TRUE(parse_scim_path(R"(emails[type eq "work"])")->which->matches(scim_record()));
  EXPECT_EQ(parse_scim_path(R"(phoneNumbers[type eq "mobile"].value)")->field, ScimField::not_kept);
  EXPECT_EQ(parse_scim_path("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department")->field, ScimField::not_kept);
  EXPECT_EQ(parse_scim_path("urn:qanat:scim:schemas:2.0:User:domain")->field, ScimField::domain);
  for (const char* path : {"", "nothing", "emails[", R"(emails[type eq "work"]value)", "active value", "name[x]", R"(userName[value eq "x"])",
                           "urn:qanat:scim:schemas:2.0:User:other"}) {
    EXPECT_EQ(refused_as(parse_scim_path(path)), "invalidPath") << path;
  }
  EXPECT_EQ(refused_as(parse_scim_path(R"(emails[type xx "work"].value)")), "invalidFilter");
}

ScimUser read_user(std::string_view text) {
  const auto out = read_scim_user(scim_json(text), {.domain = "core"});
  EXPECT_TRUE(out) << (out ? "" : out.error().message);
  return out.value_or(ScimUser{});
}

TEST(ScimUserTest, IsReadWithWhatIsKeptAndWithoutTheRest) {
  const ScimUser user = read_user(
      R"({"schemas":["urn:ietf:params:scim:schemas:core:2.0:User","urn:qanat:scim:schemas:2.0:User"],"userName":"wang@example.com","displayName":"Wang Li",
      "name":{"givenName":"Li","familyName":"Wang"},"emails":[{"value":"home@x.example","type":"home"},{"value":"wang@x.example","type":"work","primary":true}],
      "externalId":"17","active":false,"id":"mine","meta":{"version":"x"},"title":null,"nickName":"W","phoneNumbers":[{"value":"1"}],
      "urn:qanat:scim:schemas:2.0:User":{"domain":"b"},"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"department":"QKD"}})");
  EXPECT_EQ(
      user,
      (ScimUser{.user_name = "wang@example.com", .display_name = "Wang Li", .mail = "wang@x.example", .external_id = "17", .domain = "b", .active = false}));
  const ScimUser bare = read_user(
      R"({"SCHEMAS":["urn:ietf:params:scim:schemas:core:2.0:User"],"USERNAME":"wang","name":{"formatted":"Wang"},"emails":[{"value":"w@x.example"}],"active":"True"})");
  EXPECT_EQ(bare, (ScimUser{.user_name = "wang", .display_name = "Wang", .mail = "w@x.example", .external_id = "", .domain = "core", .active = true}));
}

TEST(ScimUserTest, RefusesWhatIsNone) {
  const auto type_of = [](const std::string& members, bool schema = true) {
    return refused_as(read_scim_user(scim_json("{" + std::string(schema ? R"("schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],)" : "") + members + "}"),
                                     {.domain = "core"}));
  };
  EXPECT_EQ(type_of(R"("userName":"wang")", false), "invalidSyntax");
  EXPECT_EQ(type_of(R"("displayName":"Wang")"), "invalidValue") << "no user name";
  EXPECT_EQ(type_of(R"("userName":"")"), "invalidValue");
  EXPECT_EQ(type_of(R"("userName":5)"), "invalidValue");
  EXPECT_EQ(type_of(R"("userName":"wang","active":"perhaps")"), "invalidValue");
  EXPECT_EQ(type_of(R"("userName":"wang","emails":[5])"), "invalidValue");
  EXPECT_EQ(type_of(R"("userName":"wang","name":"Wang")"), "invalidValue");
  EXPECT_EQ(type_of(R"("userName":"wang","unheardOf":1)"), "invalidSyntax");
  EXPECT_EQ(type_of(R"("userName":"wang","urn:qanat:scim:schemas:2.0:User":{"other":1})"), "invalidSyntax");
  EXPECT_EQ(type_of(R"("userName":"wang\nli")"), "invalidValue");
  EXPECT_EQ(type_of(R"("userName":"wang","displayName":")" + std::string(257, 'x') + "\""), "invalidValue");
  EXPECT_EQ(refused_as(read_scim_user(scim_json("[]"), {})), "invalidSyntax");
}

Result<ScimUser> patch_with(const std::string& operations, const IdentityRecord& record = scim_record()) {
  return patched(record, scim_json(R"({"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"],"Operations":[)" + operations + "]}"));
}

TEST(ScimPatchTest, TakesWhatDirectoriesSend) {
  const auto done = [](const std::string& operations, const IdentityRecord& record = scim_record()) {
    const auto out = patch_with(operations, record);
    EXPECT_TRUE(out) << operations << ": " << (out ? "" : out.error().message);
    return out.value_or(ScimUser{});
  };
  EXPECT_FALSE(done(R"({"op":"Replace","path":"active","value":"False"})").active) << "as Entra says it";
  EXPECT_FALSE(done(R"({"op":"replace","value":{"active":false}})").active) << "as Okta says it";
  EXPECT_EQ(
      done(R"({"op":"Add","path":"displayName","value":"W. Li"},{"op":"remove","path":"externalId"})"),
      (ScimUser{.user_name = "Wang.Li@Example.com", .display_name = "W. Li", .mail = "wang@a.example", .external_id = "", .domain = "a", .active = true}));
  EXPECT_EQ(done(R"({"op":"replace","path":"emails[type eq \"work\"].value","value":"new@a.example"})").mail, "new@a.example");
  EXPECT_EQ(done(R"({"op":"replace","path":"emails","value":[{"value":"new@a.example","primary":true}]})").mail, "new@a.example");
  EXPECT_EQ(done(R"({"op":"replace","value":{"userName":"other","name.formatted":"O","urn:ietf:params:scim:schemas:core:2.0:User:externalId":"9"}})"),
            (ScimUser{.user_name = "other", .display_name = "O", .mail = "wang@a.example", .external_id = "9", .domain = "a", .active = true}));
  EXPECT_EQ(done(R"({"op":"remove","path":"emails[value eq \"wang@a.example\"]"})").mail, "");
  EXPECT_EQ(done(R"({"op":"remove","path":"emails[value eq \"other\"]"})").mail, "wang@a.example") << "nothing is there to be removed";
  EXPECT_EQ(done(R"({"op":"replace","path":"name.givenName","value":"Li"},{"op":"add","path":"title","value":"Dr"})"), scim_user_of(scim_record()))
      << "known, and not kept";
  IdentityRecord bare = scim_record();
  bare.mail.clear();
  EXPECT_EQ(done(R"({"op":"add","path":"emails[type eq \"work\"].value","value":"w@a.example"})", bare).mail, "w@a.example");
  EXPECT_EQ(
      done(R"({"op":"add","path":"emails.value","value":"w@a.example"},{"op":"replace","path":"emails[value eq \"w@a.example\"].value","value":"v@a.example"})",
           bare)
          .mail,
      "v@a.example")
      << "a path looks at what the operation before it made";
}

TEST(ScimPatchTest, RefusesTheWholeIfOnePartIsWrong) {
  const auto type_of = [](const std::string& operations) { return refused_as(patch_with(operations)); };
  EXPECT_EQ(type_of(""), "invalidSyntax");
  EXPECT_EQ(type_of("5"), "invalidSyntax");
  EXPECT_EQ(type_of(R"({"op":"move","path":"active","value":true})"), "invalidSyntax");
  EXPECT_EQ(type_of(R"({"op":"replace","path":"active"})"), "invalidSyntax");
  EXPECT_EQ(type_of(R"({"op":"replace","value":true})"), "invalidSyntax");
  EXPECT_EQ(type_of(R"({"op":"replace","path":5,"value":true})"), "invalidPath");
  EXPECT_EQ(type_of(R"({"op":"replace","path":"unheardOf","value":true})"), "invalidPath");
  EXPECT_EQ(type_of(R"({"op":"replace","value":{"unheardOf":1}})"), "invalidPath");
  EXPECT_EQ(type_of(R"({"op":"replace","path":"active","value":7})"), "invalidValue");
  EXPECT_EQ(type_of(R"({"op":"remove"})"), "noTarget");
  EXPECT_EQ(type_of(R"({"op":"replace","path":"emails[type eq \"home\"].value","value":"x"})"), "noTarget");
  EXPECT_EQ(type_of(R"({"op":"add","path":"emails[type eq \"home\"].value","value":"x"})"), "noTarget") << "one address is kept, and it is the one for work";
  IdentityRecord bare = scim_record();
  bare.mail.clear();
  EXPECT_EQ(refused_as(patch_with(R"({"op":"add","path":"emails[type eq \"home\"].value","value":"x"})", bare)), "noTarget");
  EXPECT_EQ(type_of(R"({"op":"replace","path":"emails[type xx \"home\"].value","value":"x"})"), "invalidFilter");
  EXPECT_EQ(type_of(R"({"op":"replace","path":"id","value":"x"})"), "mutability");
  EXPECT_EQ(type_of(R"({"op":"remove","path":"meta"})"), "mutability");
  EXPECT_EQ(type_of(R"({"op":"remove","path":"userName"})"), "invalidValue");
  EXPECT_EQ(type_of(R"({"op":"replace","path":"userName","value":""})"), "invalidValue");
  EXPECT_EQ(refused_as(patched(scim_record(), scim_json(R"({"Operations":[{"op":"remove","path":"emails"}]})"))), "invalidSyntax") << "no schema";
  EXPECT_EQ(refused_as(patched(scim_record(), scim_json(R"({"schemas":["urn:ietf:params:scim:api:messages:2.0:PatchOp"]})"))), "invalidSyntax");
  std::string many;
  for (int i = 0; i < 65; ++i) many += std::string(i == 0 ? "" : ",") + R"({"op":"replace","path":"active","value":true})";
  EXPECT_EQ(type_of(many), "invalidSyntax");
}

TEST(ScimWrittenTest, HasWhatWasAskedForAndAlwaysTheId) {
  const auto written = [](std::string_view attributes, std::string_view excluded = "") {
    return to_scim(scim_record(), "/scim/v2/Users/wang.li", *ScimSelection::parse(attributes, excluded));
  };
  const Json whole = written("");
  EXPECT_EQ(whole.object("meta")->text("version").value(), "W/\"3\"");
  EXPECT_EQ(whole.object("meta")->text("created").value(), "2027-01-15T08:00:00.123Z");
  EXPECT_EQ(whole.object("meta")->text("location").value(), "/scim/v2/Users/wang.li");
  EXPECT_EQ(whole.array("emails").value()[0].dump(), R"({"value":"wang@a.example","type":"work","primary":true})");
  EXPECT_EQ(whole.object(scim_own_schema)->text("domain").value(), "a");
  EXPECT_EQ(written("userName,emails.value").names(), (std::vector<std::string>{"schemas", "id", "userName", "emails"}));
  EXPECT_EQ(written("emails.value").array("emails").value()[0].dump(), R"({"value":"wang@a.example"})");
  EXPECT_EQ(written("id").names(), (std::vector<std::string>{"schemas", "id"}));
  EXPECT_FALSE(written("", "emails, meta").has("emails"));
  EXPECT_FALSE(written("", "emails, meta").has("meta"));
  EXPECT_TRUE(written("", "members").has("userName"));
  EXPECT_EQ(refused_as(ScimSelection::parse("id", "meta")), "invalidValue");
}

}  // namespace
}  // namespace qanat::iam
