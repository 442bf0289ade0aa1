// A witness as the elements see it: what it cosigns, what it refuses, what it remembers.
#include "node/audit_witness.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "audit/auditor.hpp"
#include "file_size_limit.hpp"
#include "trusted_network.hpp"

namespace qanat::node {
namespace {

using points::Endpoint;

const Identity witness_id = test::identity("qanat://core/iam/iam");
const Identity kms_id = test::identity("qanat://a/kms/kms-a");

class AuditWitnessTest : public testing::Test {
 protected:
  AuditWitnessTest() {
    open_witness();
    log_ = grown(1000);
  }
  void open_witness() {
    witness_.reset();
    node_.reset();
    node_ = net_.open_node(witness_id, {});
    witness_ = std::make_unique<AuditWitness>(*node_);
  }
  /// A log with that many lines; lines from `fork` on are others.
  static audit::LeafTree grown(std::uint64_t lines, std::uint64_t fork = UINT64_MAX) {
    audit::LeafTree out;
    for (std::uint64_t i = 0; i < lines; ++i) out.append(audit::leaf_hash((i < fork ? "line " : "other line ") + std::to_string(i)));
    return out;
  }
  audit::KeyStatement statement_of(const Identity& who, const audit::CheckpointSigner& signer) {
    const Credentials credentials = net_.credentials(who);
    return test::must(audit::make_statement(who.uri(), SystemClock().now_ms(), signer.keys(), credentials.tls->key, credentials.tls->chain, net_.rng()));
  }
  Result<net::Response> ask(Endpoint endpoint, std::string_view body, const Identity& caller = kms_id) {
    return test::handler_of(witness_->handlers(), endpoint)(test::request_from(caller, to_bytes(body)));
  }
  void state_keys() { EXPECT_TRUE(ask(Endpoint::x9_keys, audit::statement_text(statement_of(kms_id, signer_)))); }
  std::string request(std::uint64_t old_size, std::uint64_t size, const audit::LeafTree& log) { return request(old_size, size, log, signer_); }
  std::string request(std::uint64_t old_size, std::uint64_t size, const audit::LeafTree& log, const audit::CheckpointSigner& signer) {
    const audit::Checkpoint checkpoint{.origin = signer.name(), .head = {.size = size, .root = test::must(audit::root_at(size, log.reader()))}};
    return audit::proof_text(audit::ConsistencyProof{
        .old_size = old_size,
        .hashes = old_size <= size ? test::must(audit::prove_consistency(old_size, size, log.reader())) : std::vector<audit::TreeHash>{},
        .note = {.text = audit::checkpoint_text(checkpoint), .signatures = signer.sign(checkpoint, 1, net_.rng())}});
  }
  unsigned status(const Result<net::Response>& response) { return response ? response->status : net::http_status(response.error().code); }
  unsigned cosign(std::uint64_t old_size, std::uint64_t size) { return status(ask(Endpoint::x9_cosign, request(old_size, size, log_))); }
  [[nodiscard]] bool recorded(std::string_view text) const { return test::audited(net_.state_of(witness_id), text); }

  test::TrustedNetwork net_;
  audit::CheckpointSigner signer_ = test::must(audit::CheckpointSigner::generate(audit::origin_of(kms_id.uri()), net_.rng()));
  audit::LeafTree log_;
  std::unique_ptr<Node> node_;
  std::unique_ptr<AuditWitness> witness_;
};

TEST_F(AuditWitnessTest, CosignsWhatContinuesTheLog) {
  state_keys();
  EXPECT_EQ(cosign(0, 10), 200U);
  EXPECT_EQ(cosign(10, 300), 200U);
  EXPECT_EQ(cosign(300, 300), 200U) << "once more the same";
  const auto answer = ask(Endpoint::x9_cosign, request(300, 301, log_));
  ASSERT_TRUE(answer);
  const audit::Checkpoint checkpoint{.origin = signer_.name(), .head = {.size = 301, .root = test::must(audit::root_at(301, log_.reader()))}};
  const audit::Note note{.text = audit::checkpoint_text(checkpoint), .signatures = test::must(audit::parse_signature_lines(as_text(answer->body)))};
  EXPECT_TRUE(audit::verify_signatures(node_->checkpoints().signer().keys(), checkpoint, note));
}

TEST_F(AuditWitnessTest, RemembersAcrossARestartBeforeItAnswers) {
  state_keys();
  EXPECT_EQ(cosign(0, 100), 200U);
  open_witness();
  EXPECT_EQ(cosign(0, 200), 409U);
  EXPECT_EQ(cosign(100, 200), 200U) << "the keys, too, are known still";
}

TEST_F(AuditWitnessTest, TellsTheSizeThatItKnows) {
  state_keys();
  EXPECT_EQ(cosign(0, 100), 200U);
  for (const std::uint64_t old_size : {0ULL, 50ULL, 150ULL}) {
    const auto answer = ask(Endpoint::x9_cosign, request(old_size, 200, log_));
    ASSERT_EQ(status(answer), 409U);
    EXPECT_EQ(as_text(answer->body), "100\n");
    EXPECT_EQ(answer->content_type, "text/x.tlog.size");  // C2SP tlog-witness
  }
  EXPECT_FALSE(recorded("audit.log_refused")) << "not to know the size is no offence";
  EXPECT_EQ(cosign(300, 200), 400U) << "an old size above the new one";
}

TEST_F(AuditWitnessTest, RefusesARollbackAndRecordsIt) {
  state_keys();
  EXPECT_EQ(cosign(0, 100), 200U);
  EXPECT_EQ(cosign(0, 60), 409U);
  EXPECT_TRUE(recorded("rolled back: a checkpoint over 100 lines was cosigned before"));
  EXPECT_EQ(cosign(100, 200), 200U) << "what it remembers did not change";
}

TEST_F(AuditWitnessTest, RefusesALogThatDoesNotContinueWhatItCosignedAndRecordsIt) {
  state_keys();
  EXPECT_EQ(cosign(0, 100), 200U);
  const audit::LeafTree forked = grown(1000, 40);
  EXPECT_EQ(status(ask(Endpoint::x9_cosign, request(100, 200, forked))), 422U);
  EXPECT_TRUE(recorded("does not continue the checkpoint over 100 lines"));
  EXPECT_EQ(status(ask(Endpoint::x9_cosign, request(100, 100, forked))), 409U);
  EXPECT_TRUE(recorded("a split view"));
  EXPECT_EQ(cosign(100, 200), 200U);
}

TEST_F(AuditWitnessTest, RefusesWhoseKeysItDoesNotKnow) {
  EXPECT_EQ(cosign(0, 10), 404U);
  state_keys();
  const audit::CheckpointSigner impostor = test::must(audit::CheckpointSigner::generate(signer_.name(), net_.rng()));
  EXPECT_EQ(status(ask(Endpoint::x9_cosign, request(0, 10, log_, impostor))), 403U);
  const Identity other = test::identity("qanat://a/kms/kms-b");
  EXPECT_EQ(status(ask(Endpoint::x9_cosign, request(0, 10, log_), other)), 403U) << "for its own log alone";
  EXPECT_EQ(status(ask(Endpoint::x9_keys, audit::statement_text(statement_of(kms_id, signer_)), other)), 403U);
  for (const char* body : {"", "old 0\n", "old 0\n\n", "new 0\n\nx"}) EXPECT_EQ(status(ask(Endpoint::x9_cosign, body)), 400U) << body;
}

TEST_F(AuditWitnessTest, TakesKeysOnlyWithAStatementThatLeadsToARoot) {
  test::TrustedNetwork elsewhere;
  const Credentials credentials = elsewhere.credentials(kms_id);
  const auto statement =
      test::must(audit::make_statement(kms_id.uri(), SystemClock().now_ms(), signer_.keys(), credentials.tls->key, credentials.tls->chain, net_.rng()));
  EXPECT_EQ(status(ask(Endpoint::x9_keys, audit::statement_text(statement))), 403U);
  EXPECT_EQ(status(ask(Endpoint::x9_keys, "no statement")), 400U);
  EXPECT_EQ(cosign(0, 10), 404U);
}

TEST_F(AuditWitnessTest, DoesNotAnswerWhatItCouldNotRemember) {
  state_keys();
  EXPECT_EQ(cosign(0, 10), 200U);
  {
    const test::FileSizeLimit full(1000);
    EXPECT_EQ(cosign(10, 20), 500U);
  }
  EXPECT_TRUE(std::filesystem::exists(audit::witness_file(net_.state_of(witness_id), signer_.name())));
  open_witness();
  EXPECT_EQ(cosign(10, 30), 200U) << "10 is still what it knows";
}

TEST_F(AuditWitnessTest, TellsWhomItHasNoPlaceForToComeAgainWithoutARecordOfIt) {
  state_keys();
  witness_ = std::make_unique<AuditWitness>(*node_, 0);
  EXPECT_EQ(cosign(0, 10), 503U);
  EXPECT_FALSE(recorded("x-9.cosign"));
  witness_ = std::make_unique<AuditWitness>(*node_, 1);
  EXPECT_EQ(cosign(0, 10), 200U);
  EXPECT_EQ(cosign(10, 20), 200U) << "a place is given back";
  EXPECT_EQ(cosign(10, 15), 409U);
  EXPECT_EQ(cosign(20, 30), 200U) << "after a refusal, too";
}

TEST_F(AuditWitnessTest, AnAuditorFindsARollbackByTheWitnesssMemory) {
  // The element's own files, once with 300 lines that the witness has seen, once begun anew.
  const std::filesystem::path state = net_.state_of(kms_id);
  const auto record = [&](Node& element, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      ASSERT_TRUE(
          element.record({.action = "x", .outcome = audit::Outcome::success, .subject = "", .object = std::to_string(i), .reason = "", .request_id = ""}));
    }
    ASSERT_TRUE(element.checkpoints().make());
  };
  const auto text_of = [](const std::filesystem::path& file) {
    std::ifstream in(file, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  {
    const auto element = net_.open_node(kms_id, {});
    record(*element, 300);
    EXPECT_EQ(status(ask(Endpoint::x9_keys, text_of(state / "audit/statement"))), 200U);
    const audit::ConsistencyProof proof{.old_size = 0, .hashes = {}, .note = element->checkpoints().latest().note};
    EXPECT_EQ(status(ask(Endpoint::x9_cosign, audit::proof_text(proof))), 200U);
  }
  audit::AuditSources sources{.roots = test::must(read_trust(net_.trust()))->roots(), .checkpoints = {}, .witnesses = {net_.state_of(witness_id)}};
  const audit::AuditReport honest = test::must(audit::audit_log(state, sources));
  EXPECT_TRUE(honest.findings.empty()) << honest.findings.front();
  EXPECT_EQ(honest.compared, 1U);
  std::filesystem::remove(state / "audit.jsonl");
  for (const char* name : {"tile", "checkpoint"}) std::filesystem::remove_all(state / "audit" / name);
  record(*net_.open_node(kms_id, {}), 100);
  const audit::AuditReport begun_anew = test::must(audit::audit_log(state, sources));
  ASSERT_FALSE(begun_anew.findings.empty());
  EXPECT_TRUE(begun_anew.findings.front().contains("that witness qanat://core/iam/iam cosigned was made over 300 lines and the log holds 100"))
      << begun_anew.findings.front();
}

TEST_F(AuditWitnessTest, CosignsTheLogsOfAnElementsFrontEndsAndOfNobodyElse) {
  const auto stated = [&](const std::string& log_name, const Identity& caller) {
    const audit::CheckpointSigner signer = test::must(audit::CheckpointSigner::generate(audit::origin_of(log_name), net_.rng()));
    const Credentials credentials = net_.credentials(kms_id);
    const auto statement = test::must(audit::make_statement(log_name, SystemClock().now_ms(), signer.keys(), credentials.tls->key, credentials.tls->chain, net_.rng()));
    const bool taken = ask(Endpoint::x9_keys, audit::statement_text(statement), caller).has_value();
    return taken && status(ask(Endpoint::x9_cosign, request(0, 10, log_, signer), caller)) == 200U;
  };
  EXPECT_TRUE(stated(kms_id.uri() + "/1", kms_id));
  EXPECT_TRUE(stated(kms_id.uri() + "/64", kms_id));
  EXPECT_FALSE(stated(kms_id.uri() + "/1", test::identity("qanat://a/kms/kms-b")));
  for (const char* name : {"qanat://a/kms/kms-a/0", "qanat://a/kms/kms-a/65", "qanat://a/kms/kms-a/01", "qanat://a/kms/kms-a/x", "qanat://a/kms/kms-a/", "qanat://a/kms/kms-a/1/1"}) {
    EXPECT_EQ(test::refusal(audit::element_of_log(name)), ErrorCode::invalid_argument) << name;
  }
}

}  // namespace
}  // namespace qanat::node
