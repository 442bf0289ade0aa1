// Mc-2 at the KMS: what it shows, and how CMSP's answer comes back.
#include "services/kms/compliance/evidence.hpp"

#include "crypto/self_test.hpp"
#include "kms_core.hpp"
#include "services/kms/schema.hpp"
#include "store/lifecycle.hpp"

namespace qanat::kms {
namespace {

const Identity evidence_cmsp = identity("qanat://core/cmsp/cmsp");

class KmsEvidenceTest : public testing::Test {
 protected:
  KmsEvidenceTest()
      : cmsp_(network_, evidence_cmsp,
              {{Endpoint::mc2_evidence,
                [this](const net::Request& request) -> Result<net::Response> {
                  shown_ = must(points::read_kms_evidence(must(wire::Json::parse(request.body))));
                  wire::Json findings = wire::Json::array();
                  findings.push("something is wrong");
                  return node::json_response(wire::Json::object({{"findings", findings}}));
                }}}),
        node_(open_kms_node(network_, {&cmsp_}, [](const crypto::Certificate&, Deadline) -> Result<void> { return {}; })),
        store_(must(store::Store::open(folder_ / "kms.db", migrations))),
        ledger_(node_->device()) {}

  test::TemporaryDirectory folder_;
  test::TrustedNetwork network_;
  std::optional<points::KmsEvidence> shown_;
  Double cmsp_;
  std::unique_ptr<node::Node> node_;
  std::unique_ptr<store::Store> store_;
  Ledger ledger_;
};

TEST_F(KmsEvidenceTest, NamesWhatWasTestedTheParametersTheKeysAndTheAuditRecord) {
  const points::KmsEvidence evidence = must(gather_evidence(*node_, *store_, ledger_));
  EXPECT_EQ(evidence.self_tests.size(), crypto::self_tested_primitives().size());
  EXPECT_TRUE(evidence.self_test_failure.empty());
  EXPECT_EQ(evidence.suite, "GM-hybrid");
  EXPECT_EQ(evidence.algorithms, (std::vector<std::string>{"SM2", "ML-DSA-65", "ML-KEM-768", "SM3", "SM4-GCM"}));
  EXPECT_EQ(evidence.device, "software");
  EXPECT_EQ(evidence.device_state, "ok");
  EXPECT_TRUE(evidence.random.healthy);
  EXPECT_EQ(evidence.working_keys.size(), store::all_key_states.size());
  EXPECT_GT(evidence.audit_size, 0);
  EXPECT_TRUE(test::audited(network_.state_of(kms_id), "self-test"));
  EXPECT_NE(must(gather_evidence(*node_, *store_, ledger_)).random.sha256, evidence.random.sha256);
}

TEST_F(KmsEvidenceTest, IsShownToCmspWhoseFindingsComeBack) {
  EXPECT_EQ(must(show_evidence(*node_, *store_, ledger_, test::soon())), std::vector<std::string>{"something is wrong"});
  ASSERT_TRUE(shown_);
  EXPECT_EQ(shown_->suite, "GM-hybrid");
}

TEST(KmsEvidenceWithoutCmspTest, CannotBeShown) {
  const test::TemporaryDirectory folder;
  test::TrustedNetwork network;
  const auto node = network.open_node(kms_id, {});
  const auto store = must(store::Store::open(folder / "kms.db", migrations));
  Ledger ledger(node->device());
  EXPECT_EQ(test::refusal(show_evidence(*node, *store, ledger, test::soon())), ErrorCode::not_found);
}

}  // namespace
}  // namespace qanat::kms
