#include "quantum/qkm/link_keys.hpp"

#include <thread>

#include "harness.hpp"

namespace qanat::qkm {
namespace {

using store::KeyState;
using test::Core;
using test::Network;

const LinkId link_ar("a-r");

// Computed with Python's hashlib and struct: the 41st key is number 20 of chunk 1, the 300th is number 22 of chunk 4.
TEST(LinkKeysTest, AKeyIdIsADigestOfItsChunkAndItsPlace) {
  EXPECT_EQ(link_key_id(link_ar, 1763819548123, 41).hex(), "a63af36589f4b544ca29c65800000014");
  EXPECT_EQ(link_key_id(link_ar, 1763819548123, 300).hex(), "b645861fee9dc3d26f97340b00000016");
}

TEST(LinkKeysTest, EachKeyHasExactlyOneOwner) {
  const ElementName a("qkm-a");
  const ElementName r("qkm-r");
  for (std::uint32_t index = 0; index < 10; ++index) EXPECT_NE(owner_of(index, a, r), owner_of(index, r, a)) << index;
  EXPECT_EQ(owner_of(0, a, r), Owner::self);
  EXPECT_EQ(owner_of(1, a, r), Owner::peer);
}

class LinkKeysFixture : public testing::Test {
 protected:
  template <class Work>
  auto run(Core& core, Work&& work) {
    return core.store->transact([&](store::Transaction& transaction) { return work(*core.link_keys, transaction); });
  }
  Result<HopKeys> reserve(Core& core, std::size_t count = 2) {
    const auto taken =
        run(core, [&](LinkKeys& keys, store::Transaction& transaction) { return keys.reserve(transaction, link_ar, count, {}, core.clock.now_ms()); });
    if (!taken) return fail(taken.error());
    return hop_keys(*taken);
  }
  /// What came of the keys that were named; `keys` only if none was refused.
  struct Received {
    std::optional<HopKeys> keys;
    Error refusal{};
  };
  Received receive(Core& core, const std::vector<KeyRun>& runs) {
    auto receipt = run(core, [&](LinkKeys& keys, store::Transaction& transaction) { return keys.receive(transaction, link_ar, runs, core.clock.now_ms()); });
    EXPECT_TRUE(receipt);
    if (receipt->refusal) return {.keys = std::nullopt, .refusal = *receipt->refusal};
    return {.keys = std::move(*hop_keys(receipt->keys))};
  }
  Received receive(Core& core, const KeyId& one, const KeyId& other) { return receive(core, {KeyRun::one(one), KeyRun::one(other)}); }
  Network network_;
};

TEST_F(LinkKeysFixture, ABlockWithoutNumberIsRefused) {
  const auto refused = run(network_.a(), [&](LinkKeys& keys, store::Transaction& transaction) {
    return keys.ingest(transaction, {.link = link_ar, .peer = network_.r().name, .block_id = 0, .keys = Network::block_keys(link_ar, 0, 4)},
                       network_.a().clock.now_ms());
  });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::conflict);
  EXPECT_EQ(network_.a().stock(link_ar).own, 0);
}

TEST_F(LinkKeysFixture, BothEndsFindTheSameKeyUnderTheSameId) {
  network_.fill(1, 10);
  const auto mine = reserve(network_.a());
  ASSERT_TRUE(mine) << mine.error().message;
  const auto theirs = receive(network_.r(), mine->runs);
  ASSERT_TRUE(theirs.keys) << theirs.refusal.message;
  EXPECT_TRUE(equal_secret(mine->pads, theirs.keys->pads));
  EXPECT_TRUE(equal_secret(mine->mac, theirs.keys->mac));
  EXPECT_FALSE(equal_secret(mine->pads, mine->mac));
}

TEST_F(LinkKeysFixture, TheEndsNeverChooseTheSameKey) {
  network_.fill(1, 20);
  std::set<KeyId> chosen;
  for (int i = 0; i < 5; ++i) {
    for (Core* core : {&network_.a(), &network_.r()}) {
      const auto keys = reserve(*core);
      ASSERT_TRUE(keys);
      for (const KeyId& key : test::keys_named(text_of(keys->runs))) EXPECT_TRUE(chosen.insert(key).second);
    }
  }
  EXPECT_EQ(reserve(network_.a()).error(), (Error{ErrorCode::exhausted, "link/a-r has no key left"}));
  EXPECT_EQ(reserve(network_.r()).error().code, ErrorCode::exhausted);
}

TEST_F(LinkKeysFixture, EightThreadsNeverReserveOneKeyTwice) {
  network_.fill(1, 400);
  std::mutex mutex;
  std::vector<KeyId> reserved;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&] {
        while (const auto keys = reserve(network_.a())) {
          const std::lock_guard lock(mutex);
          for (const KeyId& key : test::keys_named(text_of(keys->runs))) reserved.push_back(key);
        }
      });
    }
  }
  EXPECT_EQ(reserved.size(), 200U);
  EXPECT_EQ(std::set<KeyId>(reserved.begin(), reserved.end()).size(), 200U);
}

TEST_F(LinkKeysFixture, AKeyThatTheSenderDoesNotOwnIsRefusedAndStays) {
  network_.fill(1, 10);
  const auto own_of_r = reserve(network_.r());
  ASSERT_TRUE(own_of_r);
  // qkm-r names its own keys to itself, as a neighbour with wrong ideas would.
  const LinkStock before = network_.r().stock(link_ar);
  const KeyId owned_by_r = link_key_id(link_ar, 1, 5);
  const KeyId owned_by_a = link_key_id(link_ar, 1, 4);
  const auto refused = receive(network_.r(), owned_by_r, owned_by_a);
  EXPECT_FALSE(refused.keys);
  EXPECT_EQ(refused.refusal.code, ErrorCode::denied);
  EXPECT_EQ(network_.r().stock(link_ar).own, before.own);
  EXPECT_EQ(network_.r().link_key_state(owned_by_r), KeyState::generated);
  EXPECT_EQ(network_.r().link_key_state(owned_by_a), KeyState::destroyed) << "the sender's own key is used up with the refusal";
}

TEST_F(LinkKeysFixture, AUsedKeyIsRefusedTheSecondTime) {
  network_.fill(1, 10);
  const auto keys = reserve(network_.a());
  ASSERT_TRUE(receive(network_.r(), keys->runs).keys);
  const auto again = receive(network_.r(), keys->runs);
  EXPECT_FALSE(again.keys);
  EXPECT_EQ(again.refusal.code, ErrorCode::conflict);
}

TEST_F(LinkKeysFixture, AKeyOfAnotherLinkIsRefused) {
  network_.fill(1, 10);
  const auto refused = receive(network_.r(), link_key_id(LinkId("r-b"), 1, 1), link_key_id(link_ar, 1, 0));
  EXPECT_FALSE(refused.keys);
  EXPECT_EQ(refused.refusal.code, ErrorCode::denied);
}

TEST_F(LinkKeysFixture, AKeyNamedBeforeItsBlockCameIsBurntBeforeItComes) {
  Network::give(network_.a(), link_ar, network_.r().name, 1, 10);
  const auto keys = reserve(network_.a());
  const auto refused = receive(network_.r(), keys->runs);
  EXPECT_EQ(refused.refusal.code, ErrorCode::not_found);
  Network::give(network_.r(), link_ar, network_.a().name, 1, 10);
  EXPECT_EQ(network_.r().link_key_state(keys->runs.front().id(0)), KeyState::destroyed);
  EXPECT_EQ(network_.r().stock(link_ar).peer, 3);
  EXPECT_FALSE(receive(network_.r(), keys->runs).keys);
}

TEST_F(LinkKeysFixture, ABlockBroughtTwiceCountsOnce) {
  network_.fill(3, 10);
  EXPECT_EQ(network_.a().stock(link_ar).own, 5);
  Network::give(network_.a(), link_ar, network_.r().name, 3, 10);
  EXPECT_EQ(network_.a().stock(link_ar).own, 5);
  EXPECT_EQ(*run(network_.a(), [](LinkKeys& keys, store::Transaction& transaction) { return keys.next_block(transaction, link_ar); }), 4U);
}

TEST_F(LinkKeysFixture, ABlockOlderThanTheNewestIsRefused) {
  network_.fill(3, 10);
  const LinkBlock old{.link = link_ar, .peer = network_.r().name, .block_id = 2, .keys = Secret(64)};
  const auto refused = run(network_.a(), [&](LinkKeys& keys, store::Transaction& transaction) { return keys.ingest(transaction, old, 1); });
  EXPECT_EQ(refused.error().code, ErrorCode::conflict);
  const LinkBlock ragged{.link = link_ar, .peer = network_.r().name, .block_id = 4, .keys = Secret(65)};
  EXPECT_EQ(run(network_.a(), [&](LinkKeys& keys, store::Transaction& transaction) { return keys.ingest(transaction, ragged, 1); }).error().code,
            ErrorCode::invalid_argument);
}

TEST_F(LinkKeysFixture, ReservedKeysAreBurntByARestartAndOthersAreNot) {
  network_.fill(1, 10);
  Core& a = network_.a();
  const auto keys = reserve(a);
  ASSERT_TRUE(keys);
  a.restart();
  EXPECT_EQ(keys_in(a.recovered), 2U);
  EXPECT_EQ(a.link_key_state(keys->runs.front().id(0)), KeyState::destroyed);
  EXPECT_EQ(a.link_key_state(keys->runs.front().id(1)), KeyState::destroyed);
  EXPECT_EQ(a.stock(link_ar).own, 3);
  EXPECT_EQ(a.stock(link_ar).peer, 5);
  const auto next = reserve(a);
  ASSERT_TRUE(next);
  EXPECT_NE(next->runs.front().id(0), keys->runs.front().id(0));
}

TEST_F(LinkKeysFixture, AReservedKeyIsDestroyedOnceAndWasNeverSealedAgain) {
  network_.fill(1, 10);
  const auto keys = reserve(network_.a());
  const auto destroy = [&] {
    return run(network_.a(), [&](LinkKeys& ledger, store::Transaction& transaction) { return ledger.destroy(transaction, keys->runs, 1); });
  };
  EXPECT_EQ(network_.a().count("SELECT length(sealed) FROM key_chunk WHERE own = 1"), 3 * 32 + 28) << "three of five keys are left";
  ASSERT_TRUE(destroy());
  EXPECT_EQ(destroy().error().code, ErrorCode::conflict);
}

TEST_F(LinkKeysFixture, OldBlocksGiveWayAtBothEndsAlike) {
  qanat::test::TemporaryDirectory directory;
  for (Core* core : {&network_.a(), &network_.r()}) {
    core->link_keys = std::make_unique<LinkKeys>(*core->keys, core->name, 25);
    const ElementName peer = core == &network_.a() ? network_.r().name : network_.a().name;
    for (std::uint64_t block = 1; block <= 4; ++block) Network::give(*core, link_ar, peer, block, 10);
  }
  EXPECT_EQ(network_.a().stock(link_ar).own, 10);
  EXPECT_EQ(network_.a().stock(link_ar).peer, 10);
  const auto keys = reserve(network_.a());
  EXPECT_EQ(keys->runs.front().id(0), link_key_id(link_ar, 3, 0));
  EXPECT_TRUE(receive(network_.r(), keys->runs).keys);
}

TEST_F(LinkKeysFixture, KeysThatMeetADemandEachButNotTogetherAreNotUsedUp) {
  const points::KeyProof proof{.bounds = 8, .photons = 8, .eps = 2e-10};
  Core& a = network_.a();
  for (const std::uint64_t block : {1U, 2U}) Network::give(a, link_ar, network_.r().name, block, 8, proof);
  const auto spend = [&](double eps_max) {
    return run(a, [&](LinkKeys& keys, store::Transaction& transaction) { return keys.spend(transaction, link_ar, 6, {.eps_max = eps_max}, a.clock.now_ms()); });
  };
  const auto refused = spend(3e-10);  // of two blocks
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::exhausted);
  EXPECT_EQ(a.stock(link_ar).own, 8);
  EXPECT_TRUE(spend(4e-10));
}

TEST_F(LinkKeysFixture, ForgottenKeysStayRefused) {
  network_.fill(1, 10);
  const auto keys = reserve(network_.a());
  ASSERT_TRUE(receive(network_.r(), keys->runs).keys);
  network_.r().clock.advance(1000);
  ASSERT_TRUE(
      run(network_.r(), [&](LinkKeys&, store::Transaction& transaction) { return network_.r().keys->forget(transaction, network_.r().clock.now_ms(), 1000); }));
  EXPECT_EQ(network_.r().count("SELECT count(*) FROM key_run"), 0);
  EXPECT_EQ(network_.r().link_key_state(keys->runs.front().id(0)), KeyState::destroyed) << "its chunk remembers";
  EXPECT_FALSE(receive(network_.r(), keys->runs).keys);
  Network::give(network_.r(), link_ar, network_.a().name, 1, 10);
  EXPECT_FALSE(receive(network_.r(), keys->runs).keys);
}

}  // namespace
}  // namespace qanat::qkm
