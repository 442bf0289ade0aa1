// IAM over the wire: identities, privileges and behaviour at their reference points, the duties of operators, and that what IAM decides reaches the KMSs and
// the CMSP also when these, or IAM itself, were away.
#include "crypto/kdf.hpp"
#include "point_test.hpp"
#include "program.hpp"
#include "test_network.hpp"
#include "wire/base64.hpp"
#include "wire/cwt.hpp"

namespace qanat::test {
namespace {

using points::Endpoint;
using wire::Json;

class IdentitiesOverTheWire : public SharedNetwork {
 protected:
  static void SetUpTestSuite() {
    options_.optics = false;  // no quantum keys are needed: calls within a domain
    SharedNetwork::SetUpTestSuite();
    if (!net().ok()) return;
    for (const char* uid : {"A", "B", "C"}) net().enrol(uid);
    for (const char* name : {"administrator", "auditor"}) duty(name);
  }
  static void TearDownTestSuite() {
    duties_.clear();
    SharedNetwork::TearDownTestSuite();
  }

  /// The operator with this name; its own certificate, enrolled the first time.
  static app::Operator& duty(const std::string& name) {
    if (name == "operator") return net().op();
    auto& slot = duties_[name];
    if (!slot) {
      auto opened = app::Operator::open(net().network(), name);
      if (!opened) throw std::runtime_error(name + ": " + opened.error().message);
      slot = *std::move(opened);
    }
    return *slot;
  }
  static Json ask(const std::string& as, Endpoint endpoint, const Json& body) {
    const auto answer = duty(as).ask(endpoint, "iam", body);
    EXPECT_TRUE(answer) << (answer ? "" : answer.error().message) << " " << body.dump();
    return answer.value_or(Json::object());
  }
  static ErrorCode refused(const std::string& as, Endpoint endpoint, const Json& body) {
    const auto answer = duty(as).ask(endpoint, "iam", body);
    EXPECT_FALSE(answer) << body.dump();
    return answer ? ErrorCode{} : answer.error().code;
  }
  static Json answered(const std::string& caller, Endpoint endpoint, const Json& body) {
    const bool get = points::row(endpoint).request_type.empty();
    const auto response = get ? net().call(caller, endpoint, "iam", {}) : net().call_json(caller, endpoint, "iam", body);
    EXPECT_TRUE(response) << (response ? "" : response.error().message);
    if (!response) return {};
    EXPECT_EQ(response->status, 200U) << as_text(response->body);
    return response->body.empty() ? Json::object() : Json::parse(response->body).value_or(Json::object());
  }
  static unsigned status(const std::string& caller, Endpoint endpoint, const Json& body) {
    const auto response = net().call_json(caller, endpoint, "iam", body);
    EXPECT_TRUE(response) << (response ? "" : response.error().message);
    return response ? response->status : 0;
  }
  static Json behaviour(const std::string& uid, const std::string& object, std::size_t count = 1) {
    Json records = Json::array();
    for (std::size_t i = 0; i < count; ++i) {
      records.push(Json::object({{"time_ms", SystemClock().now_ms()}, {"uid", uid}, {"action", "test"}, {"outcome", "success"}, {"object", object}}));
    }
    return Json::object({{"records", records}});
  }
  static std::int64_t health_count(const std::string& element, const std::string& member) {
    const auto health = net().op().health(element);
    return health ? health->integer(member).value_or(-1) : -1;
  }
  /// One application of A for a call to C.
  static Result<Bytes> apply(const std::optional<Bytes>& token_ref = {}) {
    TestTerminal& caller = net().terminal("A");
    const Number called((*net().network().terminal("C"))->number);
    const terminal::KeyWanted wanted{.role = wire::Role::caller,
                                     .sid_wk = net().rng().id<SidWk>(),
                                     .sid_call = wire::make_sid_call(caller.number(), called, net().rng().bytes(16)),
                                     .caller = caller.number(),
                                     .called = called};
    return caller.send(Endpoint::km1_application, caller.application(wanted, token_ref).value().octets());
  }

  static inline std::map<std::string, std::unique_ptr<app::Operator>> duties_;
};

POINT_TEST(IdentitiesOverTheWire, Id_1, accepts, AKmsLooksATerminalUpByUidNumberAndCertificate) {
  answered("A", Endpoint::id2_record, Json::object({{"op", "self"}}));  // its certificate is known from here on
  const crypto::Certificate certificate = net().identity_of("A")->chain.front();
  for (const Json& question :
       {Json::object({{"op", "find"}, {"uid", "A"}}), Json::object({{"op", "find"}, {"number", (*net().network().terminal("A"))->number}}),
        Json::object({{"op", "find"}, {"thumbprint", to_hex(certificate.fingerprint(crypto::Hash::sha256))}}),
        Json::object({{"op", "find"}, {"certificate", wire::to_base64(certificate.der())}})}) {
    const Json found = answered("kms-a", Endpoint::id1_record, question);
    EXPECT_EQ(found.text("uid").value_or(""), "A") << question.dump();
    EXPECT_TRUE(found.has("version")) << "its home KMS sees all of it";
  }
}
POINT_TEST(IdentitiesOverTheWire, Id_1, refuses, OthersAndUnknownOnes) {
  EXPECT_EQ(status("qkm-a", Endpoint::id1_record, Json::object({{"op", "self"}})), 403U);
  EXPECT_EQ(status("kms-a", Endpoint::id1_record, Json::object({{"op", "find"}, {"uid", "nobody"}})), 404U);
  EXPECT_FALSE(answered("kms-b", Endpoint::id1_record, Json::object({{"op", "find"}, {"uid", "A"}})).has("version")) << "the outline alone for another KMS";
}

POINT_TEST(IdentitiesOverTheWire, Id_2, accepts, ATerminalReadsItselfAndChangesItsName) {
  const Json self = answered("A", Endpoint::id2_record, Json::object({{"op", "self"}}));
  EXPECT_EQ(self.text("home_kms").value(), "kms-a");
  const Json changed = answered("A", Endpoint::id2_record,
                                Json::object({{"op", "change"}, {"version", self.integer("version").value()}, {"set", Json::object({{"name", "Alice"}})}}));
  EXPECT_EQ(changed.text("name").value(), "Alice");
  EXPECT_EQ(answered("A", Endpoint::id2_record, Json::object({{"op", "find"}, {"number", (*net().network().terminal("C"))->number}})).text("uid").value(), "C");
}
POINT_TEST(IdentitiesOverTheWire, Id_2, refuses, OldVersionsAndWhatIsNotItsOwn) {
  const Json self = answered("C", Endpoint::id2_record, Json::object({{"op", "self"}}));
  const std::int64_t version = self.integer("version").value();
  EXPECT_EQ(status("C", Endpoint::id2_record, Json::object({{"op", "change"}, {"version", version + 5}, {"set", Json::object({{"name", "Carol"}})}})), 409U);
  EXPECT_EQ(status("C", Endpoint::id2_record, Json::object({{"op", "change"}, {"version", version}, {"set", Json::object({{"number", "+1234"}})}})), 400U);
  EXPECT_EQ(status("kms-a", Endpoint::id2_record, Json::object({{"op", "self"}})), 403U);
}

POINT_TEST(IdentitiesOverTheWire, Id_3, accepts, AQkmReadsItself) {
  EXPECT_EQ(answered("qkm-a", Endpoint::id3_record, Json::object({{"op", "self"}})).text("uri").value(), "qanat://a/qkm/qkm-a");
}
POINT_TEST(IdentitiesOverTheWire, Id_3, refuses, OthersAndSuspendedElements) {
  EXPECT_EQ(status("A", Endpoint::id3_record, Json::object({{"op", "self"}})), 403U);
  ask("operator", Endpoint::x5_identity, Json::object({{"op", "suspend"}, {"uid", "qkm-r"}}));
  EXPECT_EQ(status("qkm-r", Endpoint::id3_record, Json::object({{"op", "self"}})), 403U);
  net().expect_audit("iam", "id-3.record", "'qkm-r' is suspended");
  ask("operator", Endpoint::x5_identity, Json::object({{"op", "resume"}, {"uid", "qkm-r"}}));
  EXPECT_EQ(status("qkm-r", Endpoint::id3_record, Json::object({{"op", "self"}})), 200U);
}

POINT_TEST(IdentitiesOverTheWire, Pm_1, accepts, AKmsAsksWhatItsTerminalMayDoAndWhetherATokenHolds) {
  const Json decision =
      answered("kms-a", Endpoint::pm1_decide, Json::object({{"subject", "A"}, {"action", "key.apply"}, {"point", "Km-1"}, {"peer_domain", "b"}, {"level", 4}}));
  EXPECT_TRUE(decision.boolean("allowed").value());
  const Json issued = answered("A", Endpoint::pm2_token, Json::object({{"audience", "kms-a"}, {"scope", "key.apply"}}));
  const Json told = answered("kms-a", Endpoint::pm1_introspect, Json::object({{"token", issued.text("token").value()}}));
  EXPECT_TRUE(told.boolean("active").value());
  EXPECT_EQ(told.text("sub").value(), "A");
}
POINT_TEST(IdentitiesOverTheWire, Pm_1, refuses, OthersTerminalsAndTokens) {
  EXPECT_EQ(status("kms-b", Endpoint::pm1_decide, Json::object({{"subject", "A"}, {"action", "key.apply"}})), 403U);
  EXPECT_EQ(status("A", Endpoint::pm1_introspect, Json::object({{"token", "x"}})), 403U);
  EXPECT_EQ(answered("kms-a", Endpoint::pm1_introspect, Json::object({{"token", "x.y.z"}})).dump(), R"({"active":false})");
  const Json issued = answered("A", Endpoint::pm2_token, Json::object({{"audience", "kms-a"}}));
  EXPECT_EQ(answered("kms-b", Endpoint::pm1_introspect, Json::object({{"token", issued.text("token").value()}})).dump(), R"({"active":false})");
  const auto pushed = net().call_json("kms-b", Endpoint::pm1_revoked, "kms-a", Json::object({{"subject", "A"}, {"epoch", 9}, {"at_ms", 1}}));
  ASSERT_TRUE(pushed);
  EXPECT_EQ(pushed->status, 403U) << "only IAM revokes";
}

POINT_TEST(IdentitiesOverTheWire, Pm_2, accepts, ATerminalGetsATokenBoundToItsCertificate) {
  const Json issued = answered("A", Endpoint::pm2_token, Json::object({{"audience", "kms-a"}, {"scope", "key.apply identity.self"}}));
  const auto keys = wire::TokenKeys::parse(answered("kms-a", Endpoint::pm1_keys, {}));
  ASSERT_TRUE(keys) << keys.error().message;
  const auto claims = wire::open_cwt(wire::from_base64url(issued.text("token").value()).value(), *keys);
  ASSERT_TRUE(claims) << claims.error().message;
  const wire::AccessExpectation expected{.issuer = "qanat://core/iam/iam",
                                         .audience = "kms-a",
                                         .holder = net().identity_of("A")->chain.front().fingerprint(crypto::Hash::sha256),
                                         .epoch_min = 0,
                                         .now_s = static_cast<std::int64_t>(SystemClock().now_ms() / 1000)};
  EXPECT_TRUE(wire::check_access(*claims, expected));
  wire::AccessExpectation thief = expected;
  thief.holder = net().identity_of("C")->chain.front().fingerprint(crypto::Hash::sha256);
  EXPECT_FALSE(wire::check_access(*claims, thief)) << "who shows another certificate has nothing of it";
  EXPECT_TRUE(answered("A", Endpoint::pm2_decide, Json::object({{"action", "token.issue"}})).boolean("allowed").value());
}
POINT_TEST(IdentitiesOverTheWire, Pm_2, refuses, ScopesThatAreNotGrantedAndQuestionsAboutOthers) {
  EXPECT_EQ(status("A", Endpoint::pm2_token, Json::object({{"audience", "kms-a"}, {"scope", "grant.give"}})), 403U);
  EXPECT_EQ(status("A", Endpoint::pm2_decide, Json::object({{"subject", "C"}, {"action", "key.apply"}})), 403U);
  EXPECT_EQ(status("kms-a", Endpoint::pm2_token, Json::object({{"audience", "kms-a"}})), 403U);
}

POINT_TEST(IdentitiesOverTheWire, Pm_3, accepts, AQkmGetsATokenAndADecision) {
  EXPECT_FALSE(answered("qkm-a", Endpoint::pm3_token, Json::object({{"audience", "qkdnc"}})).text("token").value().empty());
  EXPECT_FALSE(answered("qkm-a", Endpoint::pm3_decide, Json::object({{"action", "identity.create"}})).boolean("allowed").value());
}
POINT_TEST(IdentitiesOverTheWire, Pm_3, refuses, OthersAndMore) {
  EXPECT_EQ(status("A", Endpoint::pm3_token, Json::object({{"audience", "qkdnc"}})), 403U);
  EXPECT_EQ(status("qkm-a", Endpoint::pm3_token, Json::object({{"audience", "qkdnc"}, {"scope", "identity.import"}})), 403U);
}

POINT_TEST(IdentitiesOverTheWire, Ua_1, accepts, WhatAKmsReportsIsFoundBySubjectAndKind) {
  EXPECT_EQ(status("kms-a", Endpoint::ua1_record, behaviour("A", "ua-1 marker")), 200U);
  const Json found = ask("auditor", Endpoint::x5_behaviour, Json::object({{"op", "query"}, {"uid", "A"}, {"action", "test"}}));
  const auto records = found.array("records").value();
  ASSERT_FALSE(records.empty());
  EXPECT_EQ(records.back().text("reporter").value(), "kms-a");
}
POINT_TEST(IdentitiesOverTheWire, Ua_1, refuses, Terminals) { EXPECT_EQ(status("A", Endpoint::ua1_record, behaviour("A", "x")), 403U); }
POINT_TEST(IdentitiesOverTheWire, Ua_2, accepts, WhatATerminalReportsOfItself) { EXPECT_EQ(status("A", Endpoint::ua2_record, behaviour("A", "ua-2")), 200U); }
POINT_TEST(IdentitiesOverTheWire, Ua_2, refuses, WhatATerminalSaysOfOthers) {
  EXPECT_EQ(status("A", Endpoint::ua2_record, behaviour("C", "x")), 403U);
  EXPECT_EQ(status("A", Endpoint::ua2_record, behaviour("A", "x", 65)), 400U);
  EXPECT_EQ(status("qkm-a", Endpoint::ua2_record, behaviour("qkm-a", "x")), 403U);
}
POINT_TEST(IdentitiesOverTheWire, Ua_3, accepts, WhatAQkmReportsOfItself) {
  EXPECT_EQ(status("qkm-a", Endpoint::ua3_record, behaviour("qkm-a", "ua-3")), 200U);
}
POINT_TEST(IdentitiesOverTheWire, Ua_3, refuses, WhatAQkmSaysOfOthers) {
  EXPECT_EQ(status("qkm-a", Endpoint::ua3_record, behaviour("A", "x")), 403U);
  EXPECT_EQ(status("A", Endpoint::ua3_record, behaviour("A", "x")), 403U);
}

POINT_TEST(IdentitiesOverTheWire, X_5, accepts, OperatorsAdministratorAndAuditorEachDoTheirOwn) {
  ask("operator", Endpoint::x5_identity, Json::object({{"op", "create"}, {"identity", Json::object({{"uid", "wang"}, {"class", "person"}, {"domain", "a"}})}}));
  const Json given = ask("administrator", Endpoint::x5_privilege, Json::object({{"op", "give"}, {"subject", "wang"}, {"role", "operator"}}));
  const Json why = ask("auditor", Endpoint::x5_privilege, Json::object({{"op", "why"}, {"subject", "wang"}, {"action", "identity.create"}}));
  EXPECT_TRUE(why.boolean("allowed").value());
  ask("administrator", Endpoint::x5_privilege, Json::object({{"op", "take"}, {"grant", given.integer("id").value()}}));
}
POINT_TEST(IdentitiesOverTheWire, X_5, refuses, WhatBelongsToAnotherDuty) {
  const Json suspend = Json::object({{"op", "suspend"}, {"uid", "A"}});
  EXPECT_EQ(refused("administrator", Endpoint::x5_identity, suspend), ErrorCode::denied);
  EXPECT_EQ(refused("auditor", Endpoint::x5_identity, suspend), ErrorCode::denied);
  EXPECT_EQ(refused("operator", Endpoint::x5_privilege, Json::object({{"op", "give"}, {"subject", "operator"}, {"role", "auditor"}})), ErrorCode::denied);
  EXPECT_EQ(refused("administrator", Endpoint::x5_privilege, Json::object({{"op", "give"}, {"subject", "administrator"}, {"role", "operator"}})),
            ErrorCode::denied);
  net().expect_audit("iam", "x-5.privilege", "cannot give a role to itself");
  EXPECT_EQ(status("A", Endpoint::x5_identity, suspend), 403U);
}

TEST_F(IdentitiesOverTheWire, ASuspensionVoidsATokenThatTheKmsHoldsWithinSeconds) {
  ASSERT_TRUE(net().apply("A", "C").agree());
  const std::size_t before = net().audit("kms-a", "pm-1.revoked").size();
  ask("operator", Endpoint::x5_identity, Json::object({{"op", "suspend"}, {"uid", "A"}}));
  TestNetwork::await("IAM's word at the KMS", [&] { return net().audit("kms-a", "pm-1.revoked").size() > before; }, std::chrono::seconds(5));
  const auto answer = apply();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, ErrorCode::denied) << answer.error().message;
  ask("operator", Endpoint::x5_identity, Json::object({{"op", "resume"}, {"uid", "A"}}));
  EXPECT_TRUE(net().apply("A", "C").agree());
}

TEST_F(IdentitiesOverTheWire, AGrantIsEnforcedWhereKeysAreAppliedForAndItsEndHoldsWithinSeconds) {
  const auto give = [](const char* subject, const char* domain) {
    return ask("administrator", Endpoint::x5_privilege, Json::object({{"op", "give"}, {"subject", subject}, {"role", "subscriber"}, {"domain", domain}}))
        .integer("id")
        .value();
  };
  const auto take = [](std::int64_t grant) { ask("administrator", Endpoint::x5_privilege, Json::object({{"op", "take"}, {"grant", grant}})); };
  const auto may = [](const char* domain) {
    return ask("auditor", Endpoint::x5_privilege,
               Json::object({{"op", "why"}, {"subject", "A"}, {"action", "key.apply"}, {"point", "Km-1"}, {"peer_domain", domain}, {"level", 1}}))
        .boolean("allowed")
        .value();
  };
  const auto told = [](const char* kms) { return net().audit(kms, "pm-1.revoked").size(); };
  const auto everybodys = ask("auditor", Endpoint::x5_privilege, Json::object({{"op", "grants"}, {"subject", "class:terminal"}})).array("grants").value();
  ASSERT_EQ(everybodys.size(), 1U);
  // Everybody may call those of domain a; A those of b as well.
  const std::int64_t everybody_at_home = give("class:terminal", "a");
  const std::int64_t to_b = give("A", "b");
  std::size_t before = told("kms-a");
  take(everybodys[0].integer("id").value());
  TestNetwork::await("IAM's word at the KMS", [&] { return told("kms-a") > before; }, std::chrono::seconds(5));
  const auto abroad = net().apply("A", "B");
  ASSERT_TRUE(abroad.agree()) << abroad.reasons();
  EXPECT_TRUE(may("b"));

  before = told("kms-a");
  take(to_b);
  TestNetwork::await("IAM's word at the KMS", [&] { return told("kms-a") > before; }, std::chrono::seconds(5));
  EXPECT_FALSE(may("b"));
  const auto refused = net().apply("A", "B");
  ASSERT_FALSE(refused.caller);
  EXPECT_EQ(refused.caller.error().code, ErrorCode::denied);
  EXPECT_NE(refused.caller.error().message.find("is for the domain a, not b"), std::string::npos) << refused.caller.error().message;
  net().expect_audit("kms-a", "km-1.application", "no keys with the domain b: no grant of 'A' permits key.apply");
  EXPECT_TRUE(may("a"));
  const auto at_home = net().apply("A", "C");
  EXPECT_TRUE(at_home.agree()) << at_home.reasons();
  // Who is called needs a grant as well: B's is for domain a, A has none for b.
  const auto called = net().apply("B", "A");
  ASSERT_FALSE(called.callee);
  EXPECT_EQ(called.callee.error().code, ErrorCode::denied) << called.callee.error().message;

  ask("administrator", Endpoint::x5_privilege,
      Json::object({{"op", "give"}, {"subject", "A"}, {"role", "subscriber"}, {"domain", "b"}, {"level_max", 2}}));
  EXPECT_TRUE(may("b"));
  const auto again = net().apply("A", "B");
  EXPECT_TRUE(again.agree()) << again.reasons();
  net().expect_audit("kms-a", "km-1.delivered", "PQC alone: the grant does not reach to quantum keys");

  // The own domain is one like the others.
  before = told("kms-a");
  take(everybody_at_home);
  TestNetwork::await("IAM's word at the KMS", [&] { return told("kms-a") > before; }, std::chrono::seconds(5));
  const auto not_at_home = net().apply("A", "C");
  ASSERT_FALSE(not_at_home.caller);
  EXPECT_NE(not_at_home.caller.error().message.find("no keys with the domain a"), std::string::npos) << not_at_home.caller.error().message;
  give("class:terminal", "*");
}

TEST_F(IdentitiesOverTheWire, WhatIamDecidedReachesAKmsThatWasAwayAndSurvivesIamsDeath) {
  TestNetwork::await("an outbox without what was said before", [&] { return health_count("iam", "messages_waiting") == 0; });
  const std::size_t before = net().audit("kms-b", "pm-1.revoked").size();
  net().running().stop_element("kms-b", app::RunningNetwork::Ending::kill);
  ask("administrator", Endpoint::x5_privilege, Json::object({{"op", "revoke"}, {"subject", "C"}}));
  TestNetwork::await("a message that waits", [&] { return health_count("iam", "messages_waiting") == 1; });
  net().running().stop_element("iam", app::RunningNetwork::Ending::kill);
  ASSERT_TRUE(net().running().start_element("iam"));
  EXPECT_EQ(health_count("iam", "messages_waiting"), 1);
  ASSERT_TRUE(net().running().start_element("kms-b"));
  TestNetwork::await("IAM's word at the KMS that was away", [&] { return net().audit("kms-b", "pm-1.revoked").size() > before; });
  TestNetwork::await("an empty outbox", [&] { return health_count("iam", "messages_waiting") == 0; });
}

TEST_F(IdentitiesOverTheWire, AnAnomalyReachesTheCmspAlsoWhenThatWasAway) {
  ask("administrator", Endpoint::x5_behaviour,
      Json::object({{"op", "set_rules"}, {"rules", Json::object({{"rate", Json::object({{"max", 3}, {"window_s", 60}})}})}}));
  const std::int64_t before = health_count("cmsp", "notices");
  net().running().stop_element("cmsp", app::RunningNetwork::Ending::kill);
  EXPECT_EQ(status("kms-a", Endpoint::ua1_record, behaviour("hasty", "x", 4)), 200U);
  const auto found = ask("auditor", Endpoint::x5_behaviour, Json::object({{"op", "anomalies"}, {"uid", "hasty"}})).array("anomalies").value();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0].text("rule").value(), "rate");
  EXPECT_EQ(found[0].array("records").value().size(), 4U);
  ASSERT_TRUE(net().running().start_element("cmsp"));
  TestNetwork::await("the notice at the CMSP", [&] { return health_count("cmsp", "notices") == before + 1; });
  EXPECT_TRUE(net().op().health("cmsp")->text("last_notice").value().starts_with("rate of hasty: 4 times 'test'"));
}
POINT_TEST(IdentitiesOverTheWire, X_12, accepts, WhatTheCmspReports) { EXPECT_EQ(status("cmsp", Endpoint::x12_record, behaviour("A", "x-12")), 200U); }
POINT_TEST(IdentitiesOverTheWire, X_12, refuses, Others) {
  EXPECT_EQ(status("kms-a", Endpoint::x12_record, behaviour("A", "x")), 403U);
  const auto notice = net().call_json("kms-a", Endpoint::x12_notice, "cmsp", Json::object());
  ASSERT_TRUE(notice);
  EXPECT_EQ(notice->status, 403U);
}

TEST_F(IdentitiesOverTheWire, TheCommandsDoWhatTheirHelpShows) {
  duties_.clear();  // the commands open the same identities
  net().close_op();
  const TemporaryDirectory folder;
  const std::string on = " --state " + net().network().folder().string();
  const auto run = [&](const std::string& line) { return run_program("iam " + line + on, folder); };
  const auto json = [&](const std::string& line) {
    const Outcome outcome = run(line + " --json");
    EXPECT_EQ(outcome.code, 0) << line << ": " << outcome.error;
    return outcome.code == 0 ? outcome.json() : Json::object();
  };
  EXPECT_EQ(json("create zhang --class person --domain a --name 'Zhang San' --mail z@a.example").integer("version").value_or(0), 1);
  EXPECT_EQ(json("change zhang --set mail=zhang@a.example --version 1").integer("version").value_or(0), 2);
  const Outcome stale = run("change zhang --set mail=z@b.example --version 1");
  EXPECT_EQ(stale.code, 1);
  EXPECT_NE(stale.error.find("is of version 2, not 1"), std::string::npos) << stale.error;
  EXPECT_EQ(json("suspend zhang").text("status").value_or(""), "suspended");
  EXPECT_EQ(json("show zhang").integer("epoch").value_or(0), 1);
  const Outcome lines = run("export --class person > " + (folder / "people.jsonl").string());
  EXPECT_EQ(lines.code, 0) << lines.error;
  EXPECT_EQ(json("import " + (folder / "people.jsonl").string()).integer("changed").value_or(-1), 0);
  EXPECT_EQ(run("delete zhang").code, 0);
  EXPECT_EQ(run("show zhang").code, 1);
  EXPECT_NE(run("list --class element").out.find("kms-a"), std::string::npos);

  EXPECT_EQ(json("create console --class application --domain core").text("class").value_or(""), "application");
  EXPECT_EQ(json("client console --redirect https://console.example/back").array("redirect_uris").value().size(), 1U);
  EXPECT_NE(run("clients").out.find("https://console.example/back"), std::string::npos);
  EXPECT_EQ(run("client console --redirect http://console.example/back").code, 1) << "without TLS";
  EXPECT_EQ(run("client console --redirect https://console.example/back --as operator").code, 1) << "not the operator's to say";
  EXPECT_EQ(run("unclient console").code, 0);
  EXPECT_EQ(run("unclient console").code, 1);
  EXPECT_EQ(json("grants administrator").array("grants").value().size(), 1U);
  const Outcome why = run("why A key.apply --point Km-1 --peer-domain b --level 3");
  EXPECT_NE(why.out.find("A may key.apply"), std::string::npos) << why.out << why.error;
  EXPECT_NE(why.out.find("decided: grant"), std::string::npos) << why.out;
  EXPECT_NE(run("why A grant.give --target C").out.find("A may not grant.give"), std::string::npos);
  EXPECT_EQ(run("grant administrator operator").code, 1);
  EXPECT_EQ(json("rules --set hour.days_min=9").object("hour").value_or(Json::object()).integer("days_min").value_or(0), 9);
  EXPECT_EQ(run("behaviour --uid A --limit 5 --json").code, 0);
  EXPECT_EQ(run("anomalies --json").code, 0);
  EXPECT_EQ(run("roles").code, 0);
  EXPECT_EQ(run("why A identity.fly").code, 1);
  EXPECT_EQ(run_program("iam", folder).code, 2);
}

}  // namespace
}  // namespace qanat::test
