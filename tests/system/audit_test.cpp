// Audit records of real elements: verified by the program, and by an auditor that shares no code with it; tampered with, and found out.
#include <algorithm>
#include <fstream>

#include "audit/auditor.hpp"
#include "point_test.hpp"
#include "program.hpp"
#include "test_network.hpp"

namespace qanat::test {
namespace {

class AuditSystem : public SharedNetwork {
 protected:
  static void SetUpTestSuite() {
    SharedNetwork::SetUpTestSuite();
    if (!net().ok()) return;
    for (const char* uid : {"A", "B"}) net().enrol(uid);
    net().await_quantum_keys();
    EXPECT_TRUE(net().apply("A", "B").agree());
  }
  static std::filesystem::path state_of(const std::string& element) { return net().network().state_of(element); }
  static std::string trust_option() { return " --trust " + net().network().trust().string(); }
  Outcome verify(const std::string& arguments) { return run_program("audit verify " + arguments + trust_option(), folder_); }
  /// Waits until everything that an element has recorded by now is under a checkpoint.
  static void await_checkpoint(const std::string& element) {
    const std::uint64_t records = static_cast<std::uint64_t>(net().audit(element, "").size());
    TestNetwork::await("a checkpoint of " + element, [&] { return checkpointed(element) >= records; });
  }
  static std::uint64_t checkpointed(const std::string& element) {
    const auto note = audit::parse_note(text_of(state_of(element) / "audit/checkpoint"));
    const auto checkpoint = note ? audit::parse_checkpoint(note->text) : Result<audit::Checkpoint>(fail(note.error()));
    return checkpoint ? checkpoint->head.size : 0;
  }
  static void put(const std::filesystem::path& file, std::string_view text) { std::ofstream(file, std::ios::binary | std::ios::trunc) << text; }
  /// What an auditor takes away: the record, and what stands beside it.
  std::filesystem::path copy_of(const std::string& element, const std::string& name) {
    std::filesystem::path out = folder_ / name;
    std::filesystem::create_directories(out);
    // The checkpoint first: the element is at work. A file that it replaces at this moment makes a copy fail.
    TestNetwork::await("a copy", [&] {
      std::error_code error;
      std::filesystem::remove_all(out / "audit", error);
      std::filesystem::copy(state_of(element) / "audit", out / "audit", std::filesystem::copy_options::recursive, error);
      return !error;
    });
    std::filesystem::copy_file(state_of(element) / "audit.jsonl", out / "audit.jsonl");
    return out;
  }
  /// Where line `n` (from 1) begins.
  static std::size_t line(const std::string& text, int n) {
    std::size_t at = 0;
    while (--n > 0) at = text.find('\n', at) + 1;
    return at;
  }
  void expect_found(const std::filesystem::path& log, const std::string& finding, const std::string& options = "") {
    const Outcome outcome = verify(log.string() + options);
    EXPECT_EQ(outcome.code, 1) << finding;
    EXPECT_TRUE(outcome.out.contains(finding)) << outcome.out << outcome.error;
  }

  TemporaryDirectory folder_;
};

TEST_F(AuditSystem, EveryElementsRecordIsWholeAndItsKeysLeadToARootWhileItWorks) {
  std::string states;
  std::size_t elements = 0;
  for (const app::ElementPlan& element : net().network().elements()) {
    if (!element.started) continue;
    await_checkpoint(element.name());
    states += state_of(element.name()).string() + " ";
    ++elements;
  }
  const Outcome outcome = verify(states + "--json");
  EXPECT_EQ(outcome.code, 0) << outcome.out << outcome.error;
  const auto reports = outcome.json().as_array().value();
  EXPECT_EQ(reports.size(), elements);
  for (const wire::Json& report : reports) {
    EXPECT_TRUE(report.boolean("whole").value());
    EXPECT_TRUE(report.boolean("traced").value());
    EXPECT_GT(report.integer("covered").value(), 0);
  }
}

TEST_F(AuditSystem, AnAuditorThatSharesNoCodeComesToTheSameVerdict) {
  const std::string openssl = QANAT_SOURCE_DIR "/.deps/openssl/bin/openssl";
  const std::string root = (net().network().trust() / "root-ml_dsa.pem").string();
  for (const std::string element : {"kms-a", "cas", "iam", "qkm-r", "qkd-ar-alice"}) {
    await_checkpoint(element);
    const Outcome outcome =
        run_line("python3 " QANAT_SOURCE_DIR "/tests/system/audit_client.py " + openssl + " " + state_of(element).string() + " " + root, folder_);
    EXPECT_EQ(outcome.code, 0) << element << ": " << outcome.error;
    EXPECT_TRUE(outcome.out.starts_with("whole, ")) << outcome.out;
  }
  const std::filesystem::path copy = copy_of("kms-a", "copy");
  std::string lines = text_of(copy / "audit.jsonl");
  lines[lines.find("qanat://")] = 'Q';
  put(copy / "audit.jsonl", lines);
  EXPECT_NE(run_line("python3 " QANAT_SOURCE_DIR "/tests/system/audit_client.py " + openssl + " " + copy.string() + " " + root, folder_).code, 0);
}

TEST_F(AuditSystem, ARecordChangedRemovedOrInsertedIsFound) {
  await_checkpoint("kms-a");
  const std::filesystem::path copy = copy_of("kms-a", "copy");
  const std::string lines = text_of(copy / "audit.jsonl");
  EXPECT_EQ(verify(copy.string()).code, 0);
  std::string changed = lines;
  changed[changed.find("\"time\":", line(lines, 3)) + 7] = '9';
  put(copy / "audit.jsonl", changed);
  expect_found(copy, "line 3: was altered");
  put(copy / "audit.jsonl", lines.substr(0, line(lines, 3)) + lines.substr(line(lines, 4)));
  expect_found(copy, "line 3: carries number 4");
  put(copy / "audit.jsonl", lines.substr(0, line(lines, 4)) + lines.substr(line(lines, 3)));
  expect_found(copy, "line 4: carries number 3");
  put(copy / "audit.jsonl", lines.substr(0, line(lines, 4)));
  expect_found(copy, "rolled back, or lines removed");
}

TEST_F(AuditSystem, ARollbackOfEverythingIsFoundByAnyNewerCheckpoint) {
  await_checkpoint("kms-b");
  const std::filesystem::path old = copy_of("kms-b", "old");
  EXPECT_TRUE(net().apply("A", "B").agree());
  await_checkpoint("kms-b");
  const std::filesystem::path now = copy_of("kms-b", "now");
  EXPECT_EQ(verify(old.string()).code, 0) << "by itself, the old state is whole";
  EXPECT_EQ(verify(now.string() + " --checkpoint " + (old / "audit/checkpoint").string()).code, 0) << "and what came after continues it";
  expect_found(old, "rolled back", " --checkpoint " + (now / "audit/checkpoint").string());
  // Another element's checkpoint says nothing about this one.
  expect_found(now, "of another log", " --checkpoint " + (copy_of("kms-a", "other") / "audit/checkpoint").string());
}

TEST_F(AuditSystem, ProofsHoldForThoseWhoHaveTheRootsAlone) {
  await_checkpoint("kms-a");
  const std::filesystem::path copy = copy_of("kms-a", "copy");
  const std::string proof = (folder_ / "record.tlog-proof").string();
  ASSERT_EQ(run_program("audit prove " + copy.string() + " --record 2 > " + proof, folder_).code, 0);
  const std::string options = " --statement " + (copy / "audit/statement").string() + trust_option();
  const Outcome shown = run_program("audit show " + proof + options, folder_);
  EXPECT_EQ(shown.code, 0) << shown.error;
  EXPECT_TRUE(shown.out.contains(R"({"n":2,)") && shown.out.contains("is record 2 of") && shown.out.contains("lead to a root")) << shown.out;
  std::string text = text_of(proof);
  text.replace(text.find("index 1\n"), 8, "index 2\n");
  put(proof, text);
  EXPECT_EQ(run_program("audit show " + proof + options, folder_).code, 1);
  EXPECT_EQ(run_program("audit show " + proof + " --statement " + (copy_of("kms-b", "other") / "audit/statement").string(), folder_).code, 1);
  EXPECT_EQ(run_program("audit prove " + copy.string() + " --record 1000000", folder_).code, 1);
  EXPECT_EQ(run_program("audit prove " + copy.string(), folder_).code, 2) << "what to prove must be said";

  const std::string growth = (folder_ / "growth").string();
  EXPECT_TRUE(net().apply("A", "B").agree());
  await_checkpoint("kms-a");
  const std::filesystem::path later = copy_of("kms-a", "later");
  const std::string since = " --since " + (copy / "audit/checkpoint").string();
  ASSERT_EQ(run_program("audit prove " + later.string() + since + " > " + growth, folder_).code, 0);
  const Outcome grown = run_program("audit show " + growth + since + options, folder_);
  EXPECT_EQ(grown.code, 0) << grown.error;
  EXPECT_TRUE(grown.out.contains("begins with the")) << grown.out;
  EXPECT_EQ(run_program("audit show " + growth + " --since " + (later / "audit/checkpoint").string() + options, folder_).code, 1);
}

TEST_F(AuditSystem, AKillAtAnyMomentLeavesARecordThatIsWholeAgainAfterTheStart) {
  for (int i = 0; i < 3; ++i) {
    const std::filesystem::path before = copy_of("kms-b", "before" + std::to_string(i));
    (void)net().apply("A", "B");
    net().running().stop_element("kms-b", app::RunningNetwork::Ending::kill);
    // What must be whole of a killed element is that it opens its own record again.
    const auto started = net().running().start_element("kms-b");
    ASSERT_TRUE(started) << started.error().message;
    EXPECT_TRUE(net().apply("A", "B").agree());
    await_checkpoint("kms-b");
    const Outcome outcome = verify(state_of("kms-b").string() + " --checkpoint " + (before / "audit/checkpoint").string());
    EXPECT_EQ(outcome.code, 0) << outcome.out;
  }
}

TEST_F(AuditSystem, AnElementDoesNotStartOverARecordThatLostItsEnd) {
  await_checkpoint("qkm-r");
  net().running().stop_element("qkm-r", app::RunningNetwork::Ending::orderly);
  const std::filesystem::path record = state_of("qkm-r") / "audit.jsonl";
  const std::string lines = text_of(record);
  put(record, lines.substr(0, line(lines, 3)));
  const auto refused = net().running().start_element("qkm-r");
  ASSERT_FALSE(refused);
  EXPECT_TRUE(refused.error().message.contains("lines are gone")) << refused.error().message;
  put(record, lines);
  const auto started = net().running().start_element("qkm-r");
  EXPECT_TRUE(started) << started.error().message;
}

std::string witness_of(const std::string& element) { return element == "iam" ? "cmsp" : "iam"; }

POINT_TEST(AuditSystem, X_9, accepts, EveryElementsCheckpointsAreCosignedAndAnAuditorSeesIt) {
  for (const app::ElementPlan& element : net().network().elements()) {
    if (!element.started) continue;
    const std::string name = element.name();
    const std::string witness = witness_of(name);
    const std::string origin = audit::origin_of((*net().network().element(name))->identity.uri());
    TestNetwork::await("a cosigned checkpoint of " + name, [&] { return std::filesystem::exists(audit::witness_file(state_of(witness), origin)); });
    const Outcome outcome = verify(state_of(name).string() + " --witness " + state_of(witness).string() + " --json");
    EXPECT_EQ(outcome.code, 0) << outcome.out << outcome.error;
    EXPECT_EQ(outcome.json().as_array()->front().integer("compared").value(), 1);
  }
  // The cosignatures stand under the element's own checkpoint, too.
  const std::string cosigner = audit::origin_of((*net().network().element("iam"))->identity.uri());
  TestNetwork::await("cosignatures under a checkpoint", [&] { return text_of(state_of("kms-a") / "audit/checkpoint").contains(" " + cosigner + " "); });
}

POINT_TEST(AuditSystem, X_9, refuses, TerminalsAndTheLogsOfOthers) {
  const auto status = [](const std::string& caller, points::Endpoint endpoint, const std::string& body) {
    const auto answer = net().call(caller, endpoint, "iam", as_bytes(body));
    EXPECT_TRUE(answer) << answer.error().message;
    return answer ? answer->status : 0U;
  };
  const std::string others = "old 0\n\n" + text_of(state_of("kms-b") / "audit/checkpoint");
  EXPECT_EQ(status("A", points::Endpoint::x9_cosign, others), 403U);
  EXPECT_EQ(status("kms-a", points::Endpoint::x9_cosign, others), 403U);
  EXPECT_EQ(status("kms-a", points::Endpoint::x9_keys, text_of(state_of("kms-b") / "audit/statement")), 403U);
  EXPECT_EQ(status("kms-a", points::Endpoint::x9_cosign, "nothing"), 400U);
  net().expect_audit("iam", "x-9.cosign", "a checkpoint of another log");
}

TEST_F(AuditSystem, AnElementWhoseRecordWasPutBackIsRefusedByItsWitnessAndFoundByAnAuditor) {
  const std::string origin = audit::origin_of((*net().network().element("qkm-b"))->identity.uri());
  const auto witnessed = [&] {
    const auto note = audit::parse_note(text_of(audit::witness_file(state_of("iam"), origin)));
    const auto checkpoint = note ? audit::parse_checkpoint(note->text) : Result<audit::Checkpoint>(fail(note.error()));
    return checkpoint ? checkpoint->head.size : 0;
  };
  const auto put_back = [&](const std::filesystem::path& from) {
    std::filesystem::remove_all(state_of("qkm-b") / "audit");
    std::filesystem::copy(from / "audit", state_of("qkm-b") / "audit", std::filesystem::copy_options::recursive);
    std::filesystem::copy_file(from / "audit.jsonl", state_of("qkm-b") / "audit.jsonl", std::filesystem::copy_options::overwrite_existing);
  };
  const auto restart = [&] {
    const auto started = net().running().start_element("qkm-b");
    EXPECT_TRUE(started) << started.error().message;
  };
  net().running().stop_element("qkm-b", app::RunningNetwork::Ending::orderly);
  const std::filesystem::path old = copy_of("qkm-b", "old");
  const auto old_lines = static_cast<std::uint64_t>(std::ranges::count(text_of(old / "audit.jsonl"), '\n'));
  restart();
  // More than the start of an element records.
  for (int i = 0; i < 12; ++i) EXPECT_TRUE(net().call("A", points::Endpoint::x6_health, "qkm-b", {}));
  TestNetwork::await("a witness that has seen more", [&] { return witnessed() >= old_lines + 12; });
  net().running().stop_element("qkm-b", app::RunningNetwork::Ending::orderly);
  const std::filesystem::path now = copy_of("qkm-b", "now");
  put_back(old);
  EXPECT_EQ(verify(state_of("qkm-b").string()).code, 0) << "by itself, the old record is whole";
  expect_found(state_of("qkm-b"), "rolled back", " --witness " + state_of("iam").string());
  restart();
  EXPECT_TRUE(net().call("A", points::Endpoint::x6_health, "qkm-b", {})) << "a record of something new";
  net().expect_audit("iam", "audit.log_refused", "rolled back");
  net().expect_audit("qkm-b", "audit.witness_refused", "does not cosign");
  net().running().stop_element("qkm-b", app::RunningNetwork::Ending::orderly);
  put_back(now);
  restart();
  EXPECT_EQ(verify(state_of("qkm-b").string() + " --witness " + state_of("iam").string()).code, 0);
}

TEST_F(AuditSystem, AnElementGoesOnWhileItsWitnessIsAwayAndRecordsIt) {
  net().running().stop_element("iam", app::RunningNetwork::Ending::orderly);
  EXPECT_TRUE(net().call("A", points::Endpoint::x6_health, "ccs", {})) << "refused, and recorded";
  net().expect_audit("ccs", "audit.witness_away", "");
  await_checkpoint("ccs");
  const auto started = net().running().start_element("iam");
  ASSERT_TRUE(started) << started.error().message;
  net().expect_audit("ccs", "audit.witness_back", "");
}

}  // namespace
}  // namespace qanat::test
