// CMSP and the KMSs over the wire: an operator's policy reaches the KMSs and counts there (Mo-2), what they show of themselves is judged (Mc-2).
#include <algorithm>
#include <fstream>

#include "point_test.hpp"
#include "program.hpp"
#include "test_network.hpp"

namespace qanat::test {
namespace {

using points::Endpoint;
using wire::Json;

class OrchestrationOverTheWire : public SharedNetwork {
 protected:
  static void SetUpTestSuite() {
    options_.optics = false;  // no quantum keys: what is agreed across domains is agreed by PQC alone
    SharedNetwork::SetUpTestSuite();
    if (!net().ok()) return;
    for (const char* uid : {"A", "B"}) net().enrol(uid);
  }
  static Result<void> order(const Json& policy) {
    TRY(net().op().ask(Endpoint::x5_kms_policy, "cmsp", policy));
    return {};
  }
  /// One later than what is in force.
  static std::int64_t next_version() {
    const auto health = net().op().health("cmsp");
    const auto policy = health ? health->object("kms_policy") : Result<Json>(fail(ErrorCode::not_found, "no health"));
    return policy ? policy->integer("version").value_or(0) + 1 : 1;
  }
  static void await_version(std::int64_t version) {
    for (const char* kms : {"kms-a", "kms-b"}) {
      TestNetwork::await(std::string("policy at ") + kms, [&] {
        const auto health = net().op().health(kms);
        return health && health->integer("policy_version").value_or(-1) == version;
      });
    }
  }
  static unsigned status_of(const Result<net::Response>& response) {
    EXPECT_TRUE(response) << (response ? "" : response.error().message);
    return response ? response->status : 0;
  }
};

POINT_TEST(OrchestrationOverTheWire, Mo_2, accepts, APolicyThatCountsAtTheKmssFromThenOn) {
  const auto before = net().apply("A", "B");
  ASSERT_TRUE(before.agree()) << before.reasons();
  const std::int64_t version = next_version();
  const auto ordered = order(Json::object({{"version", version}, {"pqc_fallback", false}}));
  ASSERT_TRUE(ordered) << ordered.error().message;
  await_version(version);
  net().expect_audit("kms-a", "mo-2.policy", "pqc_fallback");
  EXPECT_FALSE(net().apply("A", "B", std::chrono::seconds(6)).caller);
  net().expect_audit("kms-a", "km-1.application", "policy allows no fallback");

  const auto lifted = order(Json::object({{"version", version + 1}}));
  ASSERT_TRUE(lifted) << lifted.error().message;
  await_version(version + 1);
  const auto after = net().apply("A", "B");
  EXPECT_TRUE(after.agree()) << after.reasons();
  TestNetwork::await("the states of both KMSs at CMSP", [version] {
    const auto health = net().op().health("cmsp");
    const auto states = health ? health->array("kms").value_or(std::vector<Json>{}) : std::vector<Json>{};
    return states.size() == 2 && std::ranges::all_of(states, [version](const Json& one) { return one.integer("policy").value_or(-1) == version + 1; });
  });
}

POINT_TEST(OrchestrationOverTheWire, Mo_2, refuses, OthersThanKmssAndWhatIsNoState) {
  for (const char* caller : {"A", "qkm-a", "iam", "operator"}) {
    EXPECT_EQ(status_of(net().call(caller, Endpoint::mo2_policy, "cmsp", {}, "after=0")), 403U) << caller;
    EXPECT_EQ(status_of(net().call_json(caller, Endpoint::mo2_state, "cmsp", Json::object())), 403U) << caller;
  }
  net().expect_audit("cmsp", "Mo-2", "");
  EXPECT_EQ(status_of(net().call("kms-a", Endpoint::mo2_policy, "cmsp", {}, "after=x")), 400U);
  EXPECT_EQ(status_of(net().call_json("kms-a", Endpoint::mo2_state, "cmsp", Json::object({{"policy", 1}}))), 400U);
}

POINT_TEST(OrchestrationOverTheWire, X_5, refuses, PoliciesOfOthersThanOperatorsAndEarlierOnes) {
  EXPECT_EQ(status_of(net().call_json("kms-a", Endpoint::x5_kms_policy, "cmsp", Json::object({{"version", 100}}))), 403U);
  EXPECT_EQ(status_of(net().call_json("operator", Endpoint::x5_kms_policy, "cmsp", Json::object({{"version", 0}}))), 400U);
}

POINT_TEST(OrchestrationOverTheWire, Mc_2, accepts, EvidenceOfBothKmssThatMeetsTheDemands) {
  TestNetwork::await(
      "evidence of both KMSs without findings",
      [] {
        const auto health = net().op().health("cmsp");
        const auto kmss = health ? health->array("compliance").value_or(std::vector<Json>{}) : std::vector<Json>{};
        return kmss.size() == 2 && std::ranges::all_of(kmss, [](const Json& one) {
                 return one.has("received_ms") && one.texts("findings").value_or(std::vector<std::string>{"?"}).empty();
               });
      },
      std::chrono::seconds(60));  // a KMS that was there before CMSP tries again after half a minute
  net().expect_audit("cmsp", "mc-2.evidence", "");
  net().expect_audit("kms-a", "self-test", "");
}

POINT_TEST(OrchestrationOverTheWire, Mc_2, refuses, OthersThanKmssAndWhatIsNoEvidence) {
  for (const char* caller : {"A", "qkm-a", "iam", "operator"}) {
    EXPECT_EQ(status_of(net().call_json(caller, Endpoint::mc2_evidence, "cmsp", Json::object())), 403U) << caller;
  }
  EXPECT_EQ(status_of(net().call_json("kms-a", Endpoint::mc2_evidence, "cmsp", Json::object({{"suite", "GM-hybrid"}}))), 400U);
  net().expect_audit("cmsp", "mc-2.evidence", "front_end");
}

TEST_F(OrchestrationOverTheWire, TheCommandRefusesWhatIsNoPolicyOrNotALaterOne) {
  const std::string version = std::to_string(next_version());
  net().close_op();
  const TemporaryDirectory folder;
  const std::string at = " --network " + net().network().folder().string();
  std::ofstream(folder / "bad.json") << R"({"version":)" << version << R"(,"quantum_paths":9})";
  const Outcome bad = run_program("kms policy " + (folder / "bad.json").string() + at, folder);
  EXPECT_EQ(bad.code, 1) << bad.out;
  EXPECT_TRUE(bad.error.contains("quantum_paths")) << bad.error;
  std::ofstream(folder / "good.json") << R"({"version":)" << version << "}";
  const std::string good = "kms policy " + (folder / "good.json").string() + at;
  const Outcome first = run_program(good, folder);
  EXPECT_EQ(first.code, 0) << first.error;
  const Outcome again = run_program(good, folder);
  EXPECT_EQ(again.code, 1) << again.out;
  EXPECT_TRUE(again.error.contains("later version")) << again.error;
}

}  // namespace
}  // namespace qanat::test
