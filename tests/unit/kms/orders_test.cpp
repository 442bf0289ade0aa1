// An operator suspends, recovers and destroys working keys, and fetches the charges.
#include "services/kms/kma/orders.hpp"

#include <map>

#include "applicants.hpp"
#include "services/kms/kp/encryption_state.hpp"
#include "services/kms/kp/owed_records.hpp"

namespace qanat::kms {
namespace {

using store::KeyState;
using test::refusal;
using wire::Json;
using wire::Role;

const Identity operator_id = identity("qanat://core/operator/operator");

class OrdersTest : public testing::TestWithParam<test::StoreKind> {
 protected:
  Result<net::Response> order(const Json& body) { return kms_.orders().keys(test::json_request(operator_id, body)); }
  static Json by_terminal(const char* op, const char* uid) { return Json::object({{"op", op}, {"encryption_key_of", uid}, {"reason", "lost terminal"}}); }
  std::string state_of(const char* uid) {
    return must(must(test::json_of(order(Json::object({{"op", "show"}, {"encryption_key_of", uid}}))).object("encryption_key")).text("state"));
  }
  static Json by_session(const char* op, const SidWk& sid) { return Json::object({{"op", op}, {"sid_wk", sid.hex()}, {"reason", "lost terminal"}}); }
  Result<net::Response> apply(Person& who, const Applicants::Made& made) {
    kms_.applying_ = &who;
    return kms_.apply(who, made);
  }
  /// A session whose caller has its key, and whose callee has not applied yet.
  SidWk half_delivered() {
    const SidWk sid = kms_.session();
    must(apply(kms_.a(), kms_.make(kms_.a(), sid, Role::caller)));
    return sid;
  }

  Applicants kms_{{}, GetParam()};
};

INSTANTIATE_TEST_SUITE_P(Stores, OrdersTest, test::both_databases, test::name_of);

TEST_P(OrdersTest, SuspendedKeyIsNotGivenUntilItIsRecovered) {
  const SidWk sid = half_delivered();
  const Json answer = test::json_of(order(by_session("suspend", sid)));
  const auto keys = must(answer.array("keys"));
  ASSERT_EQ(keys.size(), 2U);
  EXPECT_EQ(must(keys[0].text("state")), "delivered");
  EXPECT_TRUE(must(keys[0].text("refused")).ends_with("is delivered, there is no 'suspend' of such a key")) << "it has left";
  EXPECT_EQ(must(keys[1].text("state")), "suspended");
  EXPECT_TRUE(kms_.on_record("suspend on order: lost terminal by qanat://core/operator/operator"));

  const auto refused = apply(kms_.c(), kms_.make(kms_.c(), sid, Role::callee));
  EXPECT_EQ(refusal(refused), ErrorCode::denied);
  EXPECT_TRUE(refused.error().message.ends_with("its key is suspended by order")) << refused.error().message;
  kms_.open();
  must(order(by_session("recover", sid)));
  EXPECT_TRUE(apply(kms_.c(), kms_.make(kms_.c(), sid, Role::callee)));
}

TEST_P(OrdersTest, NothingIsEncryptedToATerminalWhoseEncryptionKeyIsSuspendedUntilItIsRecovered) {
  const SidWk sid = kms_.session();
  const auto of_a = kms_.make(kms_.a(), sid, Role::caller);
  const Bytes to_a = must(apply(kms_.a(), of_a)).body;
  EXPECT_EQ(state_of("C"), "active");
  const Json key = must(test::json_of(order(by_terminal("suspend", "C"))).object("encryption_key"));
  EXPECT_EQ(must(key.text("state")), "suspended");
  EXPECT_EQ(must(key.text("enc_kid")), to_hex(kms_.c().terminal.enc_kid));
  EXPECT_EQ(must(key.text("library")), "history") << "its terminal has it";
  EXPECT_TRUE(kms_.on_record("suspended: suspend on order: lost terminal by qanat://core/operator/operator"));
  Json health = Json::object();
  kms_.application().describe_health(health);
  EXPECT_EQ(must(health.integer("suspended_encryption_keys")), 1);

  const auto of_c = kms_.make(kms_.c(), sid, Role::callee);
  const auto refused = [&](const Result<net::Response>& answer, const std::string& uid) {
    EXPECT_EQ(refusal(answer), ErrorCode::denied);
    EXPECT_EQ(answer.error().message, "the encryption key of " + uid + " is suspended by order");
  };
  refused(apply(kms_.c(), of_c), "C");
  EXPECT_TRUE(kms_.on_record("the encryption key of C is suspended by order"));
  refused(apply(kms_.a(), kms_.make(kms_.a(), kms_.session(), Role::caller)), "C");
  EXPECT_EQ(refusal(order(by_terminal("suspend", "C"))), ErrorCode::conflict);
  must(order(by_terminal("suspend", "A")));
  refused(apply(kms_.a(), of_a), "A");
  kms_.open();
  refused(apply(kms_.c(), of_c), "C");

  must(order(by_terminal("recover", "C")));
  must(order(by_terminal("recover", "A")));
  EXPECT_EQ(state_of("C"), "active");
  EXPECT_TRUE(apply(kms_.c(), of_c));
  EXPECT_EQ(must(apply(kms_.a(), of_a)).body, to_a) << "the same application gets the same answer";
  EXPECT_EQ(refusal(order(by_terminal("recover", "C"))), ErrorCode::conflict);
}

TEST_P(OrdersTest, AKeyThatIsSuspendedWhileItsApplicationIsUnderWayGetsNothing) {
  const SidWk sid = kms_.session();
  bool ordered = false;
  kms_.while_asked_ = [&](points::Endpoint) {
    if (!ordered) must(order(by_terminal("suspend", "A")));
    ordered = true;
  };
  const auto refused = apply(kms_.a(), kms_.make(kms_.a(), sid, Role::caller));
  ASSERT_TRUE(ordered);
  EXPECT_EQ(refusal(refused), ErrorCode::denied);
  EXPECT_EQ(refused.error().message, "the encryption key of A is suspended by order");
  EXPECT_FALSE(kms_.has_leg(sid, Role::caller));
}

TEST_P(OrdersTest, AnEncryptionKeyExpiresWithItsCertificatesAndIsThenNeitherUsedNorSuspended) {
  const Uid uid("A");
  const auto row = must(kms_.in_transaction([&](store::Transaction& transaction) { return find_terminal(transaction, uid); }));
  ASSERT_TRUE(row);
  const KnownTerminal known = must(KnownTerminal::from_row(kms_.node().suite(), *row));
  const UnixMs end = std::min(kms_.a().bundle.classical_encryption.not_after(), kms_.a().bundle.ml_kem_encryption.not_after());
  must(check_encryption_key(known, end));
  const auto refused = check_encryption_key(known, end + 1);
  EXPECT_EQ(refusal(refused), ErrorCode::denied);
  EXPECT_EQ(refused.error().message, "the encryption key of A is expired");
  const auto at = [&](UnixMs now) {
    return must(kms_.in_transaction([&](store::Transaction& transaction) { return find_encryption_key(transaction, uid, now); }));
  };
  EXPECT_EQ(at(end).state, KeyState::active);
  EXPECT_EQ(at(end + 1).state, KeyState::expired);
  EXPECT_EQ(at(end).until_ms, end);
  const auto late = kms_.in_transaction([&](store::Transaction& transaction) {
    return change_encryption_key(transaction, uid, store::KeyEvent::suspend, end + 1);
  });
  EXPECT_EQ(refusal(late), ErrorCode::conflict);
  EXPECT_TRUE(late.error().message.ends_with("of A: is expired, there is no 'suspend' of such a key")) << late.error().message;
}

TEST_P(OrdersTest, AnOrderForAnEncryptionKeyNamesOneThatIsThereAndWhatCanBeDoneWithIt) {
  EXPECT_EQ(refusal(order(by_terminal("suspend", "nobody"))), ErrorCode::not_found);
  EXPECT_EQ(refusal(order(Json::object({{"op", "show"}, {"encryption_key_of", "nobody"}}))), ErrorCode::not_found);
  const std::pair<Json, const char*> wrong[] = {
      {by_terminal("destroy", "A"), "by the revocation of its certificates"},
      {by_terminal("archive", "A"), "op: 'archive'"},
      {by_terminal("suspend", "a b"), "uid"},
      {Json::object({{"op", "suspend"}, {"encryption_key_of", "A"}, {"reason", ""}}), "reason"},
      {Json::object({{"op", "suspend"}, {"encryption_key_of", "A"}, {"uid", "A"}, {"reason", "x"}}), "uid"},
  };
  for (const auto& [body, why] : wrong) {
    const auto refused = order(body);
    ASSERT_EQ(refusal(refused), ErrorCode::invalid_argument) << body.dump();
    EXPECT_TRUE(refused.error().message.contains(why)) << refused.error().message;
  }
  EXPECT_EQ(state_of("A"), "active");
}

TEST_P(OrdersTest, EverythingOfASubscriberIsDestroyedAndNothingOfItsPeers) {
  const SidWk one = half_delivered();
  const SidWk two = half_delivered();
  const Bytes commitment = kms_.leg(one, Role::callee).commitment;
  const Json answer = test::json_of(order(Json::object({{"op", "destroy"}, {"uid", "C"}, {"reason", "contract ended"}})));
  EXPECT_EQ(must(answer.array("keys")).size(), 2U);
  for (const SidWk& sid : {one, two}) {
    EXPECT_EQ(kms_.leg(sid, Role::callee).state, KeyState::destroyed);
    EXPECT_TRUE(kms_.leg(sid, Role::callee).key.wk.empty());
    EXPECT_EQ(kms_.leg(sid, Role::caller).state, KeyState::delivered);
  }
  EXPECT_TRUE(kms_.on_record("destroy on order: contract ended (commitment " + to_hex(commitment) + ") by qanat://core/operator/operator"));
  EXPECT_EQ(refusal(order(Json::object({{"op", "destroy"}, {"uid", "C"}, {"reason", "again"}}))), ErrorCode::not_found);
}

TEST_P(OrdersTest, AnOrderForASubscriberReachesAllOfItsLegsAndSaysHowManyItDoesNotList) {
  constexpr std::int64_t further = 3;
  WorkingKey key = kms_.leg(half_delivered(), Role::callee).key;
  must(kms_.in_transaction([&](store::Transaction& transaction) -> Result<void> {
    for (std::size_t i = 0; i + 1 < Ledger::living_at_once + further; ++i) {  // and the one of the call
      key.sid_wk = kms_.session();
      key.sid_call = kms_.node().rng().id<SidCall>();
      TRY(kms_.ledger().add(transaction, key));
      TRY(kms_.ledger().advance(transaction, key.sid_wk, key.leg, KeyState::reserved));
    }
    return {};
  }));
  const auto living = [&] {
    std::map<std::string, std::int64_t> out;
    must(kms_.in_transaction([&](store::Transaction& transaction) {
      out.clear();
      return transaction.query("SELECT state, count(*) FROM working_key WHERE uid = 'C' GROUP BY state", {},
                               [&](const store::Row& row) { out[row.text(0)] = row.integer(1); });
    }));
    return out;
  };
  constexpr auto all = static_cast<std::int64_t>(Ledger::living_at_once) + further;
  for (const auto& [op, state] : {std::pair("suspend", "suspended"), std::pair("destroy", "destroyed")}) {
    const Json answer = test::json_of(order(Json::object({{"op", op}, {"uid", "C"}, {"reason", "contract ended"}})));
    EXPECT_EQ(must(answer.array("keys")).size(), 1000U);
    EXPECT_EQ(must(answer.integer("further")), further);
    EXPECT_EQ(living(), (std::map<std::string, std::int64_t>{{state, all}}));
  }
}

TEST(OrderedEnds, AreOwedToTheRecordByTheWorkThatMadeThem) {
  Applicants kms;
  const SidWk sid = kms.session();
  kms.applying_ = &kms.a();
  must(kms.apply(kms.a(), kms.make(kms.a(), sid, Role::caller)));
  const auto run = [&](std::string_view sql) {
    must(kms.in_transaction([&](store::Transaction& transaction) -> Result<void> {
      TRY(transaction.run(sql, {}));
      return {};
    }));
  };
  const auto owed = [&] {
    std::int64_t out = 0;
    must(kms.in_transaction([&](store::Transaction& transaction) {
      return transaction.query("SELECT count(*) FROM owed_record", {}, [&](const store::Row& row) { out = row.integer(0); });
    }));
    return out;
  };
  run("CREATE TRIGGER kept BEFORE DELETE ON owed_record BEGIN SELECT RAISE(ABORT, 'kept'); END");
  EXPECT_FALSE(kms.orders().keys(test::json_request(operator_id, Json::object({{"op", "destroy"}, {"sid_wk", sid.hex()}, {"reason", "lost terminal"}}))))
      << "what is owed cannot be taken out";
  EXPECT_EQ(kms.leg(sid, Role::callee).state, KeyState::destroyed);
  EXPECT_EQ(owed(), 2) << "both legs' ends";
  run("DROP TRIGGER kept");
  must(pay_records(kms.node(), kms.store(), Owed::all));
  EXPECT_EQ(owed(), 0);
  EXPECT_TRUE(kms.on_record("\"wk.ordered\""));
}

TEST_P(OrdersTest, DestroyedKeysDeliveryIsNotGivenAgain) {
  const SidWk sid = kms_.session();
  const auto made = kms_.make(kms_.a(), sid, Role::caller);
  must(apply(kms_.a(), made));
  must(order(by_session("destroy", sid)));
  EXPECT_EQ(refusal(apply(kms_.a(), made)), ErrorCode::conflict);
}

TEST_P(OrdersTest, OrderThatNamesNothingOrTooMuchIsRefusedAndOnRecord) {
  const SidWk sid = half_delivered();
  EXPECT_EQ(refusal(order(by_session("suspend", kms_.session()))), ErrorCode::not_found);
  EXPECT_EQ(refusal(order(by_session("recover", sid))), ErrorCode::conflict) << "none of them is suspended";
  const std::pair<Json, const char*> wrong[] = {
      {by_session("archive", sid), "op: 'archive'"},
      {Json::object({{"op", "suspend"}, {"sid_wk", sid.hex()}, {"uid", "A"}, {"reason", "x"}}), "either sid_wk or uid"},
      {Json::object({{"op", "suspend"}, {"reason", "x"}}), "either sid_wk or uid"},
      {Json::object({{"op", "suspend"}, {"sid_wk", "00"}, {"reason", "x"}}), "octets where"},
      {Json::object({{"op", "suspend"}, {"uid", "a b"}, {"reason", "x"}}), "uid"},
      {Json::object({{"op", "suspend"}, {"uid", "A"}, {"reason", ""}}), "reason"},
      {Json::object({{"op", "suspend"}, {"uid", "A"}, {"reason", std::string(201, 'x')}}), "reason"},
      {Json::object({{"op", "suspend"}, {"uid", "A"}, {"reason", "x"}, {"force", true}}), "force"},
  };
  for (const auto& [body, why] : wrong) {
    const auto refused = order(body);
    ASSERT_EQ(refusal(refused), ErrorCode::invalid_argument) << body.dump();
    EXPECT_TRUE(refused.error().message.contains(why)) << refused.error().message;
    EXPECT_TRUE(kms_.on_record(why)) << why;
  }
  EXPECT_EQ(kms_.leg(sid, Role::callee).state, KeyState::reserved);
}

TEST_P(OrdersTest, ChargesComePageByPage) {
  std::set<std::string> delivered;
  for (int i = 0; i < 3; ++i) delivered.insert(half_delivered().hex());
  const auto ask = [&](const Json& body) { return kms_.orders().charges(test::json_request(operator_id, body)); };
  const std::int64_t end = static_cast<std::int64_t>(SystemClock().now_ms()) + 60'000;
  const Json all = test::json_of(ask(Json::object({{"from_ms", 0}, {"until_ms", end}})));
  const auto charges = must(all.array("charges"));
  ASSERT_EQ(charges.size(), 3U);
  EXPECT_FALSE(all.has("next")) << "no page is left";
  std::set<std::string> charged;
  for (const Json& one : charges) charged.insert(must(one.text("sid_wk")));
  EXPECT_EQ(charged, delivered);
  const Json after = Json::object({{"delivered_ms", must(charges[0].integer("delivered_ms"))}, {"sid_wk", must(charges[0].text("sid_wk"))}, {"leg", 1}});
  EXPECT_EQ(must(test::json_of(ask(Json::object({{"from_ms", 0}, {"until_ms", end}, {"after", after}}))).array("charges")).size(), 2U);
  for (const Json& wrong : {Json::object({{"from_ms", -1}, {"until_ms", end}}), Json::object({{"from_ms", 0}}), Json::object({{"from_ms", 0}, {"until_ms", 1}, {"of", "A"}}),
                            Json::object({{"from_ms", 0}, {"until_ms", end}, {"after", Json::object({{"delivered_ms", 1}, {"sid_wk", "zz"}, {"leg", 1}})}}),
                            Json::object({{"from_ms", 0}, {"until_ms", end}, {"after", Json::object({{"delivered_ms", 1}, {"sid_wk", std::string(32, '0')}, {"leg", 3}})}})}) {
    EXPECT_EQ(refusal(ask(wrong)), ErrorCode::invalid_argument) << wrong.dump();
  }
}

}  // namespace
}  // namespace qanat::kms
