// Behaviour records over the wire: every kind of element reports to IAM, a call is told by all who took part in it, and what does not fit together is found.
#include <set>

#include "point_test.hpp"
#include "test_network.hpp"

namespace qanat::test {
namespace {

using points::Endpoint;
using wire::Json;

class BehaviourOverTheWire : public SharedNetwork {
 protected:
  static void SetUpTestSuite() {
    SharedNetwork::SetUpTestSuite();
    if (!net().ok()) return;
    for (const char* uid : {"A", "B", "C"}) net().enrol(uid);
    net().await_quantum_keys();
    auto opened = app::Operator::open(net().network(), "administrator");
    if (!opened) throw std::runtime_error(opened.error().message);
    administrator_ = *std::move(opened);
  }
  static void TearDownTestSuite() {
    administrator_.reset();
    SharedNetwork::TearDownTestSuite();
  }

  static Json ask(Json question) {
    const auto answer = administrator_->ask(Endpoint::x5_behaviour, "iam", question);
    EXPECT_TRUE(answer) << (answer ? "" : answer.error().message);
    return answer.value_or(Json::object());
  }
  /// "reporter action outcome object", of all records that fit.
  static std::vector<std::string> told(const std::string& about, const std::string& action = "") {
    std::vector<std::string> out;
    for (const Json& one :
         ask(Json::object({{"op", "query"}, {"uid", about}, {"action", action}, {"limit", 500}})).array("records").value_or(std::vector<Json>())) {
      out.push_back(one.text("reporter").value() + " " + one.text("action").value() + " " + one.text("outcome").value() + " " + one.text("object").value());
    }
    return out;
  }
  static void await_told(const std::string& about, const std::string& wanted) {
    TestNetwork::await("'" + wanted + "' about " + about,
                       [&] { return std::ranges::any_of(told(about), [&](const std::string& one) { return one.starts_with(wanted); }); });
  }
  static void set_rules(const char* rules) { ask(Json::object({{"op", "set_rules"}, {"rules", Json::parse(std::string_view(rules)).value()}})); }
  static void await_anomaly(const std::string& rule, const std::string& about) {
    TestNetwork::await("the anomaly " + rule + " of " + about, [&] {
      const auto list = ask(Json::object({{"op", "anomalies"}, {"uid", about}})).array("anomalies").value_or(std::vector<Json>());
      return std::ranges::any_of(list, [&](const Json& one) { return one.text("rule").value() == rule; });
    });
  }
  Result<Json> call(const std::string& from, const std::string& to) { return net().hold_call(from, to, folder_ / "call", 8); }
  static std::int64_t notices() {
    const auto health = net().op().health("cmsp");
    return health ? health->integer("notices").value_or(-1) : -1;
  }

  TemporaryDirectory folder_;
  static inline std::unique_ptr<app::Operator> administrator_;
};

TEST_F(BehaviourOverTheWire, EveryKindOfElementReports) {
  std::set<Kind> kinds;
  for (const app::ElementPlan& element : net().network().elements()) {
    if (!element.started || element.identity.kind == Kind::iam || element.identity.kind == Kind::op) continue;
    await_told(element.name(), element.name() + " element started " + element.identity.uri());
    kinds.insert(element.identity.kind);
  }
  EXPECT_EQ(kinds, (std::set<Kind>{Kind::qkd, Kind::qkm, Kind::qkdnc, Kind::kms, Kind::cmsp, Kind::cas, Kind::ccs}));
  await_told("qkm-a", "qkm-a link up ");
  await_told("qkd-ar-alice", "qkd-ar-alice key_block delivered ");
  await_told("qkdnc", "qkdnc lead taken term ");
}

TEST_F(BehaviourOverTheWire, ACallIsToldByAllWhoTookPartInIt) {
  const auto summary = call("A", "B");
  ASSERT_TRUE(summary) << summary.error().message;
  const std::string session = summary->object("caller")->text("sid_wk").value();
  for (const auto& [about, kms] : {std::pair<std::string, std::string>{"A", "kms-a"}, {"B", "kms-b"}}) {
    await_told(about, "cas certificate issued ");
    await_told(about, kms + " enrolment success");
    await_told(about, about + " enrolment success qanat://" + kms.substr(4));
    await_told(about, kms + " application delivered " + session);
    await_told(about, about + " call started " + session);
    await_told(about, about + " call ended " + session);
  }
  await_told("A", "cmsp session opened " + session);
  await_told("B", "cmsp session notified " + session);
  await_told("qkm-a", "qkm-a supply delivered qanat://a/kms/kms-a");
  EXPECT_TRUE(ask(Json::object({{"op", "anomalies"}})).array("anomalies").value().empty()) << "all of it fits together";
}

TEST_F(BehaviourOverTheWire, WhatIsRefusedIsToldAboutWhoAsked) {
  const auto refused = net().call_json("C", Endpoint::x12_notice, "cmsp", Json::object());
  ASSERT_TRUE(refused);
  EXPECT_EQ(refused->status, 403U);
  await_told("C", "cmsp request refused ");
  // A further application for a key that was delivered.
  TestTerminal& caller = net().terminal("C");
  const Number called((*net().network().terminal("A"))->number);
  const terminal::KeyWanted wanted{.role = wire::Role::caller,
                                   .sid_wk = net().rng().id<SidWk>(),
                                   .sid_call = wire::make_sid_call(caller.number(), called, net().rng().bytes(16)),
                                   .caller = caller.number(),
                                   .called = called};
  EXPECT_TRUE(caller.send(Endpoint::km1_application, caller.application(wanted).value().octets()));
  EXPECT_FALSE(caller.send(Endpoint::km1_application, caller.application(wanted).value().octets()));
  await_told("C", "kms-a application refused ");
}

TEST_F(BehaviourOverTheWire, WhatDoesNotFitTogetherIsFoundAndReachesTheCmsp) {
  const std::int64_t before = notices();
  set_rules(R"({"keys":{"unused_max":0},"sequence":{"settle_s":0}})");
  const auto report = [](const std::string& from, Endpoint at, const std::string& about, const char* action, const char* outcome, UnixMs time) {
    const Json record = Json::object({{"time_ms", time}, {"uid", about}, {"action", action}, {"outcome", outcome}, {"object", std::string(32, '0')}});
    const auto reported = net().call_json(from, at, "iam", Json::object({{"records", Json::array({record})}}));
    ASSERT_TRUE(reported);
    EXPECT_EQ(reported->status, 200U) << as_text(reported->body);
  };
  const UnixMs now = SystemClock().now_ms();
  // A's terminal tells of its calls (there was one before): a key that waits for one longer than its grace is noticed with the next record of A.
  report("kms-a", Endpoint::ua1_record, "A", "application", "delivered", now - 400'000);
  ASSERT_TRUE(net().apply("A", "C").agree());
  await_anomaly("keys", "A");
  // A call in a session that no KMS gave a key for.
  report("B", Endpoint::ua2_record, "B", "call", "started", now);
  ASSERT_TRUE(net().apply("B", "A").agree());
  await_anomaly("sequence", "B");
  TestNetwork::await("both notices at the CMSP", [&] { return notices() >= before + 2; });
}

TEST_F(BehaviourOverTheWire, WhatAnElementCouldNotReportIsReportedWhenIamIsBack) {
  net().running().stop_element("iam", app::RunningNetwork::Ending::kill);
  const std::string uri = (*net().network().element("ccs"))->identity.uri();
  const auto count = [&] { return std::ranges::count(told("ccs"), "ccs element started " + uri); };
  net().running().stop_element("ccs", app::RunningNetwork::Ending::orderly);
  EXPECT_TRUE(std::filesystem::exists(net().network().state_of("ccs") / "behaviour.jsonl")) << "that it stopped is kept for its next start";
  ASSERT_TRUE(net().running().start_element("iam"));
  ASSERT_TRUE(net().running().start_element("ccs"));
  await_told("ccs", "ccs element stopped " + uri);
  TestNetwork::await("the second start", [&] { return count() == 2; });
  EXPECT_FALSE(std::filesystem::exists(net().network().state_of("ccs") / "behaviour.jsonl"));
}

}  // namespace
}  // namespace qanat::test
