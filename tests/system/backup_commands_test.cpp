// `qanat kms backup` and `restore`: a key that was delivered after the backup is not delivered again after the restoration, wherever that dies.
#include <fstream>

#include "program.hpp"
#include "test_network.hpp"
#include "wire/key_schedule.hpp"

namespace qanat::test {
namespace {

using app::RunningNetwork;

class BackupCommandsTest : public testing::Test {
 protected:
  BackupCommandsTest() {
    app::NetworkOptions options;
    options.optics = false;
    network_ = std::make_unique<TestNetwork>(options, QANAT_PROGRAM, [](const app::Network& network) {
      // A restored KMS takes nothing from before the end of this window: seconds, for a test.
      const std::filesystem::path file = network.config_of("kms-a");
      std::ifstream in(file, std::ios::binary);
      std::string config(std::istreambuf_iterator<char>(in), {});
      const std::string table = "[kms]\n";
      config.insert(config.find(table) + table.size(), "clock_window_ms = 2000\n");
      in.close();
      std::ofstream(file, std::ios::binary | std::ios::trunc) << config;
    });
  }
  void SetUp() override { ASSERT_TRUE(network_->ok()); }

  void stop() { network_->running().stop_element("kms-a", RunningNetwork::Ending::orderly); }
  void start() {
    const auto started = network_->running().start_element("kms-a");
    ASSERT_TRUE(started) << started.error().message;
  }
  Outcome command(const std::string& program, const std::string& words) {
    return run_line(program + " kms " + words + " --config " + network_->network().config_of("kms-a").string(), folder_);
  }
  Outcome restore(const std::string& before = "") { return command(before + QANAT_PROGRAM, "restore --from " + (folder_ / "backup.db").string()); }
  /// The restoration is killed there; the next one completes it.
  void crash(const std::string& place) {
    const testing::ScopedTrace trace(__FILE__, __LINE__, "the restoration dies at " + place);
    const std::filesystem::path mark = folder_ / place;
    const Outcome killed = command("QANAT_CRASH_AT=" + place + " QANAT_CRASH_ONCE=" + mark.string() + " " + QANAT_CRASH_PROGRAM,
                                   "restore --from " + (folder_ / "backup.db").string());
    EXPECT_NE(killed.code, 0);
    EXPECT_TRUE(std::filesystem::exists(mark)) << "the place was not reached: " << killed.error;
  }

  /// What an operator asks of the KMS's CSA; the member of the answer.
  std::string csa(points::Endpoint endpoint, const wire::Json& body, std::string_view member) {
    const auto answer = network_->op().ask(endpoint, "kms-a", body);
    EXPECT_TRUE(answer) << body.dump() << ": " << (answer ? "" : answer.error().message);
    return answer ? answer->text(member).value_or("") : std::string();
  }
  std::string change(const std::string& key, const char* word) {
    return csa(points::Endpoint::csa_change_state, wire::Json::object({{"key_id", key}, {"change", word}}), "state");
  }

  TemporaryDirectory folder_;
  std::unique_ptr<TestNetwork> network_;
};

TEST_F(BackupCommandsTest, KeyThatWasDeliveredAfterTheBackupIsNotDeliveredAfterTheRestoration) {
  for (const char* uid : {"A", "C"}) network_->enrol(uid);
  TestTerminal& caller = network_->terminal("A");
  TestTerminal& callee = network_->terminal("C");
  const auto sid_wk = network_->rng().id<SidWk>();
  const SidCall sid_call = wire::make_sid_call(caller.number(), callee.number(), network_->rng().bytes(16));
  const auto wanted = [&](wire::Role role) {
    return terminal::KeyWanted{.role = role, .sid_wk = sid_wk, .sid_call = sid_call, .caller = caller.number(), .called = callee.number()};
  };
  const auto soon = [] { return Deadline::after(std::chrono::seconds(10)); };
  ASSERT_TRUE(caller.apply(wanted(wire::Role::caller), soon()));  // the callee's key now waits, reserved

  const wire::Json mac = wire::Json::object({{"algorithm", "HMAC-SM3"}, {"usage", "mac"}});
  const std::string ended = csa(points::Endpoint::csa_create_key, mac, "key_id");
  const std::string kept = csa(points::Endpoint::csa_create_key, mac, "key_id");

  EXPECT_EQ(command(QANAT_PROGRAM, "backup --out " + (folder_ / "backup.db").string()).code, 1) << "it runs";
  stop();
  const Outcome saved = command(QANAT_PROGRAM, "backup --out " + (folder_ / "backup.db").string());
  ASSERT_EQ(saved.code, 0) << saved.error;
  start();
  ASSERT_TRUE(callee.apply(wanted(wire::Role::callee), soon())) << "delivered after the backup";
  EXPECT_EQ(change(ended, "disable"), "disabled");
  EXPECT_EQ(change(ended, "destroy"), "destroyed");
  network_->expect_audit("kms-a", "csa.destroyed", "(commitment ");
  stop();

  crash("kms.restore.placed");
  EXPECT_FALSE(network_->running().start_element("kms-a")) << "a backup does not serve";
  network_->running().stop_element("kms-a", RunningNetwork::Ending::kill);
  crash("kms.restore.begun");
  const Outcome restored = restore();
  ASSERT_EQ(restored.code, 0) << restored.error;
  start();
  EXPECT_FALSE(callee.apply(wanted(wire::Role::callee), soon())) << "too early";
  TestNetwork::await("calls after the window", [&] { return network_->apply("A", "C").agree(); });
  const auto again = callee.apply(wanted(wire::Role::callee), soon());
  ASSERT_FALSE(again) << "the same key twice";
  EXPECT_EQ(again.error().code, ErrorCode::conflict) << again.error().message;
  EXPECT_EQ(csa(points::Endpoint::csa_describe_key, wire::Json::object({{"key_id", ended}}), "state"), "suspended") << "it is not in use again";
  EXPECT_EQ(change(ended, "destroy"), "destroyed");
  network_->close_op();  // the command opens the same identity
  const Outcome enabled = run_program("csa enable --all-after-restoration --config " + network_->network().config_of("operator").string(), folder_);
  EXPECT_EQ(enabled.code, 0) << enabled.error;
  EXPECT_TRUE(enabled.out.contains(kept + "  enabled") && enabled.out.contains("keys enabled: 1; suspended still: 0")) << enabled.out;
  EXPECT_EQ(csa(points::Endpoint::csa_describe_key, wire::Json::object({{"key_id", kept}}), "state"), "enabled") << "by an operator's word";
  network_->expect_audit("kms-a", "csa.change_state", "all_after_restoration");
  for (const char* action : {"database.backup", "database.restore_intended", "database.restored"}) network_->expect_audit("kms-a", action, "");
}

}  // namespace
}  // namespace qanat::test
