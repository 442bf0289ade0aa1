// Entity authentication through the CSA, one way and both ways, and what does not pass for it.
#include "csa_desk.hpp"

namespace qanat::kms::csa {
namespace {

class CsaAuthenticationTest : public CsaStoresTest {
 protected:
  std::string shared_key(const char* algorithm) {
    return csa_.create(the_operator(), algorithm, "authentication",
                       grants({grant(billing, {"challenge", "prove", "authenticate"}), grant(payroll, {"challenge", "prove", "authenticate"})}));
  }
  std::string challenge_of(const std::string& key, const std::string& verifier, const std::string& context = "") {
    return text(must_ask(Operation::challenge, verifier, Json::object({{"key_id", key}, {"context", context}})), "challenge");
  }
  struct Step {
    std::string key, challenge, counter = {};
    int number = 1;
    std::string context = {};
  };
  static Json body_of(const Step& step) {
    Json out = Json::object({{"key_id", step.key}, {"challenge", step.challenge}, {"step", step.number}, {"context", step.context}});
    if (!step.counter.empty()) out.set("counter_challenge", step.counter);
    return out;
  }
  std::string prove(const Step& step, const std::string& claimant, const std::string& verifier) {
    Json body = body_of(step);
    body.set("verifier", verifier);
    return text(must_ask(Operation::prove, claimant, body), "proof");
  }
  Result<Json> authenticate(const Step& step, const std::string& claimant, const std::string& verifier, const std::string& proof) {
    Json body = body_of(step);
    body.set("claimant", claimant).set("proof", proof);
    return ask(Operation::authenticate, verifier, body);
  }
};

INSTANTIATE_TEST_SUITE_P(Stores, CsaAuthenticationTest, test::both_databases, test::name_of);

TEST_P(CsaAuthenticationTest, OneWay) {
  for (const char* const algorithm : {"HMAC-SM3", "SM2", "ML-DSA-65", "SM2+ML-DSA-65"}) {
    const Step step{.key = shared_key(algorithm), .challenge = {}};
    Step one = step;
    one.challenge = challenge_of(step.key, payroll);
    const std::string proof = prove(one, billing, payroll);
    EXPECT_EQ(text(must(authenticate(one, billing, payroll, proof)), "claimant"), billing) << algorithm;
    EXPECT_EQ(refusal(authenticate(one, billing, payroll, proof)), ErrorCode::denied) << algorithm << ": a challenge serves once";
  }
}

TEST_P(CsaAuthenticationTest, BothWays) {
  const std::string key = shared_key("HMAC-SHA384");
  const std::string of_payroll = challenge_of(key, payroll);
  const std::string of_billing = challenge_of(key, billing);
  const Step first{.key = key, .challenge = of_payroll, .counter = of_billing};
  must(authenticate(first, billing, payroll, prove(first, billing, payroll)));
  const Step second{.key = key, .challenge = of_billing, .counter = of_payroll, .number = 2};
  must(authenticate(second, payroll, billing, prove(second, payroll, billing)));
}

TEST_P(CsaAuthenticationTest, AProofIsForNothingElse) {
  const std::string key = shared_key("HMAC-SM3");
  const auto fresh = [&] { return Step{.key = key, .challenge = challenge_of(key, payroll)}; };
  Step step = fresh();
  EXPECT_EQ(refusal(authenticate(step, stranger, payroll, prove(step, billing, payroll))), ErrorCode::denied) << "somebody else's";
  step = fresh();
  EXPECT_EQ(refusal(authenticate(step, billing, payroll, prove(step, billing, stranger))), ErrorCode::denied) << "for somebody else";
  step = fresh();
  EXPECT_EQ(refusal(authenticate(step, payroll, payroll, prove(step, payroll, billing))), ErrorCode::denied) << "its own, sent back";
  step = fresh();
  Step other = fresh();
  EXPECT_EQ(refusal(authenticate(step, billing, payroll, prove(other, billing, payroll))), ErrorCode::denied) << "of another challenge";
  step = fresh();
  const std::string proof = prove(step, billing, payroll);
  EXPECT_EQ(refusal(authenticate({.key = key, .challenge = step.challenge, .counter = other.challenge, .number = 2}, billing, payroll, proof)), ErrorCode::denied)
      << "of another step";
  EXPECT_EQ(refusal(authenticate(step, billing, payroll, proof)), ErrorCode::denied) << "and the challenge is gone with the first attempt";
  EXPECT_TRUE(csa_.audited("is not authenticated"));
}

TEST_P(CsaAuthenticationTest, AChallengeIsForItsKeyVerifierAndContextAndHasAnEnd) {
  const std::string key = shared_key("HMAC-SM3");
  const std::string other = shared_key("HMAC-SM3");
  Step step{.key = key, .challenge = challenge_of(key, payroll, "login"), .context = "login"};
  EXPECT_EQ(refusal(authenticate({.key = key, .challenge = step.challenge, .context = "logout"}, billing, payroll, prove(step, billing, payroll))), ErrorCode::denied);
  step.challenge = challenge_of(key, payroll, "login");
  EXPECT_EQ(refusal(authenticate(step, payroll, billing, prove(step, payroll, billing))), ErrorCode::denied) << "drawn for payroll";
  const Step moved{.key = other, .challenge = challenge_of(key, payroll)};
  EXPECT_EQ(refusal(authenticate(moved, billing, payroll, prove(moved, billing, payroll))), ErrorCode::denied) << "drawn for the other key";
  step.challenge = challenge_of(key, payroll, "login");
  const std::string proof = prove(step, billing, payroll);
  csa_.now += 60'000;
  EXPECT_EQ(refusal(authenticate(step, billing, payroll, proof)), ErrorCode::denied) << "past its time";
  step.challenge = wire::to_base64(Bytes(32));
  EXPECT_EQ(refusal(authenticate(step, billing, payroll, prove(step, billing, payroll))), ErrorCode::denied) << "drawn elsewhere";
}

TEST_P(CsaAuthenticationTest, OpenChallengesAreBoundedAndForgotten) {
  const std::string key = shared_key("HMAC-SM3");
  for (int i = 0; i < 3; ++i) challenge_of(key, payroll);
  EXPECT_EQ(refusal(ask(Operation::challenge, payroll, Json::object({{"key_id", key}}))), ErrorCode::exhausted);
  EXPECT_TRUE(ask(Operation::challenge, billing, Json::object({{"key_id", key}})));
  csa_.now += 60'000;
  EXPECT_TRUE(ask(Operation::challenge, payroll, Json::object({{"key_id", key}})));
}

TEST_P(CsaAuthenticationTest, StepTwoNeedsBothChallenges) {
  const std::string key = shared_key("HMAC-SM3");
  const Json body = Json::object({{"key_id", key}, {"challenge", wire::to_base64(Bytes(32))}, {"verifier", payroll}, {"step", 2}});
  EXPECT_EQ(refusal(ask(Operation::prove, billing, body)), ErrorCode::invalid_argument);
  EXPECT_EQ(refusal(ask(Operation::prove, billing, Json::object({{"key_id", key}, {"challenge", base64("short")}, {"verifier", payroll}}))), ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace qanat::kms::csa
