// The same take again, because its answer was lost, gets the same keys, and nobody else gets them.
#include <thread>

#include "harness.hpp"

namespace qanat::qkm {
namespace {

using test::Core;
using test::Network;
using test::soon;

class GivenKeysTest : public testing::Test {
 protected:
  void SetUp() override {
    network_.fill(1, 60);
    ASSERT_TRUE(a().relay_to("b", 6));
  }
  Core& a() { return network_.a(); }
  Core& b() { return network_.b(); }
  Result<std::vector<RelayedKey>> take(const KeySupply::Session& session, std::size_t count) { return a().supply->take(session, count, soon()); }
  static ErrorCode refusal(const Result<std::vector<RelayedKey>>& answer) {
    EXPECT_FALSE(answer);
    return answer ? ErrorCode{} : answer.error().code;
  }
  static std::vector<KeyId> ids_of(const std::vector<RelayedKey>& keys) {
    std::vector<KeyId> out;
    out.reserve(keys.size());
    for (const RelayedKey& key : keys) out.push_back(key.id);
    return out;
  }
  static bool has(const std::vector<RelayedKey>& keys, const KeyId& id) { return std::ranges::find(keys, id, &RelayedKey::id) != keys.end(); }
  static void expect_same(const Result<std::vector<RelayedKey>>& answer, const std::vector<RelayedKey>& keys) {
    ASSERT_TRUE(answer) << answer.error().message;
    ASSERT_EQ(answer->size(), keys.size());
    for (std::size_t i = 0; i < keys.size(); ++i) {
      const RelayedKey& one = answer->at(i);
      EXPECT_EQ(one.id, keys[i].id);
      EXPECT_TRUE(equal_secret(one.key, keys[i].key));
      EXPECT_EQ(one.path, keys[i].path);
      EXPECT_EQ(one.way, keys[i].way);
      EXPECT_EQ(one.quality, keys[i].quality);
      EXPECT_EQ(one.expires_ms, keys[i].expires_ms);
    }
  }
  std::int64_t rows(const std::string& condition) { return a().count("SELECT count(*) FROM given_keys WHERE " + condition); }
  Network network_;
};

TEST_F(GivenKeysTest, TheSameTakeAgainGetsTheSameKeysAlsoAfterARestart) {
  const KeySupply::Session session = a().session("b");
  const auto first = take(session, 2);
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_EQ(*a().supply->stock("b"), 4);
  expect_same(take(session, 2), *first);
  a().restart();
  EXPECT_TRUE(a().lost.empty());
  expect_same(take(session, 2), *first);
  EXPECT_EQ(*a().supply->stock("b"), 4) << "no other key was used for it";
  for (const KeyId& id : ids_of(*first)) {
    EXPECT_EQ(a().uses("relayed_key.delivered")[id], 1);
    EXPECT_EQ(a().uses("relayed_key.given_again")[id], 2);
  }
  const auto far = b().supply->fetch(b().session("a"), ids_of(*first), test::at_once());
  ASSERT_TRUE(far) << far.error().message;
  for (std::size_t i = 0; i < first->size(); ++i) EXPECT_TRUE(equal_secret(first->at(i).key, far->at(i).key));
  const auto other = take(a().session("b"), 2);
  ASSERT_TRUE(other);
  for (const KeyId& id : ids_of(*other)) EXPECT_FALSE(has(*first, id)) << "another session's are others";
}

TEST_F(GivenKeysTest, KeysThatCameByDifferentRelaysComeBackEachAsItWas) {
  a().clock.advance(1000);
  ASSERT_TRUE(a().relay_to("b", 2));
  const KeySupply::Session session = a().session("b");
  const auto first = take(session, 8);
  ASSERT_TRUE(first) << first.error().message;
  EXPECT_NE(first->front().expires_ms, first->back().expires_ms);
  expect_same(take(session, 8), *first);
}

TEST_F(GivenKeysTest, SomethingElseUnderItsNameAndAnotherKmsAreRefused) {
  const KeySupply::Session session = a().session("b");
  ASSERT_TRUE(take(session, 2));
  const auto more = take(session, 3);
  EXPECT_EQ(refusal(more), ErrorCode::conflict);
  EXPECT_TRUE(more.error().message.contains("asking for 2 keys for domain b")) << more.error().message;
  KeySupply::Session other = session;
  other.quality.relays_max = 1;
  EXPECT_EQ(refusal(take(other, 2)), ErrorCode::conflict);
  other = session;
  other.peer_domain = "r";
  EXPECT_EQ(refusal(take(other, 2)), ErrorCode::conflict);
  other = session;
  other.kms = "another kms";
  EXPECT_EQ(refusal(take(other, 2)), ErrorCode::conflict);
  other = session;
  other.quality.paths = 2;
  EXPECT_EQ(refusal(take(other, 2)), ErrorCode::unavailable) << "a take of its own: there are no separate paths here";
  EXPECT_EQ(*a().supply->stock("b"), 4) << "no refusal used a key";
}

TEST_F(GivenKeysTest, OctetsGoWhenOneOfTheKeysIsDoneWithAndTheNameStaysTakenForItsTime) {
  const KeySupply::Session session = a().session("b");
  const auto first = take(session, 2);
  const auto second = take(a().session("b"), 1);
  ASSERT_TRUE(first && second);
  EXPECT_EQ(rows("sealed IS NOT NULL"), 2);
  ASSERT_TRUE(a().supply->done(std::array{first->back().id}, RelayedKeys::Use::confirmed));
  EXPECT_EQ(rows("sealed IS NOT NULL"), 1) << "who is done with one has the answer; others may wait for theirs";
  const auto again = take(session, 2);
  EXPECT_EQ(refusal(again), ErrorCode::conflict);
  EXPECT_TRUE(again.error().message.contains("is done with them")) << again.error().message;
  EXPECT_TRUE(a().supply->done(std::array{first->back().id}, RelayedKeys::Use::confirmed)) << "may be said twice";
  // Their time is over: before a sweep, and by it.
  a().clock.advance(60'000);
  const auto later = take(session, 1);
  ASSERT_TRUE(later) << later.error().message;
  EXPECT_FALSE(has(*first, later->front().id));
  EXPECT_EQ(rows("1 = 1"), 2);
  ASSERT_TRUE(a().store->transact([&](store::Transaction& transaction) { return GivenKeys::sweep(transaction, a().clock.now_ms()); }));
  EXPECT_EQ(rows("1 = 1"), 1) << "the one of just now";
}

TEST_F(GivenKeysTest, WhatWasAlteredDoesNotOpen) {
  const KeySupply::Session session = a().session("b");
  ASSERT_TRUE(take(session, 1));
  const auto run = [&](std::string_view sql) {
    ASSERT_TRUE(a().store->transact([&](store::Transaction& transaction) -> Result<void> {
      TRY(transaction.run(sql, {}));
      return {};
    }));
  };
  run("UPDATE given_keys SET about = about || ' '");
  EXPECT_EQ(refusal(take(session, 1)), ErrorCode::denied) << "what is said of the keys";
  run("UPDATE given_keys SET about = trim(about)");
  EXPECT_TRUE(take(session, 1)) << "it was for that alone";
  const KeySupply::Session other = a().session("b");
  ASSERT_TRUE(take(other, 1));
  run("UPDATE given_keys SET sealed = (SELECT max(sealed) FROM given_keys)");
  EXPECT_NE(take(session, 1).has_value(), take(other, 1).has_value()) << "another session's octets";
}

TEST_F(GivenKeysTest, ATakeThatCouldNotBeRecordedIsNotLost) {
  const KeySupply::Session session = a().session("b");
  a().record_fails = true;
  EXPECT_EQ(refusal(take(session, 1)), ErrorCode::internal);
  a().record_fails = false;
  EXPECT_TRUE(take(session, 1));
  EXPECT_EQ(*a().supply->stock("b"), 5) << "one key for both";
}

TEST_F(GivenKeysTest, TheSameTakeFromManyThreadsAtOnceGetsOneKey) {
  const KeySupply::Session session = a().session("b");
  std::array<Result<std::vector<RelayedKey>>, 8> answers;
  {
    std::vector<std::jthread> threads;
    threads.reserve(answers.size());
    for (auto& answer : answers) threads.emplace_back([&] { answer = take(session, 1); });
  }
  ASSERT_TRUE(answers.front()) << answers.front().error().message;
  for (const auto& answer : answers) expect_same(answer, *answers.front());
  EXPECT_EQ(*a().supply->stock("b"), 5);
  EXPECT_EQ(a().uses("relayed_key.delivered").at(answers.front()->front().id), 1);
}

}  // namespace
}  // namespace qanat::qkm
