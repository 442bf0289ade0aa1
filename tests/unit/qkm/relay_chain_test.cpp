// Three QKMs in a chain: a key comes out at both ends or at neither, and no link key is used twice, whatever the wire does.
#include <thread>

#include "harness.hpp"

namespace qanat::qkm {
namespace {

using store::KeyState;
using test::Core;
using test::Network;
using test::soon;

class RelayChain : public testing::Test {
 protected:
  void SetUp() override { network_.fill(1, 40); }

  Result<RelayedKey> take_one() {
    auto taken = a().supply->take(a().session("b"), 1, soon());
    if (!taken) return fail(taken.error());
    return std::move(taken->front());
  }
  Result<RelayedKey> fetch_one(const KeyId& id) {
    auto fetched = b().supply->fetch(b().session("a"), std::array{id}, test::at_once());
    if (!fetched) return fail(fetched.error());
    return std::move(fetched->front());
  }
  /// No key is on record as used twice at one node, and none is left half-used.
  void expect_no_key_used_twice() {
    for (Core* core : {&a(), &network_.r(), &b()}) {
      for (const auto& [key, times] : core->uses("link_key.used")) EXPECT_EQ(times, 1) << core->name.text() << " " << key.hex();
      for (const auto& [key, times] : core->uses("relayed_key.delivered")) EXPECT_EQ(times, 1) << core->name.text() << " " << key.hex();
      EXPECT_EQ(core->count("SELECT count(*) FROM key_run WHERE state = 'reserved'"), 0) << core->name.text();
    }
  }
  /// After a relay that failed the next one works.
  void expect_next_relay_works() {
    network_.wire = {};
    const auto taken = take_one();
    ASSERT_TRUE(taken) << taken.error().message;
    const auto fetched = fetch_one(taken->id);
    ASSERT_TRUE(fetched) << fetched.error().message;
    EXPECT_TRUE(equal_secret(taken->key, fetched->key));
    expect_no_key_used_twice();
  }
  /// Relayed keys whose octets are here.
  static std::int64_t keys_kept(Core& core) { return core.count("SELECT coalesce(sum(own + peer), 0) FROM key_stock WHERE name LIKE 'domain/%'"); }
  Core& a() { return network_.a(); }
  Core& b() { return network_.b(); }
  Network network_;
};

TEST_F(RelayChain, TheFarEndKeepsAKeyForAsLongAsTheNearEndSays) {
  for (const std::int64_t waited_ms : {std::int64_t{0}, std::int64_t{29'000}}) {
    ASSERT_TRUE(a().relay_to("b"));
    const auto waits = static_cast<UnixMs>(waited_ms);
    for (Core* core : {&a(), &b()}) core->clock.advance(waits);
    const auto taken = take_one();
    ASSERT_TRUE(taken) << taken.error().message;
    const std::int64_t within = a().supply->fetch_within(*taken).count();
    EXPECT_EQ(within, 60'000 - waited_ms) << "of the minute that the far end keeps it";
    for (Core* core : {&a(), &b()}) core->clock.advance(static_cast<UnixMs>(within - 1));
    const auto fetched = fetch_one(taken->id);
    ASSERT_TRUE(fetched) << fetched.error().message;
    EXPECT_TRUE(equal_secret(taken->key, fetched->key));
  }
}

TEST_F(RelayChain, BothEndsReceiveTheSameKeyUnderTheSameIdAndPath) {
  const auto taken = take_one();
  ASSERT_TRUE(taken) << taken.error().message;
  const auto fetched = fetch_one(taken->id);
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_TRUE(equal_secret(taken->key, fetched->key));
  EXPECT_EQ(taken->path_id(), fetched->path_id());
  EXPECT_EQ(taken->relays(), 1);
  EXPECT_EQ(fetched->relays(), 1);
  EXPECT_NE(taken->way.find("over qkm-r"), std::string::npos) << taken->way;
  EXPECT_EQ(a().stock(LinkId("a-r")).own, 18);
  EXPECT_EQ(network_.r().stock(LinkId("a-r")).peer, 18);
  EXPECT_EQ(network_.r().stock(LinkId("r-b")).own, 18);
  EXPECT_EQ(b().stock(LinkId("r-b")).peer, 18);
  for (Core* end : {&a(), &b()}) EXPECT_EQ(end->uses("relayed_key.delivered"), (std::map<KeyId, int>{{taken->id, 1}})) << end->name.text();
  expect_no_key_used_twice();
}

TEST_F(RelayChain, WhatCrossesTheWireIsNeverTheKeyNorTwiceTheSame) {
  std::set<Bytes> ciphertexts;
  network_.wire = [&](const ElementName&, const ElementName&, ByteView message, const Network::Deliver& deliver) {
    EXPECT_TRUE(ciphertexts.insert(parse_relay(message)->ciphertext).second);
    return deliver(message);
  };
  const auto taken = take_one();
  ASSERT_TRUE(taken);
  EXPECT_EQ(ciphertexts.size(), 2U);
  EXPECT_FALSE(ciphertexts.contains(to_bytes(taken->key.reveal())));
}

TEST_F(RelayChain, AKeyIsDeliveredOnceAtEachEnd) {
  const auto taken = take_one();
  ASSERT_TRUE(taken);
  ASSERT_TRUE(fetch_one(taken->id));
  const auto again = fetch_one(taken->id);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, ErrorCode::conflict);
  const auto next = take_one();
  ASSERT_TRUE(next);
  EXPECT_NE(next->id, taken->id);
  EXPECT_EQ(a().count("SELECT count(*) FROM key_chunk WHERE stock LIKE 'domain/%'"), 0) << "what was handed out has no octets here";
}

TEST_F(RelayChain, ALostRequestBurnsTheKeysAndTheSecret) {
  for (const std::string lost_towards : {"qkm-r", "qkm-b"}) {
    network_.wire = [&](const ElementName&, const ElementName& to, ByteView message, const Network::Deliver& deliver) -> Result<Bytes> {
      if (to.text() == lost_towards) return fail(ErrorCode::deadline_exceeded, "no answer");
      return deliver(message);
    };
    const auto taken = take_one();
    ASSERT_FALSE(taken);
    EXPECT_EQ(taken.error().code, ErrorCode::deadline_exceeded);
    EXPECT_EQ(keys_kept(a()), 0);
    EXPECT_EQ(keys_kept(b()), 0);
    expect_next_relay_works();
  }
}

TEST_F(RelayChain, ALostAnswerLeavesNoKeyAtTheNearEndAndTheFarOneExpires) {
  for (const std::string lost_from : {"qkm-r", "qkm-b"}) {
    network_.wire = [&](const ElementName&, const ElementName& to, ByteView message, const Network::Deliver& deliver) -> Result<Bytes> {
      auto answer = deliver(message);
      if (to.text() == lost_from) return fail(ErrorCode::unavailable, "connection reset");
      return answer;
    };
    ASSERT_FALSE(take_one());
    EXPECT_EQ(keys_kept(a()), 0);
    EXPECT_EQ(keys_kept(b()), 1) << "the far end cannot know yet";
    b().clock.advance(60001);
    const auto swept = b().store->transact([&](store::Transaction& transaction) { return b().keys->sweep(transaction, 100, b().clock.now_ms()); });
    ASSERT_TRUE(swept);
    EXPECT_EQ(keys_kept(b()), 0);
    expect_next_relay_works();
  }
}

TEST_F(RelayChain, AnAlteredOctetAnywhereGivesNoKey) {
  network_.fill(2, 2400);
  std::size_t position = 0;
  std::size_t size = 1;
  for (const std::string towards : {"qkm-r", "qkm-b"}) {
    for (position = 0, size = 1; position < size; ++position) {
      network_.wire = [&](const ElementName&, const ElementName& to, ByteView message, const Network::Deliver& deliver) -> Result<Bytes> {
        if (to.text() != towards) return deliver(message);
        size = message.size();
        Bytes altered = to_bytes(message);
        altered[position] ^= 0x04;
        return deliver(altered);
      };
      ASSERT_FALSE(take_one()) << towards << ", octet " << position;
      EXPECT_EQ(keys_kept(b()), 0) << towards << ", octet " << position;
    }
    EXPECT_GT(size, 100U);
  }
  expect_next_relay_works();
}

TEST_F(RelayChain, ANeighbourThatMissesWhatWasNotNamedIsNotBelieved) {
  Network::give(a(), LinkId("a-r"), network_.r().name, 2, 200);
  Network::give(network_.r(), LinkId("a-r"), a().name, 2, 200);
  const std::int64_t before = a().stock(LinkId("a-r")).own;
  const BatchId own = link_batch_id(LinkId("a-r"), 2, owner_of(0, a().name, network_.r().name) == Owner::self ? 0 : 1);
  network_.wire = [&](const ElementName&, const ElementName&, ByteView message, const Network::Deliver&) -> Result<Bytes> {
    return write_relay_missing(parse_relay(message)->header.relay_id, std::array{own});
  };
  const auto refused = take_one();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::denied) << refused.error().message;
  EXPECT_LE(before - a().stock(LinkId("a-r")).own, 4) << "the keys of the attempt, and not the block that was never in question";
  expect_next_relay_works();
}

TEST_F(RelayChain, AnAlteredAnswerGivesNoKey) {
  std::size_t position = 0;
  std::size_t size = 1;
  for (; position < size; ++position) {
    network_.wire = [&](const ElementName&, const ElementName& to, ByteView message, const Network::Deliver& deliver) -> Result<Bytes> {
      auto answer = deliver(message);
      if (to.text() != "qkm-b" || !answer) return answer;
      size = answer->size();
      (*answer)[position] ^= 1;
      return answer;
    };
    if (a().stock(LinkId("a-r")).own < 4) network_.fill(2 + position, 40);
    ASSERT_FALSE(take_one()) << "octet " << position;
  }
  EXPECT_EQ(size, 56U);
  EXPECT_EQ(keys_kept(a()), 0);
  expect_next_relay_works();
}

TEST_F(RelayChain, AMessageDeliveredTwiceIsRefusedTheSecondTime) {
  int refused = 0;
  network_.wire = [&](const ElementName&, const ElementName&, ByteView message, const Network::Deliver& deliver) -> Result<Bytes> {
    auto answer = deliver(message);
    const auto second = deliver(message);
    EXPECT_FALSE(second);
    if (!second && second.error().code == ErrorCode::conflict) ++refused;
    return answer;
  };
  const auto taken = take_one();
  ASSERT_TRUE(taken);
  EXPECT_EQ(refused, 2);
  EXPECT_FALSE(b().uses("link_key.burnt").empty()) << "the refused message is on record with the keys that it named";
  ASSERT_TRUE(fetch_one(taken->id));
  expect_no_key_used_twice();
}

TEST_F(RelayChain, AMessageFromAnotherSenderIsRefused) {
  network_.wire = [&](const ElementName& from, const ElementName& to, ByteView message, const Network::Deliver& deliver) -> Result<Bytes> {
    if (to.text() != "qkm-r") return deliver(message);
    const auto as_b = network_.r().relay->receive(ElementName("qkm-b"), message, soon(), "1");
    EXPECT_FALSE(as_b);
    EXPECT_EQ(as_b.error().code, ErrorCode::denied);
    EXPECT_EQ(from, ElementName("qkm-a"));
    return deliver(message);
  };
  EXPECT_TRUE(take_one());
}

TEST_F(RelayChain, ARelayThatClaimsAnotherOriginIsRefused) {
  // qkm-r draws a key of its own for qkm-b and claims that domain a drew it: b knows which QKM is domain a's.
  network_.r().close();
  network_.r().domain = "a";
  network_.r().open();
  const auto forged = network_.r().relay_to("b");
  ASSERT_FALSE(forged);
  EXPECT_EQ(forged.error().code, ErrorCode::denied);
  EXPECT_EQ(keys_kept(b()), 0);
}

TEST_F(RelayChain, AMessageForAnotherHopOrAnotherDomainIsRefused) {
  network_.wire = [&](const ElementName&, const ElementName& to, ByteView message, const Network::Deliver& deliver) -> Result<Bytes> {
    if (to.text() == "qkm-r") {
      const auto misled = b().relay->receive(ElementName("qkm-a"), message, soon(), "1");
      EXPECT_FALSE(misled);
      EXPECT_NE(misled.error().message.find("this hop of its path does not end here"), std::string::npos) << misled.error().message;
    }
    return deliver(message);
  };
  EXPECT_TRUE(take_one());
  // qkm-a holds qkm-b for the QKM of domain c, and qkm-b knows better.
  const Core& right = a();
  Network wrong{Network::Empty()};
  const std::map<std::string, ElementName> ends{{"a", ElementName("qkm-a")}, {"b", ElementName("qkm-b")}, {"c", ElementName("qkm-b")}};
  wrong.add("qkm-a", "a", right.links, ends);
  wrong.add("qkm-r", "r", network_.r().links, ends);
  wrong.add("qkm-b", "b", b().links, ends);
  wrong.fill(1, 40);
  const auto refused = wrong.a().relay_to("c");
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message.find("is for domain c"), std::string::npos) << refused.error().message;
  EXPECT_EQ(keys_kept(wrong.b()), 0);
  EXPECT_TRUE(wrong.a().relay_to("b"));
}

TEST_F(RelayChain, WithoutLinkKeysTheRefusalNamesTheLink) {
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(take_one());
  EXPECT_EQ(take_one().error(), (Error{ErrorCode::exhausted, "link/a-r has no key left"}));
  Network::give(a(), LinkId("a-r"), network_.r().name, 2, 40);
  Network::give(network_.r(), LinkId("a-r"), a().name, 2, 40);
  EXPECT_EQ(take_one().error(), (Error{ErrorCode::exhausted, "link/r-b has no key left"}));
}

TEST_F(RelayChain, ADomainWithoutQkmIsNotFound) {
  const auto taken = a().supply->take(a().session("c"), 1, soon());
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().code, ErrorCode::not_found);
}

TEST_F(RelayChain, ARelayWaitsForTheBlockThatIsOnItsWay) {
  Network::give(a(), LinkId("a-r"), network_.r().name, 2, 40);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(take_one());
  Network::give(network_.r(), LinkId("r-b"), b().name, 2, 40);
  Network::give(b(), LinkId("r-b"), network_.r().name, 2, 40);
  network_.r().close();
  network_.r().block_wait = std::chrono::seconds(10);
  network_.r().open();
  std::jthread late([&] { Network::give(network_.r(), LinkId("a-r"), a().name, 2, 40); });
  const auto taken = take_one();
  EXPECT_TRUE(taken) << taken.error().message;
}

TEST_F(RelayChain, WithoutAuditRecordNothingIsSentAndTheKeysAreBurnt) {
  bool sent = false;
  network_.wire = [&](const ElementName&, const ElementName&, ByteView message, const Network::Deliver& deliver) -> Result<Bytes> {
    sent = true;
    return deliver(message);
  };
  a().record_fails = true;
  EXPECT_FALSE(take_one());
  EXPECT_FALSE(sent);
  EXPECT_EQ(a().stock(LinkId("a-r")).own, 18);
  a().record_fails = false;
  expect_next_relay_works();
}

TEST_F(RelayChain, ARestartKeepsTheStockThatBothEndsConfirmed) {
  ASSERT_TRUE(a().relay_to("b"));
  const auto taken = take_one();
  ASSERT_TRUE(taken);
  ASSERT_TRUE(a().relay_to("b"));
  a().restart();
  EXPECT_TRUE(a().lost.empty());
  EXPECT_EQ(keys_kept(a()), 1) << "the one in stock; the taken one has left";
  EXPECT_EQ(a().relayed_key_state(taken->id), KeyState::delivered);
  b().restart();
  EXPECT_TRUE(b().lost.empty());
  const auto fetched = fetch_one(taken->id);
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_TRUE(equal_secret(fetched->key, taken->key)) << "acknowledged before the restart, so not lost by it";
  EXPECT_FALSE(fetch_one(taken->id)) << "and delivered once";
  network_.wire = [](const ElementName&, const ElementName&, ByteView, const Network::Deliver&) -> Result<Bytes> {
    return fail(ErrorCode::unavailable, "cut");
  };
  EXPECT_TRUE(take_one()) << "from the stock that survived";
}

TEST_F(RelayChain, TakeFromThePoolUsesNoWire) {
  ASSERT_TRUE(a().relay_to("b"));
  ASSERT_TRUE(a().relay_to("b"));
  EXPECT_EQ(*a().supply->stock("b"), 2);
  network_.wire = [](const ElementName&, const ElementName&, ByteView, const Network::Deliver&) -> Result<Bytes> {
    return fail(ErrorCode::unavailable, "cut");
  };
  const auto taken = a().supply->take(a().session("b"), 2, soon());
  ASSERT_TRUE(taken) << taken.error().message;
  EXPECT_EQ(taken->size(), 2U);
  EXPECT_EQ(*a().supply->stock("b"), 0);
}

TEST_F(RelayChain, APooledKeyIsNotHandedOutWhenTheFarEndMayHaveDestroyedIt) {
  const auto pooled = a().relay_to("b");
  ASSERT_TRUE(pooled);
  a().clock.advance(30001);
  const auto taken = take_one();
  ASSERT_TRUE(taken);
  EXPECT_NE(batch_of(taken->id), *pooled);
}

TEST_F(RelayChain, AFetchWaitsForAKeyOnItsWay) {
  Result<std::vector<RelayedKey>> fetched;
  KeyId id;
  std::jthread far;
  network_.wire = [&](const ElementName&, const ElementName& to, ByteView message, const Network::Deliver& deliver) -> Result<Bytes> {
    if (to.text() == "qkm-b") {
      id = key_id(parse_relay(message)->header.relay_id, 0);
      far = std::jthread([&] { fetched = b().supply->fetch(b().session("a"), std::array{id}, soon()); });
    }
    return deliver(message);
  };
  const auto taken = take_one();
  ASSERT_TRUE(taken);
  far.join();
  ASSERT_TRUE(fetched) << fetched.error().message;
  EXPECT_TRUE(equal_secret(taken->key, fetched->front().key));
}

TEST_F(RelayChain, AFetchOfAKeyThatDoesNotComeOrIsNotTheirsIsRefused) {
  EXPECT_EQ(fetch_one(KeyId(Bytes(16, 9))).error().code, ErrorCode::not_found);
  const auto taken = take_one();
  ASSERT_TRUE(taken);
  const auto wrong_domain = b().supply->fetch(b().session("c"), std::array{taken->id}, test::at_once());
  EXPECT_EQ(wrong_domain.error().code, ErrorCode::denied);
  EXPECT_EQ(a().supply->fetch(a().session("b"), std::array{taken->id}, test::at_once()).error().code, ErrorCode::conflict) << "handed out there already";
  const auto pooled = a().relay_to("b");
  ASSERT_TRUE(pooled);
  const auto near_end = a().supply->fetch(a().session("b"), std::array{key_id(*pooled, 0)}, test::at_once());
  EXPECT_EQ(near_end.error().code, ErrorCode::denied) << "only the other domain fetches what was drawn here";
  EXPECT_TRUE(fetch_one(taken->id)) << "refusals leave the key where it is";
}

TEST_F(RelayChain, DoneDestroysConfirmedAndUnusedKeysAndMayBeRepeated) {
  const auto first = take_one();
  const auto second = take_one();
  ASSERT_TRUE(first && second);
  ASSERT_TRUE(a().supply->done(std::array{first->id}, RelayedKeys::Use::confirmed));
  ASSERT_TRUE(a().supply->done(std::array{second->id}, RelayedKeys::Use::unused));
  EXPECT_EQ(a().relayed_key_state(first->id), KeyState::destroyed);
  EXPECT_EQ(a().relayed_key_state(second->id), KeyState::destroyed);
  EXPECT_TRUE(a().supply->done(std::array{first->id}, RelayedKeys::Use::confirmed));
  EXPECT_EQ(a().supply->done(std::array{KeyId(Bytes(16, 9))}, RelayedKeys::Use::unused).error().code, ErrorCode::not_found);
  // A key that was never fetched cannot have been confirmed.
  EXPECT_EQ(b().supply->done(std::array{first->id}, RelayedKeys::Use::confirmed).error().code, ErrorCode::conflict);
}

TEST_F(RelayChain, EightThreadsInBothDirectionsShareNoKey) {
  network_.fill(2, 400);
  std::mutex mutex;
  std::map<KeyId, Secret> at_a;
  std::map<KeyId, Secret> at_b;
  std::atomic<int> failures = 0;
  const auto work = [&](Core& near, Core& far, const std::string& far_domain, const std::string& near_domain, std::map<KeyId, Secret>& near_keys,
                        std::map<KeyId, Secret>& far_keys) {
    for (int i = 0; i < 12; ++i) {
      auto taken = near.supply->take(near.session(far_domain), 1 + static_cast<std::size_t>(i % 2), soon());
      if (!taken) {
        ++failures;
        continue;
      }
      for (RelayedKey& key : *taken) {
        auto fetched = far.supply->fetch(far.session(near_domain), std::array{key.id}, soon());
        if (!fetched) {
          ++failures;
          continue;
        }
        const std::lock_guard lock(mutex);
        EXPECT_TRUE(near_keys.emplace(key.id, std::move(key.key)).second);
        EXPECT_TRUE(far_keys.emplace(key.id, std::move(fetched->front().key)).second);
      }
    }
  };
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] { work(a(), b(), "b", "a", at_a, at_b); });
      threads.emplace_back([&] { work(b(), a(), "a", "b", at_b, at_a); });
    }
  }
  EXPECT_EQ(failures, 0);
  EXPECT_EQ(at_a.size(), 8U * 18U);
  for (const auto& [id, key] : at_a) EXPECT_TRUE(equal_secret(key, at_b.at(id)));
  expect_no_key_used_twice();
}

// Any sequence of losses, at random: whatever both ends handed out is equal, and no key is used twice.
TEST_F(RelayChain, RandomLossesNeverMisalignTheEnds) {
  network_.fill(2, 600);
  const Bytes dice = test::rng().bytes(400);
  std::size_t thrown = 0;
  network_.wire = [&](const ElementName&, const ElementName&, ByteView message, const Network::Deliver& deliver) -> Result<Bytes> {
    const std::uint8_t die = dice[thrown++ % dice.size()];
    if (die < 40) return fail(ErrorCode::unavailable, "lost");
    auto answer = deliver(message);
    if (die < 80) return fail(ErrorCode::unavailable, "answer lost");
    if (die < 100) (void)deliver(message);
    return answer;
  };
  int delivered = 0;
  for (int i = 0; i < 80; ++i) {
    if (i % 20 == 10) network_.r().restart();
    const auto taken = take_one();
    if (!taken) continue;
    const auto fetched = fetch_one(taken->id);
    ASSERT_TRUE(fetched) << fetched.error().message;
    EXPECT_TRUE(equal_secret(taken->key, fetched->key));
    ++delivered;
  }
  EXPECT_GT(delivered, 10);
  expect_no_key_used_twice();
}

}  // namespace
}  // namespace qanat::qkm
