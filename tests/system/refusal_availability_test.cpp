// What happens to a call when an element that it needs is gone: refused, or served from state that has not expired, never unverified.
#include <fstream>
#include <sstream>

#include "refusals.hpp"

namespace qanat::test {
namespace {

using app::RunningNetwork;
using points::Endpoint;
using wire::Json;

/// A network with A and B (and C) enrolled.
class Availability : public Refusals {
 protected:
  static void start_with(std::initializer_list<const char*> uids) {
    SharedNetwork::SetUpTestSuite();
    if (!net().ok()) return;
    for (const char* uid : uids) net().enrol(uid);
  }
  static void kill(const std::string& element) {
    net().running().stop_element(element, RunningNetwork::Ending::kill);
    ASSERT_FALSE(net().running().lives(element));
  }
  static void start(const std::string& element) {
    const auto started = net().running().start_element(element);
    ASSERT_TRUE(started) << started.error().message;
  }
  static void expect_agreement(const std::string& from, const std::string& to) {
    const auto pair = net().apply(from, to);
    EXPECT_TRUE(pair.agree()) << pair.reasons();
  }
  static void await_time(const std::string& what, UnixMs moment) {
    TestNetwork::await(what, [moment] { return SystemClock().now_ms() > moment; });
  }
  static std::size_t tokens_for(const std::string& uid) {
    return static_cast<std::size_t>(std::ranges::count_if(net().audit("iam", "pm-1.token"), [&](const Json& line) {
      return line.text("object").value_or("").starts_with(uid + " ") && line.text("outcome").value_or("") == "success";
    }));
  }
};

// ---- step 6: tokens and IAM ----

class ExpiredToken : public Availability {
 protected:
  static constexpr UnixMs lifetime_ms = 2000;  // enough for one application on a busy machine
  static void SetUpTestSuite() {
    options_.token_lifetime_s = lifetime_ms / 1000;
    start_with({"A", "B"});
  }
};

TEST_F(ExpiredToken, IsReplacedByANewOneWhileIamIsUp) {
  expect_agreement("A", "B");
  const std::size_t before = tokens_for("A");
  await_time("the token's end", SystemClock().now_ms() + lifetime_ms);
  expect_agreement("A", "B");
  EXPECT_EQ(tokens_for("A"), before + 1);
}

TEST_F(ExpiredToken, IsWorthNothingWhenIamIsDown) {
  expect_agreement("A", "B");
  const UnixMs granted = SystemClock().now_ms();
  const auto reference = net().terminal("A").token_ref();
  ASSERT_TRUE(reference && *reference);
  kill("iam");
  await_time("the token's end", granted + lifetime_ms);
  expect_refused([&] { return apply_once("A", number_of("B"), *reference); }, ErrorCode::unavailable, "Pm-1 to iam");
  start("iam");
  expect_agreement("A", "B");
}

class IamDown : public Availability {
 protected:
  static void SetUpTestSuite() { start_with({"A", "B", "C"}); }
};

TEST_F(IamDown, AnUnexpiredTokenServesAndNobodyGetsANewOne) {
  expect_agreement("A", "B");
  const std::size_t before = tokens_for("A");
  expect_agreement("A", "B");
  EXPECT_EQ(tokens_for("A"), before) << "a token that holds is not asked for again";
  kill("iam");
  expect_agreement("A", "B");
  expect_refused([&] { return apply_once("C", number_of("A")); }, ErrorCode::unavailable, "Pm-1 to iam");
  // A reference to a token that is not the one granted is as good as none.
  expect_refused([&] { return apply_once("A", number_of("B"), net().rng().bytes(net().suite().digest)); }, ErrorCode::unavailable, "Pm-1 to iam");
  start("iam");
  expect_agreement("C", "A");
}

// ---- step 5: certificate status and CAS ----

class CasDown : public Availability {
 protected:
  static constexpr UnixMs lifetime_ms = 8000;
  static void SetUpTestSuite() {
    options_.status_fresh_ms = 100;
    options_.status_lifetime_s = lifetime_ms / 1000;  // more than what a kept connection may go unchecked, so that each use is covered
    start_with({"A", "B"});
  }
};

TEST_F(CasDown, StatusThatHasNotExpiredServesAndThenNothingPassesUnverified) {
  expect_agreement("A", "B");
  const UnixMs known = SystemClock().now_ms();
  kill("cas");
  await_time("the answers to be no longer fresh", known + 100);
  expect_agreement("A", "B");

  await_time("the end of every status answer", known + lifetime_ms);
  // Whoever connects anew is refused at the door, since nobody can say that its certificate is still good …
  const auto refused = net().call("A", Endpoint::km1_application, "kms-a", application("A", number_of("B")).octets());
  ASSERT_TRUE(refused) << refused.error().message;
  EXPECT_EQ(refused->status, 503U) << as_text(refused->body);
  EXPECT_NE(as_text(refused->body).find("certificate status"), std::string_view::npos) << as_text(refused->body);
  net().expect_audit("kms-a", "Km-1", "certificate status");
  // … and the terminal for its part trusts its KMS no longer.
  const auto own = apply_once("A", number_of("B"));
  ASSERT_FALSE(own);
  EXPECT_EQ(own.error().code, ErrorCode::unavailable) << own.error().message;
  EXPECT_NE(own.error().message.find("status"), std::string::npos) << own.error().message;
  EXPECT_FALSE(net().terminal("A").kms());

  start("cas");
  expect_agreement("A", "B");
}

// ---- step 9: quantum keys ----

class QuantumKeysGone : public Availability {
 protected:
  static void start_without_quantum_keys(std::initializer_list<const char*> uids) {
    start_with({});
    if (!net().ok()) return;
    for (const char* qkd : {"qkd-ar-alice", "qkd-ar-bob", "qkd-rb-alice", "qkd-rb-bob"}) net().running().stop_element(qkd, RunningNetwork::Ending::orderly);
    for (const char* uid : uids) net().enrol(uid);
    TestNetwork::await("the quantum keys to be used up", [] { return take().status == 503; });
  }
  static net::Response take() {
    const auto answer = net().call_json("kms-a", Endpoint::km3_take, "qkm-a",
                                        Json::object({{"peer_domain", "b"}, {"sid_wk", to_hex(net().rng().bytes(16))}, {"count", 4}, {"kms", "kms-a"}}));
    EXPECT_TRUE(answer) << (answer ? "" : answer.error().message);
    return answer ? *answer : net::Response{};
  }
};

class NoQuantumKey : public QuantumKeysGone {
 protected:
  static void SetUpTestSuite() { start_without_quantum_keys({"A", "B", "C"}); }
};

TEST_F(NoQuantumKey, IsSaidClearlyByTheQkm) {
  const Error error = net::error_of(take());
  EXPECT_EQ(error.code, ErrorCode::exhausted) << error.message;
  EXPECT_NE(error.message.find("no key left"), std::string::npos) << error.message;
  net().expect_audit("qkm-a", "km-3.take", "no key left");
}

TEST_F(NoQuantumKey, FallsBackToPqcWherePolicyAllowsAndBothEndsSeeIt) {
  const auto pair = net().apply("A", "B");
  ASSERT_TRUE(pair.agree()) << pair.reasons();
  for (const terminal::WorkingKey* key : {&*pair.caller, &*pair.callee}) {
    EXPECT_EQ(key->assurance, wire::Assurance::pqc);
    EXPECT_EQ(key->n_paths, 0);
  }
  net().expect_audit("kms-a", "km-3.take", "no key left");
}

TEST_F(NoQuantumKey, IsNoReasonForLessThanTheTerminalDemands) {
  const Bytes demanding = changed("A", number_of("B"), [](wire::KeyRequest& message) { message.min_assurance = wire::Assurance::one_qkd_path; });
  expect_refused([&] { return net().terminal("A").send(Endpoint::km1_application, demanding); }, ErrorCode::denied,
                 "the key would rest on assurance 2, the terminal demands 3");
}

TEST_F(NoQuantumKey, DoesNotConcernCallsWithinOneDomain) {
  const auto pair = net().apply("A", "C");
  ASSERT_TRUE(pair.agree()) << pair.reasons();
  EXPECT_EQ(pair.caller->assurance, wire::Assurance::local_rng);
}

TEST_F(NoQuantumKey, IsJudgedByThePolicyOfTheCalleesDomainToo) {
  // kms-b is told to allow no fallback; kms-a still does, and offers an agreement without quantum keys.
  const std::filesystem::path file = net().network().config_of("kms-b");
  std::string text = (std::stringstream() << std::ifstream(file).rdbuf()).str();
  const std::string allowed = "pqc_fallback = true";
  const std::size_t at = text.find(allowed);
  ASSERT_NE(at, std::string::npos);
  std::ofstream(file) << std::string(text).replace(at, allowed.size(), "pqc_fallback = false");
  kill("kms-b");
  start("kms-b");
  expect_refused([&] { return apply_once("A", number_of("B")); }, ErrorCode::exhausted, "no quantum key, and policy allows no fallback");
  net().expect_audit("kms-b", "km-2.offer", "policy allows no fallback");
  std::ofstream(file) << text;
  kill("kms-b");
  start("kms-b");
}

class NoQuantumKeyNoFallback : public QuantumKeysGone {
 protected:
  static void SetUpTestSuite() {
    options_.pqc_fallback = false;
    start_without_quantum_keys({"A", "B"});
  }
};

TEST_F(NoQuantumKeyNoFallback, RefusesTheCallWithTheReason) {
  expect_refused([&] { return apply_once("A", number_of("B")); }, ErrorCode::exhausted, "no quantum key, and policy allows no fallback");
  net().expect_audit("kms-a", "km-3.take", "no key left");
}

}  // namespace
}  // namespace qanat::test
