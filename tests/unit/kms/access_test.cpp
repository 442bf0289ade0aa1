// Step 6 and the grants behind it, with an IAM that is a function: what is asked, what is kept for how long, and what ends it.
#include "services/kms/kma/access.hpp"

#include "services/kms/schema.hpp"
#include "trusted_network.hpp"
#include "wire/base64.hpp"
#include "wire/token.hpp"
#include "store_kinds.hpp"

namespace qanat::kms {
namespace {

using points::Endpoint;
using test::identity;
using test::must;
using test::refusal;
using test::soon;
using wire::Assurance;
using wire::Json;

const Identity access_iam = identity("qanat://core/iam/iam");
const Identity access_kms = identity("qanat://a/kms/kms-a");
constexpr UnixMs minute_ms = 60'000;

class AccessTest : public testing::TestWithParam<test::StoreKind> {
 protected:
  AccessTest() : node_(network_.open_node(access_kms, {access_iam})), senders_(*node_) {
    const crypto::Suite& suite = network_.suite();
    terminal_.uid = Uid("A");
    fps_ = {.classical = Bytes(suite.digest, 1), .pq = Bytes(suite.digest, 2)};
    none_ = Bytes(suite.digest);
  }

  /// IAM's side.
  Result<Json> answer(Endpoint endpoint, const Json& body) {
    asked_.push_back(std::string(points::row(endpoint).path) + " " + body.dump());
    if (away_) return fail(ErrorCode::unavailable, "IAM is away");
    if (endpoint == Endpoint::pm1_token) return token();
    return Json::object({{"allowed", allowed_},
                         {"reasons", Json::array({Json::object({{"decides", true}, {"text", "no grant of 'A' permits key.apply"}}),
                                                  Json::object({{"decides", false}, {"text", "grant 4 (role subscriber): is for the domain a, not b"}})})},
                         {"level_max", static_cast<int>(level_max_)},
                         {"until_ms", until_ms_},
                         {"decided_ms", now()}});
  }
  Result<Json> token() {
    wire::Token made{.uid = Uid("A"),
                     .token_id = network_.rng().id<wire::TokenId>(),
                     .kms_id = ElementName("kms-a"),
                     .holder = fps_,
                     .issued_ms = now(),
                     .expires_ms = now() + minute_ms,
                     .level_max = level_max_};
    if (change_token_) change_token_(made);
    const node::MessageSigner& signer = *iam_.messages;
    const node::MessageSigner& by = signs_ != nullptr ? *signs_ : signer;
    ASSIGN_OR_RETURN(const auto message, wire::sign_message(network_.suite(), 1, made, by.signer, by.fps, network_.rng()));
    last_token_ = crypto::digest(network_.suite().hash, message.octets);
    return Json::object(
        {{"token", wire::to_base64(message.octets)}, {"classical", wire::to_base64(signer.classical.der())}, {"ml_dsa", wire::to_base64(signer.ml_dsa.der())}});
  }
  static UnixMs now() { return SystemClock().now_ms(); }

  Result<Access::Granted> token_for(const Bytes& ref, Assurance wanted = Assurance::local_rng) {
    return access_.token_for(terminal_, fps_, ref, wanted, soon(), "request");
  }
  Result<Assurance> level(const std::string& domain, Assurance wanted = Assurance::local_rng) {
    return access_.level_towards(terminal_, domain, wanted, soon(), "request");
  }
  Result<net::Response> revoke(const std::string& subject, UnixMs at) {
    return access_.revoked(test::json_request(access_iam, Json::object({{"subject", subject}, {"epoch", 1}, {"at_ms", at}})));
  }

  test::TrustedNetwork network_;
  std::unique_ptr<node::Node> node_;
  node::SenderDirectory senders_;
  node::Credentials iam_ = network_.credentials(access_iam);
  test::TemporaryDirectory folder_;
  test::TestStores stores_{GetParam()};
  std::unique_ptr<store::Store> store_ = must(stores_.open(folder_ / "kms.db", migrations));
  Access access_{*node_, *store_, senders_, [this](Endpoint endpoint, const Json& body, Deadline, const std::string&) { return answer(endpoint, body); }};
  Terminal terminal_;
  wire::Fingerprints fps_;
  Bytes none_;
  Bytes last_token_;
  bool away_ = false;
  bool allowed_ = true;
  Assurance level_max_ = Assurance::disjoint_qkd_paths;
  UnixMs until_ms_ = 0;
  std::function<void(wire::Token&)> change_token_;
  const node::MessageSigner* signs_ = nullptr;  // in IAM's place
  std::vector<std::string> asked_;
};

INSTANTIATE_TEST_SUITE_P(Stores, AccessTest, test::every_store_kind, test::name_of);

TEST_P(AccessTest, IamIsAskedOnceForEachDomainInTheLifeOfAToken) {
  EXPECT_FALSE(must(token_for(none_)).token.empty());
  EXPECT_EQ(must(level("b")), Assurance::disjoint_qkd_paths);
  EXPECT_EQ(must(level("b", Assurance::one_qkd_path)), Assurance::disjoint_qkd_paths);
  EXPECT_EQ(must(level("c")), Assurance::disjoint_qkd_paths);
  EXPECT_TRUE(must(token_for(last_token_)).token.empty()) << "the token still holds";
  EXPECT_EQ(must(level("b")), Assurance::disjoint_qkd_paths);
  ASSERT_EQ(asked_.size(), 3U);
  EXPECT_EQ(asked_[1], R"(/pm/1/decide {"subject":"A","action":"key.apply","point":"Km-1","peer_domain":"b","level":1})");
  must(token_for(none_));  // another token
  must(level("b"));
  EXPECT_EQ(asked_.size(), 5U);
}

TEST_P(AccessTest, ARefusalSaysWhyAndIsNotKept) {
  must(token_for(none_));
  allowed_ = false;
  const auto refused = level("b");
  EXPECT_EQ(refusal(refused), ErrorCode::denied);
  EXPECT_EQ(refused.error().message, "no keys with the domain b: no grant of 'A' permits key.apply (grant 4 (role subscriber): is for the domain a, not b)");
  allowed_ = true;  // given meanwhile
  EXPECT_TRUE(level("b"));
}

TEST_P(AccessTest, WithoutIamHoldsWhatIsKnownAndNothingElse) {
  must(token_for(none_));
  must(level("b"));
  away_ = true;
  EXPECT_TRUE(level("b"));
  EXPECT_EQ(refusal(level("c")), ErrorCode::unavailable);
  EXPECT_EQ(refusal(token_for(none_)), ErrorCode::unavailable);
}

TEST_P(AccessTest, ARevocationEndsTokenAndDecisionsOfItsSubject) {
  for (const char* subject : {"A", "class:terminal"}) {
    must(token_for(none_));
    must(level("b"));
    must(revoke("B", now()));
    must(revoke("class:application", now()));
    away_ = true;
    EXPECT_TRUE(level("b")) << "others' are others'";
    EXPECT_TRUE(must(token_for(last_token_)).token.empty());
    must(revoke(subject, now()));
    EXPECT_EQ(refusal(level("b")), ErrorCode::unavailable) << subject;
    EXPECT_EQ(refusal(token_for(last_token_)), ErrorCode::unavailable) << subject;
    away_ = false;
    for (const UnixMs last = now(); now() <= last;) continue;  // what IAM says from here on bears a later time than its word
  }
  EXPECT_TRUE(test::audited(network_.state_of(access_kms), "\"pm-1.revoked\""));
}

TEST_P(AccessTest, WhatIamSaidBeforeItsWordIsNotKeptAfterIt) {
  must(token_for(none_));
  must(revoke("A", now() + minute_ms));
  const auto overtaken = level("b");
  EXPECT_EQ(refusal(overtaken), ErrorCode::unavailable);
  EXPECT_EQ(refusal(token_for(none_)), ErrorCode::denied);
  EXPECT_EQ(refusal(revoke("no/name", 1)), ErrorCode::invalid_argument);
  EXPECT_EQ(refusal(revoke("class:", 1)), ErrorCode::invalid_argument);
}

TEST_P(AccessTest, WhatIamSaidOfAllTerminalsVoidsWhatCameBeforeAndAnEarlierWordTakesNothingBack) {
  must(revoke("class:terminal", now() + minute_ms));
  EXPECT_EQ(refusal(token_for(none_)), ErrorCode::denied);
  must(revoke("class:terminal", 1));
  EXPECT_EQ(refusal(token_for(none_)), ErrorCode::denied) << "IAM has said something later before";
}

TEST_P(AccessTest, ATokenPastItsTimeIsAskedForAgainAndSoAreTheDecisionsUnderIt) {
  must(token_for(none_));
  must(level("b"));
  must(store_->transact([](store::Transaction& transaction) { return transaction.run("UPDATE token SET expires_ms = ?", {store::column(now() - 1)}); }));
  away_ = true;
  EXPECT_EQ(refusal(token_for(last_token_)), ErrorCode::unavailable);
  EXPECT_EQ(refusal(level("b")), ErrorCode::unavailable);
}

TEST_P(AccessTest, ATokenThatIsNotIamsOrNotForThisTerminalAndKmsIsNotTaken) {
  const auto refused = [&](const std::function<void(wire::Token&)>& change) {
    change_token_ = change;
    return refusal(token_for(none_));
  };
  EXPECT_EQ(refused([](wire::Token& token) { token.uid = Uid("B"); }), ErrorCode::denied);
  EXPECT_EQ(refused([](wire::Token& token) { token.kms_id = ElementName("kms-b"); }), ErrorCode::denied);
  EXPECT_EQ(refused([](wire::Token& token) { token.holder.pq.front() ^= 1U; }), ErrorCode::denied);
  change_token_ = {};
  const node::Credentials stranger = network_.credentials(identity("qanat://core/iam/other"));
  signs_ = stranger.messages.get();
  EXPECT_EQ(refusal(token_for(none_)), ErrorCode::denied) << "another's signature under IAM's certificates";
  signs_ = nullptr;
  EXPECT_TRUE(token_for(none_));
}

TEST_P(AccessTest, AGrantThatHasEndedIsAskedForAgain) {
  must(token_for(none_));
  until_ms_ = now() - 1;
  must(level("b"));
  must(level("b"));
  EXPECT_EQ(asked_.size(), 3U);
}

TEST_P(AccessTest, MoreThanIsKnownIsAskedForAgain) {
  level_max_ = Assurance::pqc;
  EXPECT_EQ(must(token_for(none_)).level_max, Assurance::pqc);
  EXPECT_EQ(must(level("b")), Assurance::pqc);
  level_max_ = Assurance::one_qkd_path;  // given meanwhile
  const Access::Granted again = must(token_for(last_token_, Assurance::one_qkd_path));
  EXPECT_EQ(again.level_max, Assurance::one_qkd_path);
  EXPECT_FALSE(again.token.empty());
  EXPECT_EQ(must(level("b", Assurance::one_qkd_path)), Assurance::one_qkd_path);
  EXPECT_EQ(refusal(level("b", Assurance::disjoint_qkd_paths)), ErrorCode::invalid_argument) << "an answer that grants less than was asked for";
}

}  // namespace
}  // namespace qanat::kms
