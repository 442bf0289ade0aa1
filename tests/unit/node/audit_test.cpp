// The audit record of an element as an auditor sees it who has root certificates and files alone.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "audit/auditor.hpp"
#include "file_size_limit.hpp"
#include "trusted_network.hpp"

namespace qanat::node {
namespace {

const Identity kms_a = test::identity("qanat://a/kms/kms-a");

class AuditedElementTest : public testing::Test {
 protected:
  void open() { node_ = net_.open_node(kms_a, {}); }
  void close() { node_.reset(); }
  void record(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      const auto done = node_->record(
          {.action = "key.destroyed", .outcome = audit::Outcome::success, .subject = "", .object = std::to_string(i), .reason = "", .request_id = ""});
      ASSERT_TRUE(done) << done.error().message;
    }
  }
  /// Opened, used and closed, with a last checkpoint over everything.
  void work(std::size_t records) {
    open();
    record(records);
    close();
  }
  [[nodiscard]] std::filesystem::path state() const { return net_.state_of(kms_a); }
  [[nodiscard]] std::filesystem::path part(std::string_view name) const { return state() / "audit" / name; }
  [[nodiscard]] audit::AuditSources sources() const { return {.roots = test::must(read_trust(net_.trust()))->roots(), .checkpoints = {}, .witnesses = {}}; }
  [[nodiscard]] audit::AuditReport report(const audit::AuditSources& sources) const { return test::must(audit::audit_log(state(), sources)); }
  static std::string text_of(const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  static void put(const std::filesystem::path& file, std::string_view text) { std::ofstream(file, std::ios::binary | std::ios::trunc) << text; }
  /// What who owns the element has: its keys.
  audit::CheckpointSigner stolen_keys() {
    const auto device = test::must(crypto::open_software_device(state().string() + ".master", net_.rng()));
    const auto store = test::must(CredentialStore::open(state() / "credentials.db", *device, net_.suite()));
    return test::must(store->audit_signer(audit::origin_of(kms_a.uri())));
  }
  static void expect_finding(const audit::AuditReport& report, std::string_view text) {
    EXPECT_TRUE(std::ranges::any_of(report.findings, [&](const std::string& one) { return one.contains(text); })) << text << " is not found";
  }

  test::TrustedNetwork net_;
  std::unique_ptr<Node> node_;
};

TEST_F(AuditedElementTest, ItsRecordIsWholeAndItsKeysLeadToARoot) {
  work(300);
  const audit::AuditReport all = report(sources());
  EXPECT_TRUE(all.findings.empty()) << all.findings.front();
  EXPECT_EQ(all.element, kms_a.uri());
  EXPECT_EQ(all.records, 300U);
  EXPECT_EQ(all.covered, 300U);
  EXPECT_TRUE(all.traced);
  EXPECT_FALSE(report({}).traced) << "without roots nothing is traced";
}

TEST_F(AuditedElementTest, ItsKeysAndItsStatementStayTheSame) {
  work(1);
  const std::string statement = text_of(part("statement"));
  const auto keys = stolen_keys().keys();
  work(1);
  EXPECT_EQ(stolen_keys().keys(), keys);
  // net_ certifies anew each time a node is opened: the statement is made again, over the same keys.
  const auto again = audit::parse_statement(text_of(part("statement")));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->keys, keys);
  EXPECT_EQ(audit::statement_text(*again), text_of(part("statement")));
  EXPECT_TRUE(report(sources()).findings.empty());
}

TEST_F(AuditedElementTest, OtherRootsDoNotVouchForIt) {
  work(3);
  const test::TrustedNetwork other;
  audit::AuditSources theirs = sources();
  theirs.roots = test::must(read_trust(other.trust()))->roots();
  expect_finding(report(theirs), "not issued under a trusted root");
}

TEST_F(AuditedElementTest, AStatementThatWasChangedOrIsAnothersIsFound) {
  work(3);
  const std::string statement = text_of(part("statement"));
  const audit::CheckpointSigner impostor = test::must(audit::CheckpointSigner::generate(audit::origin_of(kms_a.uri()), net_.rng()));
  audit::KeyStatement changed = test::must(audit::parse_statement(statement));
  changed.keys = impostor.keys();
  put(part("statement"), audit::statement_text(changed));
  expect_finding(report(sources()), "signature: the ML-DSA half does not hold");
  // Another element of the same network states keys under this one's name, with its own good certificate.
  const Credentials neighbour = net_.credentials(test::identity("qanat://a/kms/kms-x"));
  const auto forged =
      test::must(audit::make_statement(kms_a.uri(), SystemClock().now_ms(), impostor.keys(), neighbour.tls->key, neighbour.tls->chain, net_.rng()));
  put(part("statement"), audit::statement_text(forged));
  expect_finding(report(sources()), "its certificate is another's");
  for (const std::string& text : std::vector<std::string>{"", statement.substr(0, 40), statement.substr(statement.find('\n') + 1), statement + "x"}) {
    put(part("statement"), text);
    EXPECT_FALSE(report(sources()).findings.empty());
  }
  put(part("statement"), statement);
  EXPECT_TRUE(report(sources()).findings.empty());
}

TEST_F(AuditedElementTest, WhoRewritesTheRecordWithTheStolenKeysIsFoundByAnOlderCheckpoint) {
  work(20);
  const std::filesystem::path kept = state().string() + ".kept";
  put(kept, text_of(part("checkpoint")));
  // The whole state begins anew with the same keys: other lines, a good chain, good tiles, a good checkpoint.
  std::filesystem::remove(state() / "audit.jsonl");
  for (const char* name : {"tile", "checkpoint"}) std::filesystem::remove_all(part(name));
  work(25);
  EXPECT_TRUE(report(sources()).findings.empty()) << "by itself it looks whole: this is what witnesses are for";
  audit::AuditSources with_kept = sources();
  with_kept.checkpoints = {kept};
  expect_finding(report(with_kept), "was made over other lines than 1 to 20: altered, or a split view");
  std::filesystem::remove(state() / "audit.jsonl");
  for (const char* name : {"tile", "checkpoint"}) std::filesystem::remove_all(part(name));
  work(5);
  expect_finding(report(with_kept), "was made over 20 lines and the log holds 5: rolled back");
}

TEST_F(AuditedElementTest, TwoCheckpointsOfOneSizeThatContradictAreFound) {
  work(20);
  audit::Checkpoint other = test::must(audit::parse_checkpoint(test::must(audit::parse_note(text_of(part("checkpoint")))).text));
  other.head.root[0] ^= 1U;
  const audit::Note note{.text = audit::checkpoint_text(other), .signatures = stolen_keys().sign(other, 1, net_.rng())};
  const std::filesystem::path shown = state().string() + ".shown-to-another";
  put(shown, audit::note_text(note));
  audit::AuditSources with_shown = sources();
  with_shown.checkpoints = {shown};
  expect_finding(report(with_shown), "split view");
  // One that the log's keys did not sign accuses nobody, and says so.
  const audit::CheckpointSigner impostor = test::must(audit::CheckpointSigner::generate(other.origin, net_.rng()));
  put(shown, audit::note_text({.text = note.text, .signatures = impostor.sign(other, 1, net_.rng())}));
  expect_finding(report(with_shown), "no ML-DSA-44 signature of a/kms/kms-a");
}

TEST_F(AuditedElementTest, AnHonestOlderCheckpointAgrees) {
  work(20);
  const std::filesystem::path kept = state().string() + ".kept";
  put(kept, text_of(part("checkpoint")));
  work(300);
  audit::AuditSources with_kept = sources();
  with_kept.checkpoints = {kept};
  const audit::AuditReport all = report(with_kept);
  EXPECT_TRUE(all.findings.empty()) << all.findings.front();
  EXPECT_EQ(all.compared, 1U);
}

TEST_F(AuditedElementTest, ProofsComeFromTheFilesAndHold) {
  work(50);
  const auto log = test::must(audit::read_for_proofs(state()));
  const auto proof = test::must(audit::parse_inclusion_proof(audit::proof_text(test::must(audit::prove_record(log, 17)))));
  EXPECT_TRUE(audit::verify_inclusion(audit::leaf_hash(as_text(*proof.extra)), proof.index, proof.hashes, log.checkpoint.head));
  std::string lines = text_of(state() / "audit.jsonl");
  lines[lines.find("key.destroyed")] = 'K';
  put(state() / "audit.jsonl", lines);
  EXPECT_EQ(test::refusal(audit::read_for_proofs(state())), ErrorCode::denied) << "no proofs out of a log that is not whole";
}

TEST_F(AuditedElementTest, AnElementWhoseLogWasRewrittenDoesNotStart) {
  work(20);
  std::string lines = text_of(state() / "audit.jsonl");
  put(state() / "audit.jsonl", lines.substr(0, lines.size() / 2));
  Settings settings;
  settings.identity = kms_a;
  settings.state = state();
  settings.trust = net_.trust();
  settings.master_key = state().string() + ".master";
  settings.suite = &net_.suite();
  const auto opened = Node::open(std::move(settings));
  ASSERT_FALSE(opened);
  EXPECT_TRUE(opened.error().message.contains("lines are gone")) << opened.error().message;
}

TEST_F(AuditedElementTest, AFullDiskRefusesTheAction) {
  open();
  record(1);
  {
    const test::FileSizeLimit full(500);
    EXPECT_FALSE(node_->record({.action = "x", .outcome = audit::Outcome::success, .subject = "", .object = "", .reason = "", .request_id = ""}));
  }
  EXPECT_FALSE(node_->record({.action = "x", .outcome = audit::Outcome::success, .subject = "", .object = "", .reason = "", .request_id = ""}))
      << "until it is opened again";
}

}  // namespace
}  // namespace qanat::node
