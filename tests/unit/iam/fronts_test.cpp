// The fronts of IAM as their handlers: identities, privileges, tokens, behaviour, each with what it refuses.
#include "iam_under_test.hpp"
#include "services/iam/schema.hpp"
#include "wire/base64.hpp"

namespace qanat::iam {
namespace {

const Identity front_cmsp = identity("qanat://core/cmsp/cmsp");
const Identity front_kms = identity("qanat://a/kms/kms-a");
const Identity front_other_kms = identity("qanat://b/kms/kms-b");
const Identity front_qkm = identity("qanat://a/qkm/qkm-a");
const Identity front_terminal = identity("qanat://a/app1/A");

class FrontsTest : public IamUnderTest {
 protected:
  FrontsTest() : IamUnderTest({front_cmsp, front_kms}) { open_service(); }

  void open_service() {
    IamSettings settings;
    settings.founders.elements = {front_kms, front_other_kms, front_qkm};
    IamUnderTest::open_service(settings, [this](Endpoint endpoint, const std::string& destination, const Json& body) -> Result<void> {
      if (away_) return fail(ErrorCode::unavailable, "away");
      letters_.push_back(destination + " " + std::string(points::row(endpoint).path) + " " + body.dump());
      return {};
    });
  }
  void add_terminal() {
    json_of(identities(
        core_operator,
        R"({"op":"create","identity":{"uid":"A","class":"terminal","domain":"a","uri":"qanat://a/app1/A","number":"+8655110000001","home_kms":"kms-a"}})"));
  }
  void add_person(const std::string& uid) { add(uid, "person", {}, "a"); }
  Json token_of(const Identity& caller, Endpoint endpoint) {
    return json_of(call(endpoint, caller, object(R"({"audience":"kms-a","scope":"identity.self"})")));
  }
  bool is_active(const Json& issued) {
    return must(json_of(call(Endpoint::pm1_introspect, front_kms, Json::object({{"token", must(issued.text("token"))}}))).boolean("active"));
  }

  bool away_ = false;
  std::vector<std::string> letters_;
};

TEST_F(FrontsTest, AnOperatorDoesNotSayWhoHasAnotherDuty) {
  const std::string set = R"("set":{"certificates":[")" + std::string(64, 'a') + R"("]}})";
  EXPECT_EQ(refusal(identities(core_operator, R"({"op":"change","uid":"administrator","version":1,)" + set)), ErrorCode::denied);
  EXPECT_EQ(refusal(identities(core_operator, R"({"op":"change","uid":"auditor","version":1,"set":{"uri":"qanat://core/operator/x"}})")), ErrorCode::denied);
  EXPECT_EQ(refusal(identities(core_operator, R"({"op":"import","lines":"{\"uid\":\"auditor\",\"class\":\"person\",\"domain\":\"core\"}"})")),
            ErrorCode::denied);
  add_person("wang");
  EXPECT_EQ(must(json_of(identities(core_operator, R"({"op":"change","uid":"wang","version":1,)" + set)).integer("version")), 2) << "of others it does";
}

TEST_F(FrontsTest, TheLastSecurityAdministratorIsNotDeleted) {
  EXPECT_EQ(refusal(identities(core_operator, R"({"op":"delete","uid":"administrator","version":1})")), ErrorCode::denied);
  add_person("wang");
  json_of(privileges(core_administrator, R"({"op":"give","subject":"wang","role":"security-administrator"})"));
  json_of(identities(core_operator, R"({"op":"delete","uid":"administrator","version":1})"));
}

TEST_F(FrontsTest, AnOperatorLeadsAnIdentityThroughItsLife) {
  add_person("wang");
  EXPECT_EQ(must(json_of(identities(core_operator, R"({"op":"change","uid":"wang","version":1,"set":{"name":"Wang Li"}})")).integer("version")), 2);
  EXPECT_EQ(refusal(identities(core_operator, R"({"op":"change","uid":"wang","version":1,"set":{"name":"Wang Wei"}})")), ErrorCode::conflict);
  EXPECT_EQ(must(json_of(identities(core_operator, R"({"op":"suspend","uid":"wang"})")).text("status")), "suspended");
  EXPECT_EQ(must(json_of(identities(core_operator, R"({"op":"resume","uid":"wang"})")).text("status")), "active");
  EXPECT_EQ(must(json_of(identities(core_operator, R"({"op":"delete","uid":"wang","version":4})")).text("deleted")), "wang");
  EXPECT_EQ(refusal(identities(core_operator, R"({"op":"find","uid":"wang"})")), ErrorCode::not_found);
  EXPECT_TRUE(audited("identity.delete.intended")) << "on record before it was done";
}

TEST_F(FrontsTest, EachDutyDoesItsOwnAndNoOther) {
  add_person("wang");
  EXPECT_EQ(refusal(identities(core_administrator, R"({"op":"suspend","uid":"wang"})")), ErrorCode::denied);
  EXPECT_EQ(refusal(identities(core_auditor, R"({"op":"suspend","uid":"wang"})")), ErrorCode::denied);
  EXPECT_TRUE(identities(core_auditor, R"({"op":"find","uid":"wang"})"));
  EXPECT_EQ(refusal(privileges(core_operator, R"({"op":"give","subject":"wang","role":"operator"})")), ErrorCode::denied);
  EXPECT_EQ(refusal(privileges(core_auditor, R"({"op":"give","subject":"wang","role":"operator"})")), ErrorCode::denied);
  EXPECT_TRUE(privileges(core_administrator, R"({"op":"give","subject":"wang","role":"operator"})"));
  EXPECT_EQ(refusal(privileges(core_administrator, R"({"op":"give","subject":"wang","role":"auditor"})")), ErrorCode::denied) << "two duties";
  EXPECT_EQ(refusal(privileges(core_administrator, R"({"op":"give","subject":"administrator","role":"subscriber"})")), ErrorCode::denied) << "to itself";
  EXPECT_EQ(refusal(privileges(core_administrator, R"({"op":"give","subject":"class:person","role":"operator"})")), ErrorCode::denied);
  EXPECT_EQ(refusal(privileges(core_administrator, R"({"op":"give","subject":"nobody","role":"operator"})")), ErrorCode::not_found);
  EXPECT_EQ(refusal(identities(identity("qanat://core/operator/stranger"), R"({"op":"list"})")), ErrorCode::denied);
}

TEST_F(FrontsTest, ARoleThatWouldJoinTwoDutiesIsNotDefined) {
  EXPECT_EQ(refusal(privileges(core_administrator, R"({"op":"define","role":{"name":"all","duty":"security","permissions":[{"action":"*"}]}})")),
            ErrorCode::invalid_argument);
  json_of(privileges(core_administrator, R"({"op":"define","role":{"name":"helpful","permissions":[{"action":"identity.outline"}]}})"));
  add_person("wang");
  json_of(privileges(core_administrator, R"({"op":"give","subject":"wang","role":"operator"})"));
  json_of(privileges(core_administrator, R"({"op":"give","subject":"wang","role":"helpful"})"));
  EXPECT_EQ(refusal(privileges(core_administrator, R"({"op":"define","role":{"name":"helpful","duty":"audit","permissions":[]}})")), ErrorCode::denied)
      << "wang would have two duties by it";
  EXPECT_EQ(refusal(privileges(core_administrator, R"({"op":"define","role":{"name":"auditor","permissions":[]}})")), ErrorCode::conflict) << "built in";
  EXPECT_EQ(refusal(privileges(core_administrator, R"({"op":"undefine","role":"helpful"})")), ErrorCode::conflict) << "somebody has it";
}

TEST_F(FrontsTest, TheLastSecurityAdministratorStays) {
  const auto grants = must(json_of(privileges(core_auditor, R"({"op":"grants","subject":"administrator"})")).array("grants"));
  ASSERT_EQ(grants.size(), 1U);
  const Json take = Json::object({{"op", "take"}, {"grant", must(grants[0].integer("id"))}});
  EXPECT_EQ(refusal(call(Endpoint::x5_privilege, core_administrator, take)), ErrorCode::denied);
  add_person("li");
  json_of(privileges(core_administrator, R"({"op":"give","subject":"li","role":"security-administrator"})"));
  EXPECT_TRUE(call(Endpoint::x5_privilege, core_administrator, take));
  EXPECT_EQ(refusal(privileges(core_administrator, R"({"op":"grants"})")), ErrorCode::denied) << "and is none any more";
  open_service();
  EXPECT_EQ(refusal(privileges(core_administrator, R"({"op":"grants"})")), ErrorCode::denied) << "the configuration does not give it back";
}

TEST_F(FrontsTest, WhyNamesTheGrantOrItsAbsence) {
  add_terminal();
  const Json why = json_of(privileges(core_auditor, R"({"op":"why","subject":"A","action":"key.apply","point":"Km-1","peer_domain":"b","level":3})"));
  EXPECT_TRUE(must(why.boolean("allowed")));
  EXPECT_TRUE(must(must(why.array("reasons"))[0].text("text")).contains("given to every terminal"));
  const Json not_so = json_of(privileges(core_auditor, R"({"op":"why","subject":"A","action":"identity.create"})"));
  EXPECT_FALSE(must(not_so.boolean("allowed")));
  EXPECT_EQ(must(must(not_so.array("reasons"))[0].text("text")), "no grant of 'A' permits identity.create");
  EXPECT_EQ(refusal(privileges(core_operator, R"({"op":"why","subject":"A","action":"identity.create"})")), ErrorCode::denied) << "not the operator's to know";
}

TEST_F(FrontsTest, ATerminalSeesItselfAndTheOutlineOfOthers) {
  add_terminal();
  add_person("wang");
  const Json self = json_of(call(Endpoint::id2_record, front_terminal, object(R"({"op":"self"})")));
  EXPECT_EQ(must(self.text("uid")), "A");
  const Json other = json_of(call(Endpoint::id2_record, front_terminal, object(R"({"op":"find","uid":"wang"})")));
  EXPECT_EQ(other.names(), (std::vector<std::string>{"uid", "class", "domain", "status"}));
  EXPECT_EQ(must(json_of(call(Endpoint::id2_record, front_terminal, object(R"({"op":"change","version":1,"set":{"name":"Alice"}})"))).text("name")), "Alice");
  EXPECT_EQ(refusal(call(Endpoint::id2_record, front_terminal, object(R"({"op":"change","version":2,"set":{"number":"+1234"}})"))),
            ErrorCode::invalid_argument);
  EXPECT_EQ(refusal(call(Endpoint::id2_record, identity("qanat://a/app1/stranger"), object(R"({"op":"self"})"))), ErrorCode::denied);
  const Json by_certificate =
      json_of(call(Endpoint::id1_record, front_kms,
                   Json::object({{"op", "find"}, {"thumbprint", to_hex(certificates_.at(front_terminal.uri()).fingerprint(crypto::Hash::sha256))}})));
  EXPECT_EQ(must(by_certificate.text("uid")), "A");
  EXPECT_TRUE(by_certificate.has("version")) << "its own KMS sees all of it";
  EXPECT_FALSE(json_of(call(Endpoint::id1_record, front_other_kms, object(R"({"op":"find","uid":"A"})"))).has("version")) << "another's does not";
}

TEST_F(FrontsTest, ATokenIsActiveUntilItsEpochEnds) {
  add_terminal();
  const Json issued = token_of(front_terminal, Endpoint::pm2_token);
  EXPECT_TRUE(is_active(issued));
  const Json told = json_of(call(Endpoint::pm1_introspect, front_kms, Json::object({{"token", must(issued.text("token"))}})));
  EXPECT_EQ(must(told.text("sub")), "A");
  EXPECT_EQ(must(told.text("scope")), "identity.self");
  EXPECT_EQ(json_of(call(Endpoint::pm1_introspect, front_other_kms, Json::object({{"token", must(issued.text("token"))}}))).dump(), R"({"active":false})")
      << "another audience learns nothing more";
  open_service();
  EXPECT_TRUE(is_active(issued)) << "the keys are those of before";
  json_of(privileges(core_administrator, R"({"op":"revoke","subject":"A"})"));
  EXPECT_FALSE(is_active(issued));
  EXPECT_TRUE(is_active(token_of(front_terminal, Endpoint::pm2_token))) << "a new one is of the new epoch";
}

TEST_F(FrontsTest, ATokenIsBoundToTheCertificateAndVerifiesWithTheKeysThatAreServed) {
  add_terminal();
  const Json issued = token_of(front_terminal, Endpoint::pm2_token);
  const auto keys = must(wire::TokenKeys::parse(json_of(call(Endpoint::pm1_keys, front_kms, Json::object()))));
  const auto claims = must(wire::open_cwt(must(wire::from_base64url(must(issued.text("token")))), keys));
  EXPECT_EQ(claims.holder, certificates_.at(front_terminal.uri()).fingerprint(crypto::Hash::sha256));
  EXPECT_EQ(claims.issuer, core_iam.uri());
  EXPECT_LE(claims.expires_s - claims.issued_s, 600);
}

TEST_F(FrontsTest, TokensForWhatIsNotPermittedAreNotIssued) {
  add_terminal();
  EXPECT_EQ(refusal(call(Endpoint::pm2_token, front_terminal, object(R"({"audience":"kms-a","scope":"identity.create"})"))), ErrorCode::denied);
  EXPECT_EQ(refusal(call(Endpoint::pm2_token, front_terminal, object(R"({"audience":"kms-a","scope":"no.action"})"))), ErrorCode::invalid_argument);
  EXPECT_EQ(refusal(call(Endpoint::pm2_token, front_terminal, object(R"({"audience":"kms a"})"))), ErrorCode::invalid_argument);
  json_of(identities(core_operator, R"({"op":"suspend","uid":"A"})"));
  EXPECT_EQ(refusal(call(Endpoint::pm2_token, front_terminal, object(R"({"audience":"kms-a"})"))), ErrorCode::denied);
}

TEST_F(FrontsTest, SuspensionReachesTheKmsAlsoAfterItWasAway) {
  add_terminal();
  away_ = true;
  json_of(identities(core_operator, R"({"op":"suspend","uid":"A"})"));
  EXPECT_FALSE(must(service_->outbox().deliver()));
  open_service();  // the process ended meanwhile
  away_ = false;
  EXPECT_TRUE(must(service_->outbox().deliver()));
  ASSERT_EQ(letters_.size(), 1U);
  EXPECT_TRUE(letters_[0].starts_with(R"(kms-a /pm/1/revoked {"subject":"A","epoch":1,)")) << letters_[0];
  EXPECT_TRUE(must(service_->outbox().deliver()));
  EXPECT_EQ(letters_.size(), 1U) << "what was answered is not sent again";
}

TEST_F(FrontsTest, AGrantThatIsTakenEndsWhatRestsOnItAtEveryKms) {
  add_terminal();
  const Json issued = token_of(front_terminal, Endpoint::pm2_token);
  const auto take = [&](const Json& grant) {
    json_of(call(Endpoint::x5_privilege, core_administrator, Json::object({{"op", "take"}, {"grant", must(grant.integer("id"))}})));
  };
  const Json given = json_of(privileges(core_administrator, R"({"op":"give","subject":"A","role":"subscriber","domain":"b"})"));
  EXPECT_TRUE(is_active(issued)) << "what is given takes nothing away";
  take(given);
  EXPECT_FALSE(is_active(issued));
  const auto everybodys = must(json_of(privileges(core_auditor, R"({"op":"grants","subject":"class:terminal"})")).array("grants"));
  ASSERT_EQ(everybodys.size(), 1U);
  take(everybodys[0]);
  EXPECT_TRUE(must(service_->outbox().deliver()));
  ASSERT_EQ(letters_.size(), 2U);
  EXPECT_TRUE(letters_[0].starts_with(R"(kms-a /pm/1/revoked {"subject":"A","epoch":1,)")) << letters_[0];
  EXPECT_TRUE(letters_[1].starts_with(R"(kms-a /pm/1/revoked {"subject":"class:terminal","epoch":0,)")) << letters_[1];
}

TEST_F(FrontsTest, ARoleThatPermitsOtherThingsThanBeforeEndsWhatRestsOnIt) {
  add_person("wang");
  const auto define = [&](const char* action) {
    json_of(privileges(core_administrator, std::string(R"({"op":"define","role":{"name":"own","permissions":[{"action":")") + action + R"("}]}})"));
  };
  define("identity.self");
  json_of(privileges(core_administrator, R"({"op":"give","subject":"wang","role":"own"})"));
  const auto epoch = [&] { return must(json_of(identities(core_operator, R"({"op":"find","uid":"wang"})")).integer("epoch")); };
  define("identity.self");
  EXPECT_EQ(epoch(), 0) << "nothing has changed";
  define("identity.outline");
  EXPECT_EQ(epoch(), 1);
}

TEST_F(FrontsTest, ADecisionSaysWhenItWasMadeAndUntilWhenItHolds) {
  add_terminal();
  const UnixMs end = SystemClock().now_ms() + 3'600'000;
  const Json grant = Json::object({{"op", "give"}, {"subject", "A"}, {"role", "subscriber"}, {"domain", "b"}, {"not_after_ms", end}});
  json_of(call(Endpoint::x5_privilege, core_administrator, grant));
  const Json told = json_of(call(Endpoint::pm1_decide, front_kms, object(R"({"subject":"A","action":"key.apply","point":"Km-1","peer_domain":"b"})")));
  EXPECT_EQ(static_cast<UnixMs>(must(told.integer("until_ms"))), end);
  EXPECT_GT(must(told.integer("decided_ms")), 0);
  EXPECT_EQ(refusal(call(Endpoint::pm1_decide, front_kms, object(R"({"subject":"A","action":"key.apply","peer_domain":"B!"})"))), ErrorCode::invalid_argument);
  json_of(identities(core_operator,
                     R"({"op":"create","identity":{"uid":"kms-of-x","class":"element","domain":"x","uri":"qanat://x/kms/kms-a"}})"));
  EXPECT_EQ(refusal(call(Endpoint::pm1_decide, identity("qanat://x/kms/kms-a"), object(R"({"subject":"A","action":"key.apply"})"))), ErrorCode::denied)
      << "a name is one's own within a domain only";
  EXPECT_TRUE(audited("'A' is not served by qanat://x/kms/kms-a"));
}

TEST_F(FrontsTest, AKmsAsksForThoseWhomItServesAlone) {
  add_terminal();
  const Json question = object(R"({"subject":"A","action":"key.apply","point":"Km-1","peer_domain":"b","level":4})");
  EXPECT_TRUE(must(json_of(call(Endpoint::pm1_decide, front_kms, question)).boolean("allowed")));
  EXPECT_EQ(refusal(call(Endpoint::pm1_decide, front_other_kms, question)), ErrorCode::denied);
  EXPECT_EQ(refusal(call(Endpoint::pm3_decide, front_qkm, question)), ErrorCode::denied);
  EXPECT_TRUE(must(json_of(call(Endpoint::pm3_decide, front_qkm, object(R"({"action":"behaviour.append"})"))).boolean("allowed")));
}

Json behaviour_record(const std::string& uid, UnixMs time, const std::string& object) {
  return Json::object({{"time_ms", time}, {"uid", uid}, {"action", "application"}, {"outcome", "delivered"}, {"object", object}});
}
Json report_of(std::vector<Json> records) { return Json::object({{"records", Json::array(std::move(records))}}); }

TEST_F(FrontsTest, AnomaliesAreFoundWithTheirRecordsAndToldToTheCmspOnce) {
  json_of(call(Endpoint::x5_behaviour, core_administrator, object(R"({"op":"set_rules","rules":{"rate":{"max":2,"window_s":60}}})")));
  const UnixMs now = SystemClock().now_ms();
  EXPECT_TRUE(call(Endpoint::ua1_record, front_kms,
                   report_of({behaviour_record("A", now - 30, "1"), behaviour_record("A", now - 20, "2"), behaviour_record("A", now - 10, "3")})));
  const auto found = must(json_of(call(Endpoint::x5_behaviour, core_auditor, object(R"({"op":"anomalies"})"))).array("anomalies"));
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(must(found[0].text("rule")), "rate");
  EXPECT_EQ(must(found[0].at("records")).dump(), "[1,2,3]");
  EXPECT_TRUE(call(Endpoint::ua1_record, front_kms, report_of({behaviour_record("A", now, "4")})));
  EXPECT_EQ(must(json_of(call(Endpoint::x5_behaviour, core_auditor, object(R"({"op":"anomalies"})"))).array("anomalies")).size(), 1U)
      << "told once in its time";
  EXPECT_TRUE(must(service_->outbox().deliver()));
  ASSERT_EQ(letters_.size(), 1U);
  EXPECT_TRUE(letters_[0].starts_with("cmsp /x/12/notice ")) << letters_[0];
}

TEST_F(FrontsTest, BehaviourIsQueriedBySubjectKindAndTimeInPages) {
  const UnixMs now = SystemClock().now_ms();
  for (int i = 0; i < 5; ++i)
    json_of(call(Endpoint::ua1_record, front_kms, report_of({behaviour_record(i % 2 == 0 ? "A" : "B", now + static_cast<UnixMs>(i), std::to_string(i))})));
  const Json page = json_of(call(Endpoint::x5_behaviour, core_auditor, object(R"({"op":"query","uid":"A","limit":2})")));
  EXPECT_EQ(must(page.array("records")).size(), 2U);
  EXPECT_EQ(must(page.integer("next")), 3);
  const Json rest = json_of(call(Endpoint::x5_behaviour, core_auditor, object(R"({"op":"query","uid":"A","limit":2,"after":3})")));
  EXPECT_EQ(must(rest.array("records")).size(), 1U);
  EXPECT_FALSE(rest.has("next"));
  const Json late = json_of(call(Endpoint::x5_behaviour, core_auditor, Json::object({{"op", "query"}, {"from_ms", now + 4}})));
  EXPECT_EQ(must(late.array("records")).size(), 1U);
  EXPECT_EQ(refusal(call(Endpoint::x5_behaviour, core_auditor, object(R"({"op":"set_rules","rules":{"rate":{"max":2}}})"))), ErrorCode::denied);
  EXPECT_EQ(refusal(call(Endpoint::x5_behaviour, core_administrator, object(R"({"op":"set_rules","rules":{"rate":{"max":0}}})"))), ErrorCode::invalid_argument);
}

TEST_F(FrontsTest, TerminalsAndElementsReportAboutThemselvesAlone) {
  add_terminal();
  const UnixMs now = SystemClock().now_ms();
  EXPECT_TRUE(call(Endpoint::ua2_record, front_terminal, report_of({behaviour_record("A", now, "1")})));
  EXPECT_EQ(refusal(call(Endpoint::ua2_record, front_terminal, report_of({behaviour_record("B", now, "1")}))), ErrorCode::denied);
  EXPECT_TRUE(call(Endpoint::ua3_record, front_qkm, report_of({behaviour_record("qkm-a", now, "1")})));
  EXPECT_EQ(refusal(call(Endpoint::ua3_record, front_qkm, report_of({behaviour_record("A", now, "1")}))), ErrorCode::denied);
}

TEST_F(FrontsTest, AnExportIsImportedAgainWithoutAChange) {
  add_terminal();
  add_person("wang");
  const std::string lines = must(json_of(identities(core_operator, R"({"op":"export","class":"person"})")).text("lines"));
  EXPECT_TRUE(lines.contains("\"wang\""));
  EXPECT_FALSE(lines.contains("enrolment"));
  const Json answer = json_of(call(Endpoint::x5_identity, core_operator, Json::object({{"op", "import"}, {"lines", lines}})));
  EXPECT_EQ(must(answer.integer("changed")), 0);
  EXPECT_EQ(refusal(call(Endpoint::x5_identity, core_auditor, Json::object({{"op", "import"}, {"lines", lines}}))), ErrorCode::denied);
}

}  // namespace
}  // namespace qanat::iam
