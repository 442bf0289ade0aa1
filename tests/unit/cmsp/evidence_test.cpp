// Mc-2 at CMSP: evidence of a KMS, held against what is demanded.
#include "services/cmsp/compliance/demands.hpp"
#include "services/cmsp/service.hpp"
#include "store/lifecycle.hpp"
#include "trusted_network.hpp"

namespace qanat::cmsp {
namespace {

using points::Endpoint;
using test::must;

const Identity judging = test::identity("qanat://core/cmsp/cmsp");
const Identity judged = test::identity("qanat://a/kms/kms-a");

points::KmsEvidence good_evidence(UnixMs now, std::uint8_t sample) {
  points::KmsEvidence out;
  out.at_ms = now;
  out.self_tests = {"SM3", "HMAC-SM3", "HKDF", "SM4-GCM", "HMAC_DRBG", "SM2 signature", "SM2 encryption with ML-KEM-768", "ML-DSA"};
  out.suite = "GM-hybrid";
  out.epoch = 1;
  out.algorithms = points::algorithms_of(crypto::suite(crypto::SuiteId::gm_hybrid));
  out.sizes = points::sizes_of(crypto::suite(crypto::SuiteId::gm_hybrid));
  out.device = "software";
  out.device_state = "ok";
  out.random = {.octets = 4096, .sha256 = Bytes(32, sample), .longest_run = 2, .most_frequent = 30, .healthy = true};
  for (const store::KeyState state : store::all_key_states) out.working_keys.emplace_back(store::name(state), 0);
  out.audit_size = 10;
  out.audit_root = Bytes(32, 1);
  return out;
}

EvidenceContext context_at(UnixMs now) { return {.suite = "GM-hybrid", .epoch = 1, .now = now}; }

TEST(DemandsTest, EvidenceOfAWellKmsMeetsThemInBothSuites) {
  EXPECT_EQ(judge_evidence(good_evidence(1'000'000, 1), {}, context_at(1'000'000)), std::vector<std::string>{});
  points::KmsEvidence intl = good_evidence(5, 1);
  intl.suite = "INTL-hybrid";
  intl.self_tests = {"SHA-2", "HKDF", "AES-256-GCM", "HMAC_DRBG", "ECDSA P-384", "ECDH P-384 with ML-KEM-1024", "ML-DSA"};
  intl.algorithms = points::algorithms_of(crypto::suite(crypto::SuiteId::intl_hybrid));
  intl.sizes = points::sizes_of(crypto::suite(crypto::SuiteId::intl_hybrid));
  EXPECT_EQ(judge_evidence(intl, {}, {.suite = "INTL-hybrid", .epoch = 1, .now = 5}), std::vector<std::string>{});
}

TEST(DemandsTest, EachThingThatIsMissingOrWrongIsAFinding) {
  struct Case {
    std::function<void(points::KmsEvidence&)> change;
    std::string finding;
  };
  const Case cases[] = {
      {[](auto& e) { e.at_ms += 120'001; }, "its time is outside the clock window of 120 s"},
      {[](auto& e) { e.suite = "INTL-hybrid"; }, "its suite is INTL-hybrid, the network's is GM-hybrid"},
      {[](auto& e) { e.epoch = 0; }, "it is in policy epoch 0, not 1"},
      {[](auto& e) { e.self_test_failure = "SM3"; }, "self-test: SM3"},
      {[](auto& e) { e.self_tests.pop_back(); }, "no known answer of ML-DSA"},
      {[](auto& e) { e.algorithms.erase(e.algorithms.begin()); }, "the algorithm SM2 is missing"},
      {[](auto& e) { e.sizes[1].second = 16; }, "the size digest is missing or under 32 octets"},
      {[](auto& e) { e.device_state = "degraded"; }, "its crypto device (software) is degraded"},
      {[](auto& e) { e.random.octets = 4095; }, "the random sample has fewer than 4096 octets"},
      {[](auto& e) { e.random.healthy = false; }, "the random sample fails the health tests"},
      {[](auto& e) { e.random.sha256 = Bytes(32, 1); }, "the random sample is the one from before"},
      {[](auto& e) { e.working_keys.pop_back(); }, "no count of working keys that are destroyed"},
      {[](auto& e) { e.audit_size = 9; }, "the audit record is shorter than before"},
      {[](auto& e) { e.audit_root = Bytes(32, 9); }, "the audit record is another one of the same length"},
  };
  const UnixMs now = 1'000'000;
  const points::KmsEvidence before = good_evidence(now, 1);
  EXPECT_EQ(judge_evidence(good_evidence(now, 2), before, context_at(now)), std::vector<std::string>{});
  for (const Case& each : cases) {
    points::KmsEvidence evidence = good_evidence(now, 2);
    each.change(evidence);
    EXPECT_EQ(judge_evidence(evidence, before, context_at(now)), std::vector<std::string>{each.finding});
  }
  points::KmsEvidence empty = good_evidence(now, 2);
  empty.audit_size = 0;
  EXPECT_EQ(judge_evidence(empty, {}, context_at(now)), std::vector<std::string>{"the audit record has no checkpoint"});
}

class EvidenceAtCmspTest : public testing::Test {
 protected:
  EvidenceAtCmspTest() : node_(network_.open_node(judging, {judged})) { reopen(); }
  void reopen() {
    service_.reset();
    service_ = must(CmspService::open(*node_, [](const ElementName&, ByteView, const net::Request&) -> Result<void> { return {}; }));
  }
  Result<net::Response> show(const wire::Json& evidence, const Identity& who = judged) {
    return test::handler_of(service_->handlers(), Endpoint::mc2_evidence)(test::json_request(who, evidence));
  }
  std::vector<std::string> findings(const points::KmsEvidence& evidence) { return must(test::json_of(show(points::to_json(evidence))).texts("findings")); }

  test::TrustedNetwork network_;
  std::unique_ptr<node::Node> node_;
  std::unique_ptr<CmspService> service_;
};

TEST_F(EvidenceAtCmspTest, IsKeptJudgedAndItsFindingsAreOnRecord) {
  const UnixMs now = SystemClock().now_ms();
  EXPECT_EQ(findings(good_evidence(now, 1)), std::vector<std::string>{});
  EXPECT_FALSE(test::audited(network_.state_of(judging), "mc-2.finding"));
  reopen();
  EXPECT_EQ(findings(good_evidence(now, 1)), std::vector<std::string>{"the random sample is the one from before"}) << "what came before outlives a restart";
  EXPECT_TRUE(test::audited(network_.state_of(judging), "mc-2.finding"));
  for (std::uint8_t i = 2; i < 40; ++i) EXPECT_EQ(findings(good_evidence(now, i)), std::vector<std::string>{});
}

TEST_F(EvidenceAtCmspTest, FrontEndsOfOneKmsHaveAuditRecordsOfTheirOwn) {
  const UnixMs now = SystemClock().now_ms();
  std::uint8_t sample = 0;
  const auto shown_by = [&](std::int64_t front_end, std::int64_t audit_size) {
    points::KmsEvidence evidence = good_evidence(now, ++sample);
    evidence.front_end = front_end;
    evidence.audit_size = audit_size;
    return findings(evidence);
  };
  EXPECT_EQ(shown_by(1, 20), std::vector<std::string>{});
  EXPECT_EQ(shown_by(2, 5), std::vector<std::string>{});
  EXPECT_EQ(shown_by(1, 21), std::vector<std::string>{});
  EXPECT_EQ(shown_by(2, 4), std::vector<std::string>{"the audit record is shorter than before"});
  points::KmsEvidence beyond = good_evidence(now, ++sample);
  beyond.front_end = 65;
  EXPECT_EQ(test::refusal(show(points::to_json(beyond))), ErrorCode::invalid_argument);
}

TEST_F(EvidenceAtCmspTest, OthersThanTheNetworksKmssAndWhatIsNoEvidenceAreRefused) {
  const points::KmsEvidence evidence = good_evidence(SystemClock().now_ms(), 1);
  EXPECT_EQ(test::refusal(show(points::to_json(evidence), test::identity("qanat://evil/kms/kms-a"))), ErrorCode::denied);
  EXPECT_EQ(test::refusal(show(wire::Json::object())), ErrorCode::invalid_argument);
  points::KmsEvidence longer = evidence;
  longer.device = std::string(257, 'd');
  EXPECT_EQ(test::refusal(show(points::to_json(longer))), ErrorCode::invalid_argument);
  points::KmsEvidence root = evidence;
  root.audit_root = Bytes(31, 1);
  EXPECT_EQ(test::refusal(show(points::to_json(root))), ErrorCode::invalid_argument);
  wire::Json more = points::to_json(evidence);
  more.set("sample", "00");
  EXPECT_EQ(test::refusal(show(more)), ErrorCode::invalid_argument) << "random octets themselves have no place";
}

}  // namespace
}  // namespace qanat::cmsp
