// What an operator orders of a KMS over the wire: keys destroyed, charges fetched, by the program's own commands too.
#include "point_test.hpp"
#include "program.hpp"
#include "test_network.hpp"
#include "wire/key_schedule.hpp"

namespace qanat::test {
namespace {

using points::Endpoint;
using wire::Json;

constexpr std::chrono::seconds answer_within{10};

class KmsOrdersOverTheWire : public SharedNetwork {
 protected:
  static void SetUpTestSuite() {
    options_.optics = false;  // calls within a domain
    SharedNetwork::SetUpTestSuite();
    if (!net().ok()) return;
    for (const char* uid : {"A", "C"}) net().enrol(uid);
  }
};

POINT_TEST(KmsOrdersOverTheWire, X_5, accepts, ChargesOfACallAndTheDestructionOfItsKeys) {
  const auto pair = net().apply("A", "C");
  ASSERT_TRUE(pair.agree()) << pair.reasons();
  const auto charges = net().op().ask(Endpoint::x5_charges, "kms-a", Json::object({{"from_ms", 0}, {"until_ms", INT64_MAX}}));
  ASSERT_TRUE(charges) << charges.error().message;
  const auto list = charges->array("charges").value_or(std::vector<Json>{});
  ASSERT_EQ(list.size(), 2U);
  for (const Json& one : list) EXPECT_EQ(one.text("traffic").value_or(""), "voice");

  // A call whose caller has its key and has acknowledged it, and whose callee's waits.
  TestTerminal& caller = net().terminal("A");
  TestTerminal& callee = net().terminal("C");
  const auto sid_wk = net().rng().id<SidWk>();
  const SidCall sid_call = wire::make_sid_call(caller.number(), callee.number(), net().rng().bytes(16));
  const auto wanted = [&](wire::Role role) {
    return terminal::KeyWanted{.role = role, .sid_wk = sid_wk, .sid_call = sid_call, .caller = caller.number(), .called = callee.number()};
  };
  ASSERT_TRUE(caller.apply(wanted(wire::Role::caller), Deadline::after(answer_within)));
  const Json order = Json::object({{"op", "destroy"}, {"sid_wk", sid_wk.hex()}, {"reason", "test"}});
  const auto destroyed = net().op().ask(Endpoint::x5_keys, "kms-a", order);
  ASSERT_TRUE(destroyed) << destroyed.error().message;
  EXPECT_EQ(destroyed->array("keys").value_or(std::vector<Json>{}).size(), 1U);
  EXPECT_FALSE(callee.apply(wanted(wire::Role::callee), Deadline::after(answer_within))) << "it is gone";
  const auto again = net().op().ask(Endpoint::x5_keys, "kms-a", order);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::not_found) << again.error().message;
  net().expect_audit("kms-a", "wk.ordered", "destroy on order: test (commitment ");
}

POINT_TEST(KmsOrdersOverTheWire, X_5, accepts, TheSuspensionOfATerminalsEncryptionKeyAndItsRecovery) {
  const auto order = [](const char* op) {
    return net().op().ask(Endpoint::x5_keys, "kms-a", Json::object({{"op", op}, {"encryption_key_of", "A"}, {"reason", "test"}}));
  };
  const auto suspended = order("suspend");
  ASSERT_TRUE(suspended) << suspended.error().message;
  const auto refused = net().apply("A", "C", std::chrono::seconds(2));
  ASSERT_FALSE(refused.caller);
  EXPECT_TRUE(refused.caller.error().message.contains("the encryption key of A is suspended by order")) << refused.reasons();
  const auto recovered = order("recover");
  ASSERT_TRUE(recovered) << recovered.error().message;
  const auto pair = net().apply("A", "C");
  EXPECT_TRUE(pair.agree()) << pair.reasons();
  net().expect_audit("kms-a", "kp.encryption_key", "suspended: suspend on order: test by ");
}

POINT_TEST(KmsOrdersOverTheWire, X_5, refuses, OrdersOfOthersThanOperators) {
  const Json order = Json::object({{"op", "destroy"}, {"uid", "A"}, {"reason", "mine"}});
  for (const char* caller : {"A", "iam", "cmsp", "kms-b"}) {
    for (const Endpoint endpoint : {Endpoint::x5_keys, Endpoint::x5_charges}) {
      const auto answer = net().call_json(caller, endpoint, "kms-a", order);
      ASSERT_TRUE(answer) << answer.error().message;
      EXPECT_EQ(answer->status, 403U) << caller;
    }
  }
}

TEST_F(KmsOrdersOverTheWire, ByTheCommandLine) {
  net().close_op();
  const TemporaryDirectory folder;
  const std::string at = " --network " + net().network().folder().string() + " --kms kms-a ";
  const Outcome charges = run_program("kms charges --json" + at, folder);
  EXPECT_EQ(charges.code, 0) << charges.error;
  EXPECT_TRUE(charges.out.contains("\"delivered_ms\"")) << charges.out;
  const Outcome order = run_program("kms suspend --subscriber nobody --reason test" + at, folder);
  EXPECT_EQ(order.code, 1) << order.out;
  EXPECT_TRUE(order.error.contains("no working key of nobody lives at kms-a")) << order.error;
  for (const auto& [command, state] : {std::pair{"kms suspend --encryption-key-of C --reason test", "suspended"}, std::pair{"kms encryption-key --subscriber C", "suspended"},
                                       std::pair{"kms recover --encryption-key-of C --reason test", "active"}}) {
    const Outcome outcome = run_program(command + at, folder);
    EXPECT_EQ(outcome.code, 0) << command << outcome.error;
    EXPECT_TRUE(outcome.out.contains(state)) << outcome.out;
  }
}

/// Commands of an operator who has a configuration file of their own: with the elements' places, and no network of this machine beside it.
class OperatorsOwnConfiguration : public KmsOrdersOverTheWire {
 protected:
  void SetUp() override {
    ASSERT_NO_FATAL_FAILURE(KmsOrdersOverTheWire::SetUp());
    net().close_op();  // the commands open the same identity
    std::filesystem::copy_file(net().network().config_of("operator"), file_);
  }
  Outcome run(const std::string& command) const {
    return run_line("XDG_STATE_HOME=" + (folder_ / "no-network").string() + " " + QANAT_PROGRAM + " " + command + " --config " + file_.string(), folder_);
  }
  void expect_refusal(const std::string& command, int code, const char* reason) const {
    const Outcome outcome = run(command);
    EXPECT_EQ(outcome.code, code) << command << outcome.out;
    EXPECT_TRUE(outcome.error.contains(reason)) << command << ": " << outcome.error;
  }
  TemporaryDirectory folder_;
  std::filesystem::path file_ = folder_ / "wang.toml";
};

TEST_F(OperatorsOwnConfiguration, LeadsToElementsThatRunAnywhere) {
  ASSERT_TRUE(net().apply("A", "C").agree());
  const Outcome charges = run("kms charges --kms kms-a --json");
  EXPECT_EQ(charges.code, 0) << charges.error;
  EXPECT_TRUE(charges.out.contains("\"delivered_ms\"")) << charges.out;
  for (const char* command : {"kms archive --kms kms-a", "kms medium list --kms kms-b", "kms history --kms kms-a --uid A", "iam show A", "ca registrations", "csa list",
                              "service closed A", "service open A", "subscriber suspend A", "subscriber resume A"}) {
    const Outcome outcome = run(command);
    EXPECT_EQ(outcome.code, 0) << command << ": " << outcome.error;
  }
  const Outcome status = run("status --json");
  EXPECT_EQ(status.code, 0) << status.error;
  EXPECT_TRUE(status.out.contains("qanat://a/kms/kms-a")) << status.out;
  EXPECT_EQ(net().op().subscriber("A").value().text("status").value_or(""), "active") << "resumed";
}

TEST_F(OperatorsOwnConfiguration, SaysWhatItDoesNotLeadTo) {
  expect_refusal("kms suspend --kms kms-a --subscriber nobody --reason test", 1, "no working key of nobody lives at kms-a");
  expect_refusal("kms charges --kms kms-z", 1, "there is no element 'kms-z'");
  expect_refusal("kms charges --kms cas", 1, "does not answer this");
  expect_refusal("service closed nobody", 1, "nobody");
  expect_refusal("kms charges --kms kms-a --network lab", 2, "--network");
  expect_refusal("kms history --kms kms-a --uid A --as auditor", 2, "--as");
  std::filesystem::copy_file(net().network().config_of("kms-b"), file_, std::filesystem::copy_options::overwrite_existing);
  expect_refusal("kms charges --kms kms-a", 1, "is no operator");
}

}  // namespace
}  // namespace qanat::test
