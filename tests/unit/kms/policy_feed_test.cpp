// Mo-2 at the KMS: CSO's policy, fetched, checked, in force.
#include "services/kms/kma/policy_feed.hpp"

#include "kms_core.hpp"
#include "services/kms/kma/pool_state.hpp"
#include "services/kms/kp/database.hpp"
#include "services/kms/schema.hpp"
#include "store/lifecycle.hpp"
#include "store_kinds.hpp"
#include "wire/signed_text.hpp"

namespace qanat::kms {
namespace {

const Identity policy_cmsp = identity("qanat://core/cmsp/cmsp");

KmsSettings configured() {
  KmsSettings out;
  out.wk_lifetime = std::chrono::milliseconds(60'000);
  out.quantum_paths = 2;
  out.policy.quantum_reserve = 5;
  return out;
}

TEST(TermsTest, WithoutAPolicyTheyAreThoseOfTheConfiguration) {
  const Terms terms = terms_under(configured(), {});
  EXPECT_EQ(terms.version, 0);
  EXPECT_EQ(terms.wk_lifetime.count(), 60'000);
  EXPECT_EQ(terms.quantum_paths, 2);
  EXPECT_EQ(terms.quantum_reserve, 5);
  EXPECT_TRUE(terms.pqc_fallback);
  EXPECT_FALSE(terms.pool_low);
}

TEST(TermsTest, APolicySetsWhatItNamesAndLeavesTheRest) {
  points::KmsPolicy policy{.version = 4, .epoch = 1};
  policy.wk_lifetime_ms = 10'000;
  policy.quantum_shares = 3;
  policy.pqc_fallback = false;
  policy.pool_low = 1;
  policy.pool_high = 2;
  const Terms terms = terms_under(configured(), policy);
  EXPECT_EQ(terms.version, 4);
  EXPECT_EQ(terms.wk_lifetime.count(), 10'000);
  EXPECT_EQ(terms.quantum_paths, 2) << "as configured";
  EXPECT_EQ(terms.quantum_shares, 3);
  EXPECT_FALSE(terms.pqc_fallback);
  EXPECT_EQ(terms.pool_low, 1);
  EXPECT_EQ(terms.pool_high, 2);
}

TEST(TermsTest, APolicyDoesNotAllowAFallbackThatTheConfigurationForbids) {
  KmsSettings settings = configured();
  settings.pqc_fallback = false;
  points::KmsPolicy policy{.version = 1, .epoch = 1};
  policy.pqc_fallback = true;
  EXPECT_FALSE(terms_under(settings, policy).pqc_fallback);
}

TEST(TermsTest, APolicyMayForbidSessionsByTheDirectoryAndNotAllowThem) {
  KmsSettings settings = configured();
  points::KmsPolicy policy{.version = 1, .epoch = 1};
  policy.directory_fallback = true;
  EXPECT_FALSE(terms_under(settings, policy).directory_fallback);
  settings.directory_fallback = true;
  EXPECT_TRUE(terms_under(settings, policy).directory_fallback);
  EXPECT_TRUE(terms_under(settings, {}).directory_fallback);
  policy.directory_fallback = false;
  EXPECT_FALSE(terms_under(settings, policy).directory_fallback);
}

TEST(TermsTest, APolicyMayForbidPrivateKeysInHistoryAndNotAllowThem) {
  KmsSettings settings = configured();
  points::KmsPolicy policy{.version = 1, .epoch = 1};
  policy.history = true;
  EXPECT_EQ(terms_under(settings, policy).history, HistoryPolicy::none);
  settings.history = HistoryPolicy::encryption_keys;
  EXPECT_EQ(terms_under(settings, {}).history, HistoryPolicy::encryption_keys);
  EXPECT_EQ(terms_under(settings, policy).history, HistoryPolicy::encryption_keys);
  policy.history = false;
  EXPECT_EQ(terms_under(settings, policy).history, HistoryPolicy::none);
  policy.history.reset();
  EXPECT_EQ(terms_under(settings, policy).history, HistoryPolicy::encryption_keys) << "what is absent stays as the KMS is configured";
}

class PolicyFeedTest : public testing::TestWithParam<test::StoreKind> {
 protected:
  PolicyFeedTest()
      : cmsp_credentials_(network_.credentials(policy_cmsp)),
        cmsp_(network_, policy_cmsp,
              {{Endpoint::mo2_policy,
                [this](const net::Request& request) -> Result<net::Response> {
                  asked_ = request.query;
                  if (answer_.empty()) return net::Response{.status = 204, .content_type = "", .body = {}};
                  return net::Response{.status = 200, .content_type = std::string(points::type_octets), .body = answer_};
                }},
               {Endpoint::mo2_state,
                [this](const net::Request& request) -> Result<net::Response> {
                  said_ = must(points::read_kms_state(must(wire::Json::parse(request.body))));
                  return net::Response{.status = 204, .content_type = "", .body = {}};
                }}}),
        node_(open_kms_node(network_, {&cmsp_}, [](const crypto::Certificate&, Deadline) -> Result<void> { return {}; })),
        senders_(*node_) {
    reopen();
  }
  /// As after a restart.
  void reopen() {
    feed_.reset();
    policy_.reset();
    store_.reset();
    // In files: guarded, as KP keeps it.
    if (GetParam() == test::StoreKind::sqlite) {
      store_ = must(open_database(*node_));
    } else {
      store_ = must(stores_.open(network_.state_of(kms_id) / "kms.db", migrations));
    }
    policy_ = std::make_unique<PolicyInForce>(settings_);
    test::must(policy_->take_up(*store_, 1));
    feed_ = std::make_unique<PolicyFeed>(*node_, *store_, senders_, *policy_, [](Deadline) -> Result<points::KmsState> {
      points::KmsState out;
      out.stocks = {{"b", 3}};
      return out;
    });
  }
  void offer(const points::KmsPolicy& policy) { offer(points::to_json(policy).dump(), points::kms_policy_label, *cmsp_credentials_.messages); }
  void offer(std::string_view text, std::string_view label, const node::MessageSigner& signer) {
    answer_ = node::enclose(signer, must(wire::sign_text(label, text, signer.signer, signer.fps, network_.rng())));
  }
  Result<bool> fetch() { return feed_->fetch(test::soon()); }
  bool on_record(std::string_view text) { return test::audited(network_.state_of(kms_id), text); }

  test::TrustedNetwork network_;
  KmsSettings settings_ = configured();
  node::Credentials cmsp_credentials_;
  std::string asked_;
  Bytes answer_;
  std::optional<points::KmsState> said_;
  Double cmsp_;
  std::unique_ptr<node::Node> node_;
  node::SenderDirectory senders_;
  test::TestStores stores_{GetParam()};
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<PolicyInForce> policy_;
  std::unique_ptr<PolicyFeed> feed_;
};
INSTANTIATE_TEST_SUITE_P(Stores, PolicyFeedTest, test::every_store_kind, test::name_of);

points::KmsPolicy policy_of(std::int64_t version, std::int64_t paths) {
  points::KmsPolicy out{.version = version, .epoch = 1};
  out.quantum_paths = paths;
  return out;
}

TEST_P(PolicyFeedTest, ALaterPolicyIsRecordedInForceAndOutlivesARestart) {
  EXPECT_FALSE(must(fetch())) << "there is none";
  EXPECT_EQ(asked_, "after=0");
  EXPECT_EQ(policy_->terms()->version, 0);
  offer(policy_of(2, 3));
  EXPECT_TRUE(must(fetch()));
  EXPECT_EQ(policy_->terms()->quantum_paths, 3);
  EXPECT_TRUE(on_record("mo-2.policy"));
  EXPECT_FALSE(must(fetch())) << "the same again";
  EXPECT_EQ(asked_, "after=2");
  reopen();
  EXPECT_EQ(policy_->terms()->version, 2);
  EXPECT_EQ(policy_->terms()->quantum_paths, 3);
}

TEST_P(PolicyFeedTest, APolicyThatForbidsHistoryIsOnRecordInForceAndOutlivesARestart) {
  settings_.history = HistoryPolicy::encryption_keys;
  reopen();
  EXPECT_EQ(policy_->terms()->history, HistoryPolicy::encryption_keys);
  offer(R"({"version":1,"epoch":1,"history":false})", points::kms_policy_label, *cmsp_credentials_.messages);
  EXPECT_TRUE(must(fetch()));
  EXPECT_EQ(policy_->terms()->history, HistoryPolicy::none);
  EXPECT_TRUE(on_record(R"(\"history\":false)"));
  reopen();
  EXPECT_EQ(policy_->terms()->history, HistoryPolicy::none);
}

TEST_P(PolicyFeedTest, NeverGoesBackAlsoAfterARestart) {
  offer(policy_of(5, 3));
  ASSERT_TRUE(must(fetch()));
  reopen();
  offer(policy_of(4, 1));
  EXPECT_EQ(test::refusal(fetch()), ErrorCode::denied);
  offer(policy_of(5, 1));
  EXPECT_EQ(test::refusal(fetch()), ErrorCode::denied) << "other words under that version";
  EXPECT_EQ(policy_->terms()->quantum_paths, 3);
  EXPECT_TRUE(on_record("policy 4: is earlier than 5, which was taken before"));
  EXPECT_TRUE(on_record("policy 5: is not what was taken under that version"));
}

TEST_P(PolicyFeedTest, WhatIsNotCmspsOrNotAPolicyIsRefused) {
  const std::string text = points::to_json(policy_of(1, 3)).dump();
  const node::Credentials stranger = network_.credentials(identity("qanat://core/cmsp/other"));
  offer(text, points::kms_policy_label, *stranger.messages);
  EXPECT_EQ(test::refusal(fetch()), ErrorCode::denied) << "another element's signature";
  offer(text, "SomethingElse", *cmsp_credentials_.messages);
  EXPECT_EQ(test::refusal(fetch()), ErrorCode::denied) << "signed as another document";
  offer(policy_of(1, 3));
  answer_[10] ^= 1;  // in the text
  EXPECT_FALSE(fetch());
  offer(R"({"version":1,"epoch":1,"quantum_paths":77})", points::kms_policy_label, *cmsp_credentials_.messages);
  EXPECT_EQ(test::refusal(fetch()), ErrorCode::invalid_argument);
  answer_ = to_bytes("garbage");
  EXPECT_EQ(test::refusal(fetch()), ErrorCode::invalid_argument);
  EXPECT_EQ(policy_->terms()->version, 0);
}

TEST_P(PolicyFeedTest, APolicyForAnotherEpochIsNotFollowed) {
  points::KmsPolicy policy = policy_of(1, 3);
  policy.epoch = 2;
  offer(policy);
  EXPECT_EQ(test::refusal(fetch()), ErrorCode::denied);
  EXPECT_TRUE(on_record("policy 1: is for epoch 2, this KMS is in epoch 1"));
  offer(policy_of(1, 3));
  ASSERT_TRUE(must(fetch()));
  PolicyInForce later(settings_);
  test::must(later.take_up(*store_, 2));
  EXPECT_EQ(later.terms()->version, 0) << "taken in an epoch that is over";
  EXPECT_EQ(must(later.last_version(*store_)), 1);
}

TEST_P(PolicyFeedTest, WhatAnotherFrontEndOnTheDatabaseHasTakenIsTakenUp) {
  PolicyInForce other(settings_);
  PolicyFeed others(*node_, *store_, senders_, other, [](Deadline) -> Result<points::KmsState> { return points::KmsState{}; });
  offer(policy_of(2, 3));
  ASSERT_TRUE(must(fetch()));
  EXPECT_EQ(other.terms()->version, 0);
  EXPECT_FALSE(must(others.fetch(test::soon()))) << "nothing is later";
  EXPECT_EQ(other.terms()->version, 2);
  EXPECT_TRUE(on_record("another front end has taken it"));
}

TEST_P(PolicyFeedTest, WhatAnotherFrontEndOvertookMeanwhileIsNoRefusalAndNotInForce) {
  offer(policy_of(7, 3));
  ASSERT_TRUE(must(fetch()));
  PolicyInForce other(settings_);
  using News = PolicyInForce::News;
  EXPECT_EQ(must(other.put_in_force(*store_, policy_of(6, 1), 1, 5, 0)), News::overtaken) << "it asked when 5 was there";
  EXPECT_EQ(other.terms()->version, 0);
  EXPECT_EQ(test::refusal(other.put_in_force(*store_, policy_of(6, 1), 1, 7, 0)), ErrorCode::denied) << "CSO knew of 7";
  EXPECT_EQ(must(other.put_in_force(*store_, policy_of(7, 3), 1, 5, 0)), News::same);
  EXPECT_EQ(other.terms()->version, 7);
  EXPECT_EQ(must(other.last_version(*store_)), 7);
}

TEST_P(PolicyFeedTest, TellsHowThePoolsAreUnderWhichPolicy) {
  offer(policy_of(6, 1));
  ASSERT_TRUE(must(fetch()));
  test::must(feed_->report(test::soon()));
  ASSERT_TRUE(said_);
  EXPECT_EQ(said_->policy, 6);
  EXPECT_EQ(said_->epoch, 1U);
  EXPECT_EQ(said_->stocks, (points::NamedCounts{{"b", 3}}));
}

TEST(PoolStateTest, HasTheWorkingKeysByStateAndWhatTheQkmHasReadyIfItSays) {
  test::TemporaryDirectory folder;
  test::TrustedNetwork network;
  std::string said = R"({"peers":[{"domain":"b","stock":12,"qkm":"qkm-b"},{"domain":"c","stock":0,"qkm":"qkm-c"}]})";
  const Double qkm(network, identity("qanat://a/qkm/qkm-a"), {{Endpoint::km3_status, [&](const net::Request&) -> Result<net::Response> {
                                                                 return node::json_response(must(wire::Json::parse(std::string_view(said))));
                                                               }}});
  const auto node = open_kms_node(network, {&qkm}, [](const crypto::Certificate&, Deadline) -> Result<void> { return {}; });
  const auto store = must(store::Store::open(folder / "kms.db", migrations));
  Ledger ledger(node->device());
  const points::KmsState state = must(state_of_pools(*node, *store, ledger, test::soon()));
  EXPECT_EQ(state.working_keys.size(), store::all_key_states.size());
  EXPECT_EQ(state.delivered_per_minute, 0);
  EXPECT_EQ(state.history_keys, 0);
  test::must(store->transact([](store::Transaction& transaction) -> Result<void> {
    TRY(transaction.run("INSERT INTO history_key (enc_kid, uid, number, since_ms) VALUES (x'01', 'a', '+1', 1)", {}));
    TRY(transaction.run("INSERT INTO history_key (enc_kid, uid, number, since_ms, sealed_pair) VALUES (x'02', 'b', '+2', 1, x'00')", {}));
    return {};
  }));
  EXPECT_EQ(must(state_of_pools(*node, *store, ledger, test::soon())).history_keys, 1);
  EXPECT_EQ(state.quantum, (points::NamedCounts{{"b", 12}, {"c", 0}}));
  said = R"({"peers":[{"domain":"b","stock":-1}]})";
  EXPECT_FALSE(must(state_of_pools(*node, *store, ledger, test::soon())).quantum) << "not known";
}

}  // namespace
}  // namespace qanat::kms
