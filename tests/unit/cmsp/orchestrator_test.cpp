// CSO towards the KMSs: what operators give, what the KMSs are given, what they say.
#include "services/cmsp/cso/orchestrator.hpp"

#include <thread>

#include "services/cmsp/schema.hpp"
#include "services/cmsp/service.hpp"
#include "trusted_network.hpp"
#include "wire/signed_text.hpp"

namespace qanat::cmsp {
namespace {

using points::Endpoint;
using test::json_request;
using test::must;
using test::refusal;
using test::request_from;

const Identity orchestrating = test::identity("qanat://core/cmsp/cmsp");
const Identity orchestrated = test::identity("qanat://a/kms/kms-a");
const Identity orderer = test::identity("qanat://core/operator/op");

class OrchestratorTest : public testing::Test {
 protected:
  OrchestratorTest() : node_(network_.open_node(orchestrating, {orchestrated})) { reopen(); }
  void reopen() {
    service_.reset();
    service_ = must(CmspService::open(*node_, [](const ElementName&, ByteView, const net::Request&) -> Result<void> { return {}; }));
  }
  Result<net::Response> call(Endpoint endpoint, const net::Request& request) { return test::handler_of(service_->handlers(), endpoint)(request); }
  Result<net::Response> order(std::string_view text) { return call(Endpoint::x5_kms_policy, json_request(orderer, must(wire::Json::parse(text)))); }
  Result<net::Response> ask(const std::string& query, const Identity& who = orchestrated, std::chrono::milliseconds max = std::chrono::milliseconds(40)) {
    net::Request request = request_from(who, {});
    request.query = query;
    request.deadline = Deadline::after(max);
    return call(Endpoint::mo2_policy, request);
  }
  points::KmsPolicy opened(ByteView octets) {
    const wire::Envelope envelope = must(wire::parse_envelope(octets));
    const auto own = node_->signer();
    EXPECT_EQ(envelope.classical, own->classical.der());
    const wire::SignedText document = must(wire::parse_signed_text(network_.suite(), envelope.message));
    test::must(wire::verify(document, points::kms_policy_label, must(crypto::Verifier::from_key(network_.suite(), own->signer.verifying_key())), own->fps));
    return must(points::read_kms_policy(must(wire::Json::parse(document.text))));
  }

  test::TrustedNetwork network_;
  std::unique_ptr<node::Node> node_;
  std::unique_ptr<CmspService> service_;
};

TEST_F(OrchestratorTest, APolicyIsGivenSignedAndOutlivesARestart) {
  EXPECT_EQ(must(ask("after=0")).status, 204U) << "none yet";
  must(order(R"({"version":3,"pqc_fallback":false,"wk_lifetime_ms":20000})"));
  const points::KmsPolicy policy = opened(must(ask("after=0")).body);
  EXPECT_EQ(policy.version, 3);
  EXPECT_EQ(policy.epoch, node_->settings().policy_epoch);
  EXPECT_EQ(policy.pqc_fallback, false);
  EXPECT_EQ(policy.wk_lifetime_ms, 20'000);
  EXPECT_EQ(must(ask("after=3")).status, 204U) << "the KMS has it";
  reopen();
  EXPECT_EQ(opened(must(ask("after=2")).body), policy);
  EXPECT_TRUE(test::audited(network_.state_of(orchestrating), "x-5.kms_policy"));
}

TEST_F(OrchestratorTest, AVersionIsGivenOnceAndNeverGoesBack) {
  must(order(R"({"version":3})"));
  EXPECT_EQ(refusal(order(R"({"version":3,"quantum_paths":2})")), ErrorCode::conflict);
  EXPECT_EQ(refusal(order(R"({"version":2})")), ErrorCode::conflict);
  EXPECT_EQ(refusal(order(R"({"version":4,"quantum_paths":9})")), ErrorCode::invalid_argument);
  EXPECT_EQ(opened(must(ask("after=0")).body).version, 3);
  must(order(R"({"version":9})"));
  EXPECT_EQ(opened(must(ask("after=3")).body).version, 9);
}

TEST_F(OrchestratorTest, WhoWaitsIsAnsweredWhenThereIsALaterOne) {
  must(order(R"({"version":1})"));
  Result<net::Response> answer = fail(ErrorCode::internal, "not asked");
  std::thread kms([&] { answer = ask("after=1", orchestrated, std::chrono::seconds(20)); });
  must(order(R"({"version":2})"));
  kms.join();
  const net::Response given = must(std::move(answer));
  ASSERT_EQ(given.status, 200U);
  EXPECT_EQ(opened(given.body).version, 2);
}

TEST_F(OrchestratorTest, OthersThanTheNetworksKmssAndOtherQuestionsAreRefused) {
  EXPECT_EQ(refusal(ask("after=0", test::identity("qanat://evil/kms/kms-a"))), ErrorCode::denied);
  EXPECT_TRUE(test::audited(network_.state_of(orchestrating), "is no KMS of this network"));
  for (const char* query : {"", "after=", "after=-1", "after=1x", "before=1", "after=99999999999999999999"})
    EXPECT_EQ(refusal(ask(query)), ErrorCode::invalid_argument) << query;
}

TEST_F(OrchestratorTest, TheStateOfPoolsIsTakenFromKmssAndStrictly) {
  const points::KmsState state{
      .policy = 0, .epoch = 1, .working_keys = {{"reserved", 2}}, .quantum = points::NamedCounts{{"b", 7}}, .stocks = {}, .delivered_per_minute = 4,
      .history_keys = 3};
  must(call(Endpoint::mo2_state, json_request(orchestrated, points::to_json(state))));
  EXPECT_EQ(refusal(call(Endpoint::mo2_state, json_request(orchestrated, wire::Json::object({{"policy", 1}})))), ErrorCode::invalid_argument);
  EXPECT_EQ(refusal(call(Endpoint::mo2_state, json_request(test::identity("qanat://evil/kms/kms-a"), points::to_json(state)))), ErrorCode::denied);
  reopen();
  const auto store = must(store::Store::open(network_.state_of(orchestrating) / "other.db", migrations));
  KmsPolicies policies(*store);
  test::must(policies.take_state(ElementName("kms-a"), state, 5));
  const auto said = must(policies.states());
  ASSERT_EQ(said.size(), 1U);
  EXPECT_EQ(said[0].kms, "kms-a");
  EXPECT_EQ(said[0].state, state);
  EXPECT_EQ(said[0].at_ms, 5U);
}

}  // namespace
}  // namespace qanat::cmsp
