#include "quantum/qkm/stock.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <thread>

#include "crypto/kdf.hpp"
#include "quantum/qkm/group_commit.hpp"
#include "quantum/qkm/schema.hpp"
#include "temporary_directory.hpp"

namespace qanat::qkm {
namespace {

using store::KeyState;

const StockName stock("link/a-r");
const StockName other_stock("link/r-b");
constexpr UnixMs now = 1'800'000'000'000;
constexpr KeyStock::Delivery unnumbered{};

crypto::Rng& rng() {
  static const std::unique_ptr<crypto::Rng> generator = std::move(*crypto::open_rng());
  return *generator;
}

/// The same octets for the same batch at both ends.
Secret keys_of(const BatchId& batch, std::size_t count) {
  Secret out(count * stock_key_size);
  for (std::size_t i = 0; i < count; ++i) {
    const Bytes key = crypto::digest(crypto::Hash::sha256, {batch.view(), Bytes{static_cast<std::uint8_t>(i)}});
    std::ranges::copy(key, out.writable().begin() + static_cast<std::ptrdiff_t>(i * stock_key_size));
  }
  return out;
}
BatchId batch_number(std::uint64_t n) {
  return BatchId(ByteView(crypto::digest(crypto::Hash::sha256, as_bytes("batch " + std::to_string(n)))).first(BatchId::size));
}
Chunk chunk_of(std::uint64_t n, std::size_t count, Owner owner, UnixMs expires = 0) {
  return {.batch = batch_number(n), .owner = owner, .keys = keys_of(batch_number(n), count), .about = "chunk " + std::to_string(n), .expires_ms = expires};
}

/// One end of a stock: its database and device outlive a crash, everything else does not.
class End {
 public:
  explicit End(bool first = true) : first_(first) {
    device = std::move(*crypto::open_software_device(directory / "master.key", rng()));
    open();
  }
  void open() {
    database = std::move(*store::Store::open(directory / "qkm.db", migrations));
    keys = std::make_unique<KeyStock>(*device);
  }
  void restart() {
    keys.reset();
    database.reset();
    open();
  }
  template <class Work>
  auto run(Work&& work) {
    return database->transact([&](store::Transaction& transaction) { return work(transaction); });
  }
  /// Chunk n: even ones belong to the first end.
  Result<bool> add(std::uint64_t n, std::size_t count, KeyStock::Delivery delivery = unnumbered, UnixMs expires = 0) {
    std::vector<Chunk> chunks;
    chunks.push_back(chunk_of(n, count, (n % 2 == 0) == first_ ? Owner::self : Owner::peer, expires));
    return run([&](store::Transaction& transaction) { return keys->add(transaction, stock, delivery, chunks, now); });
  }
  Result<std::vector<Taken>> claim(std::size_t count, bool each = false, UnixMs at = now) {
    return run([&](store::Transaction& transaction) {
      return keys->claim(transaction, stock, {.least = count, .most = count, .each = each}, {.holder = "test"}, at);
    });
  }
  Result<KeyStock::Receipt> redeem(const KeyRun& one, const StockName& name = stock, KeyStock::Unknown unknown = KeyStock::Unknown::burn) {
    return run([&](store::Transaction& transaction) {
      return keys->redeem(transaction, name, std::array{one}, {.state = KeyState::destroyed, .holder = "test"}, unknown, now);
    });
  }
  std::optional<KeyState> state(const KeyId& id) {
    return *run([&](store::Transaction& transaction) { return keys->state_of(transaction, id); });
  }
  StockLevel level(UnixMs at = now) {
    return *run([&](store::Transaction& transaction) { return keys->level(transaction, stock, at); });
  }
  std::int64_t number(std::string_view sql) {
    std::int64_t out = -1;
    (void)run([&](store::Transaction& transaction) { return transaction.query(sql, {}, [&](const store::Row& row) { out = row.integer(0); }); });
    return out;
  }

  const bool first_;
  test::TemporaryDirectory directory;
  std::unique_ptr<crypto::CryptoDevice> device;
  std::unique_ptr<store::Store> database;
  std::unique_ptr<KeyStock> keys;
};

TEST(KeyStockTest, AKeyIdIsItsBatchAndItsPlace) {
  const KeyId id = key_id(batch_number(1), 0x01020304);
  EXPECT_EQ(batch_of(id), batch_number(1));
  EXPECT_EQ(index_of(id), 0x01020304U);
  EXPECT_EQ(id.hex(), batch_number(1).hex() + "01020304");
}

TEST(KeyStockTest, KeysAreClaimedInOrderEachOnceWithTheOctetsTheyCameWith) {
  End end;
  ASSERT_TRUE(end.add(2, 5));
  ASSERT_TRUE(end.add(4, 5));
  ASSERT_TRUE(end.add(3, 5));  // the peer's
  std::vector<KeyRun> runs;
  for (const std::size_t count : {2U, 1U, 4U, 3U}) {
    const auto taken = end.claim(count);
    ASSERT_TRUE(taken) << taken.error().message;
    for (const Taken& one : *taken) {
      runs.push_back(one.run);
      const Secret all = keys_of(one.run.batch, 5);
      EXPECT_TRUE(equal_secret(one.keys, slice_keys(all, one.run.first, one.run.count)));
      EXPECT_EQ(one.about, one.run.batch == batch_number(2) ? "chunk 2" : "chunk 4");
    }
  }
  const std::vector<KeyRun> expected{
      {batch_number(2), 0, 2}, {batch_number(2), 2, 1}, {batch_number(2), 3, 2}, {batch_number(4), 0, 2}, {batch_number(4), 2, 3}};
  EXPECT_EQ(runs, expected);
  EXPECT_EQ(end.claim(1).error(), (Error{ErrorCode::exhausted, "link/a-r has no key left"}));
  EXPECT_EQ(end.level().own, 0);
  EXPECT_EQ(end.level().peer, 5);
  EXPECT_EQ(end.number("SELECT count(*) FROM key_chunk WHERE own = 1"), 0) << "an empty chunk has no row";
}

TEST(KeyStockTest, AClaimThatCannotBeMetTakesNothing) {
  End end;
  ASSERT_TRUE(end.add(2, 3));
  EXPECT_EQ(end.claim(4).error().code, ErrorCode::exhausted);
  EXPECT_EQ(end.level().own, 3);
  EXPECT_EQ(end.number("SELECT count(*) FROM key_run"), 0);
  EXPECT_TRUE(end.claim(3)) << "the cache was not misled by what was undone";
}

TEST(KeyStockTest, OctetsLeaveTheDatabaseInTheTransactionThatTakesThem) {
  End end;
  ASSERT_TRUE(end.add(2, 4));
  ASSERT_TRUE(end.claim(3));
  Bytes sealed;
  Bytes gone;
  ASSERT_TRUE(end.run([&](store::Transaction& transaction) {
    return transaction.query("SELECT sealed, gone FROM key_chunk", {}, [&](const store::Row& row) {
      sealed = row.blob(0);
      gone = row.blob(1);
    });
  }));
  EXPECT_EQ(gone, Bytes{0b0111});
  EXPECT_EQ(sealed.size(), stock_key_size + 28) << "one key, a nonce and a tag";
  const Bytes context = concat({store::column_context("key_chunk.sealed", batch_number(2).view()), Bytes{'/'}, gone});
  const auto rest = end.device->unseal(context, sealed);
  ASSERT_TRUE(rest);
  EXPECT_TRUE(equal_secret(*rest, slice_keys(keys_of(batch_number(2), 4), 3, 1)));
  const Bytes another = concat({store::column_context("key_chunk.sealed", batch_number(2).view()), Bytes{'/'}, Bytes{0b1011}});
  EXPECT_FALSE(end.device->unseal(another, sealed)) << "the bitmap is bound to the octets";
}

TEST(KeyStockTest, TheEndsNeverChooseTheSameKeyAndFindTheSameOctetsUnderOneId) {
  End a(true);
  End b(false);
  for (std::uint64_t n = 2; n < 8; ++n) {
    ASSERT_TRUE(a.add(n, 20));
    ASSERT_TRUE(b.add(n, 20));
  }
  std::set<KeyId> chosen;
  for (int i = 0; i < 10; ++i) {
    for (const auto [near, far] : {std::pair{&a, &b}, std::pair{&b, &a}}) {
      const auto taken = near->claim(6);
      ASSERT_TRUE(taken);
      for (const Taken& one : *taken) {
        for (std::uint32_t k = 0; k < one.run.count; ++k) EXPECT_TRUE(chosen.insert(one.run.id(k)).second);
        const auto received = far->redeem(one.run);
        ASSERT_TRUE(received && !received->refusal) << received->refusal->message;
        EXPECT_TRUE(equal_secret(received->keys.front().keys, one.keys));
      }
    }
  }
  EXPECT_EQ(chosen.size(), 120U);
  EXPECT_FALSE(a.claim(1));
  EXPECT_FALSE(b.claim(1));
}

TEST(KeyStockTest, ANamedKeyIsRefusedTheSecondTimeAndWhereThePeerHasNoSay) {
  End end;
  ASSERT_TRUE(end.add(3, 8));
  ASSERT_TRUE(end.add(2, 8));
  EXPECT_EQ(end.redeem({batch_number(3), 2, 3})->keys.size(), 1U);
  EXPECT_EQ(end.redeem({batch_number(3), 2, 3})->refusal->code, ErrorCode::conflict);
  const auto overlapping = end.redeem({batch_number(3), 0, 4});
  EXPECT_EQ(overlapping->refusal->code, ErrorCode::conflict);
  EXPECT_TRUE(overlapping->keys.empty());
  EXPECT_EQ(end.state(key_id(batch_number(3), 0)), KeyState::destroyed) << "of a run that is gone in part the rest is used up too";
  EXPECT_EQ(end.redeem({batch_number(2), 0, 1})->refusal->code, ErrorCode::denied) << "ours to choose";
  EXPECT_EQ(end.state(key_id(batch_number(2), 0)), KeyState::generated);
  EXPECT_EQ(end.redeem({batch_number(3), 6, 1}, other_stock)->refusal->code, ErrorCode::denied);
  EXPECT_EQ(end.state(key_id(batch_number(3), 6)), KeyState::generated);
  for (const KeyRun bad : {KeyRun{batch_number(3), 7, 2}, KeyRun{batch_number(3), 0, 0}, KeyRun{batch_number(3), 0xffffffff, 2}}) {
    EXPECT_EQ(end.redeem(bad)->refusal->code, ErrorCode::invalid_argument);
  }
  EXPECT_EQ(end.level().peer, 3);
}

TEST(KeyStockTest, AKeyNamedBeforeItsChunkCameIsBurntBeforeItComes) {
  End end;
  const auto refused = end.redeem({batch_number(3), 1, 2});
  EXPECT_EQ(refused->refusal->code, ErrorCode::not_found);
  EXPECT_EQ(refused->missing, std::vector{batch_number(3)});
  ASSERT_TRUE(end.add(3, 5));
  EXPECT_EQ(end.level().peer, 3);
  EXPECT_EQ(end.state(key_id(batch_number(3), 1)), KeyState::destroyed);
  EXPECT_EQ(end.redeem({batch_number(3), 1, 1})->refusal->code, ErrorCode::conflict);
  const auto received = end.redeem({batch_number(3), 3, 2});
  ASSERT_FALSE(received->refusal);
  EXPECT_TRUE(equal_secret(received->keys.front().keys, slice_keys(keys_of(batch_number(3), 5), 3, 2)));
  // A fetch that waits leaves the key alone.
  EXPECT_EQ(end.redeem({batch_number(5), 0, 1}, stock, KeyStock::Unknown::leave)->refusal->code, ErrorCode::not_found);
  ASSERT_TRUE(end.add(5, 1));
  EXPECT_FALSE(end.redeem({batch_number(5), 0, 1})->refusal);
}

TEST(KeyStockTest, AChunkThatWasUsedUpDoesNotComeAgain) {
  End end;
  ASSERT_TRUE(end.add(2, 3));
  EXPECT_FALSE(end.add(2, 3)) << "while it is here";
  ASSERT_TRUE(end.claim(3));
  EXPECT_EQ(end.add(2, 3).error().code, ErrorCode::conflict);
  EXPECT_EQ(end.level().own, 0);
}

TEST(KeyStockTest, AKeyPastItsTimeIsNotRedeemed) {
  End end;
  ASSERT_TRUE(end.add(3, 3, unnumbered, now + 10));
  const auto late = end.run([&](store::Transaction& transaction) {
    return end.keys->redeem(transaction, stock, std::array{KeyRun{batch_number(3), 0, 1}}, {.state = KeyState::destroyed, .holder = "test"},
                            KeyStock::Unknown::burn, now + 10);
  });
  ASSERT_TRUE(late && late->refusal);
  EXPECT_EQ(late->refusal->code, ErrorCode::not_found);
  EXPECT_TRUE(late->keys.empty());
}

TEST(KeyStockTest, WhatAPeerNamesBeforeItComesIsRememberedUpToALimit) {
  End end;
  constexpr std::uint64_t limit = 4096;
  ASSERT_TRUE(end.run([&](store::Transaction& transaction) -> Result<void> {
    for (std::uint64_t n = 0; n < limit + 3; ++n) {
      TRY(end.keys->redeem(transaction, stock, std::array{KeyRun{batch_number(n), 0, 1}}, {.state = KeyState::destroyed, .holder = "test"},
                           KeyStock::Unknown::burn, now));
    }
    return {};
  }));
  EXPECT_EQ(end.number("SELECT count(*) FROM key_burnt"), static_cast<std::int64_t>(limit));
}

TEST(KeyStockTest, AnOwnChunkThatThePeerNeverHadIsDropped) {
  End end;
  ASSERT_TRUE(end.add(2, 6));
  ASSERT_TRUE(end.add(3, 6));
  ASSERT_TRUE(end.claim(2));
  const auto dropped = [&](std::uint64_t n) { return *end.run([&](store::Transaction& t) { return end.keys->drop(t, stock, batch_number(n), now); }); };
  EXPECT_EQ(dropped(3), 0U) << "it is the peer's";
  EXPECT_EQ(*end.run([&](store::Transaction& t) { return end.keys->drop(t, other_stock, batch_number(2), now); }), 0U) << "another link's peer has no say";
  EXPECT_EQ(dropped(2), 4U);
  EXPECT_EQ(dropped(2), 0U);
  EXPECT_EQ(end.level().own, 0);
  EXPECT_EQ(end.level().peer, 6);
  EXPECT_EQ(end.state(key_id(batch_number(2), 5)), KeyState::destroyed);
}

TEST(KeyStockTest, ARunGoesThroughTheTableOfStatesAndNoOtherWay) {
  End end;
  ASSERT_TRUE(end.add(2, 4));
  const KeyRun run = end.claim(2)->front().run;
  const auto advance = [&](const KeyRun& which, KeyState to) { return end.run([&](store::Transaction& t) { return end.keys->advance(t, which, to, now); }); };
  EXPECT_EQ(end.state(run.id(1)), KeyState::reserved);
  EXPECT_EQ(advance(run, KeyState::confirmed).error().code, ErrorCode::conflict);
  EXPECT_EQ(advance(KeyRun::one(run.id(1)), KeyState::delivered).error().code, ErrorCode::invalid_argument) << "it was taken together with another";
  ASSERT_TRUE(advance(run, KeyState::delivered));
  EXPECT_EQ(advance(run, KeyState::delivered).error().code, ErrorCode::conflict) << "delivered once";
  ASSERT_TRUE(advance(run, KeyState::confirmed));
  ASSERT_TRUE(advance(run, KeyState::destroyed));
  EXPECT_EQ(advance(run, KeyState::reserved).error().code, ErrorCode::conflict);
  EXPECT_EQ(advance({batch_number(9), 0, 1}, KeyState::destroyed).error().code, ErrorCode::not_found);
  const auto each = end.claim(2, true);
  ASSERT_EQ(each->size(), 2U);
  EXPECT_TRUE(advance(each->at(1).run, KeyState::delivered)) << "a key that was taken by itself goes by itself";
  EXPECT_EQ(end.state(each->at(0).run.id(0)), KeyState::reserved);
}

TEST(KeyStockTest, ADeliveryCountsOnceAndAnEarlierOneIsRefused) {
  End end;
  const KeyStock::Delivery third{.seq = 3, .keys_max = 1000};
  EXPECT_EQ(end.add(2, 4, third).value(), true);
  EXPECT_EQ(end.add(2, 4, third).value(), false);
  EXPECT_EQ(end.level().own, 4);
  EXPECT_EQ(end.add(4, 4, {.seq = 2, .keys_max = 1000}).error().code, ErrorCode::conflict);
  EXPECT_EQ(*end.run([&](store::Transaction& t) { return end.keys->next_delivery(t, stock); }), 4U);
  EXPECT_EQ(end.add(6, 257).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(end.add(2, 4).error().code, ErrorCode::conflict) << "no chunk comes twice";
}

TEST(KeyStockTest, OldDeliveriesAreDroppedAlikeAtBothEndsWhateverWasUsed) {
  End a(true);
  End b(false);
  for (std::uint64_t n = 1; n <= 6; ++n) {
    ASSERT_TRUE(a.add(n, 10, {.seq = n, .keys_max = 30}));
    ASSERT_TRUE(b.add(n, 10, {.seq = n, .keys_max = 30}));
    if (n == 4) ASSERT_TRUE(a.claim(17));
    if (n == 5) ASSERT_TRUE(b.claim(2));
  }
  for (End* end : {&a, &b}) {
    EXPECT_EQ(end->number("SELECT count(*) FROM key_delivery"), 3);
    EXPECT_EQ(end->number("SELECT min(seq) FROM key_chunk"), 4);
  }
  EXPECT_EQ(a.level().own, 13);
  EXPECT_EQ(b.level().own, 10) << "its two used keys lay in a delivery that was dropped";
  ASSERT_TRUE(a.add(7, 100, {.seq = 7, .keys_max = 30}));
  EXPECT_EQ(a.number("SELECT count(*) FROM key_delivery"), 1) << "the newest always stays";
}

TEST(KeyStockTest, ADeliveryLostAtOneEndCostsItsKeysAndNothingElse) {
  End a(true);
  End b(false);
  for (std::uint64_t n = 2; n <= 6; n += 2) {
    ASSERT_TRUE(a.add(n, 10, {.seq = n, .keys_max = 1000}));
    if (n != 4) ASSERT_TRUE(b.add(n, 10, {.seq = n, .keys_max = 1000}));
  }
  std::size_t agreed = 0;
  while (const auto taken = a.claim(3)) {
    for (const Taken& one : *taken) {
      const auto received = b.redeem(one.run);
      for (const BatchId& missing : received->missing) ASSERT_TRUE(a.run([&](store::Transaction& t) { return a.keys->drop(t, stock, missing, now); }));
      if (received->refusal) continue;
      EXPECT_TRUE(equal_secret(received->keys.front().keys, one.keys));
      agreed += one.run.count;
    }
  }
  EXPECT_GE(agreed, 17U);
  // The block that was lost comes after all: what was named is burnt, the rest is used by nobody.
  EXPECT_EQ(b.add(4, 10, {.seq = 4, .keys_max = 1000}).error().code, ErrorCode::conflict);
}

TEST(KeyStockTest, WhatIsPastItsTimeIsNotHandedOutAndSwept) {
  End end;
  ASSERT_TRUE(end.add(2, 3, unnumbered, now + 10));
  ASSERT_TRUE(end.add(3, 3, unnumbered, now + 10));
  ASSERT_TRUE(end.add(4, 3, unnumbered, now + 100));
  EXPECT_EQ(end.level(now + 10).own, 3);
  const auto taken = end.claim(1, false, now + 10);
  ASSERT_TRUE(taken);
  EXPECT_EQ(taken->front().run.batch, batch_number(4));
  ASSERT_TRUE(end.run([&](store::Transaction& t) { return end.keys->deliver(t, taken->front().run, now + 20, now + 10); }));
  const auto sweep = [&](UnixMs at) { return *end.run([&](store::Transaction& t) { return end.keys->sweep(t, 100, at); }); };
  EXPECT_EQ(sweep(now + 10), (std::vector<KeyRun>{{batch_number(3), 0, 3}}));
  EXPECT_EQ(sweep(now + 20), (std::vector{taken->front().run}));
  EXPECT_EQ(end.state(taken->front().run.id(0)), KeyState::destroyed);
  EXPECT_TRUE(sweep(now + 20).empty());
  EXPECT_EQ(end.redeem({batch_number(3), 0, 1})->refusal->code, ErrorCode::conflict);
}

TEST(KeyStockTest, ARestartEndsWhatWasPromisedAndNothingElse) {
  End end;
  ASSERT_TRUE(end.add(2, 10));
  const KeyRun reserved = end.claim(2)->front().run;
  const KeyRun delivered = end.claim(2)->front().run;
  ASSERT_TRUE(end.run([&](store::Transaction& t) { return end.keys->advance(t, delivered, KeyState::delivered, now); }));
  end.restart();
  const auto recover = [&](std::string_view prefix, bool also_delivered) {
    return *end.run([&](store::Transaction& t) { return end.keys->recover(t, prefix, also_delivered, now); });
  };
  EXPECT_TRUE(recover("domain/", true).empty());
  EXPECT_EQ(recover("link/", false), std::vector{reserved});
  EXPECT_EQ(end.state(delivered.id(0)), KeyState::delivered);
  EXPECT_EQ(recover("link/", true), std::vector{delivered});
  EXPECT_EQ(end.level().own, 6);
  EXPECT_EQ(end.claim(6)->front().run.first, 4U);
}

TEST(KeyStockTest, ATransactionThatIsUndoneLeavesEverythingAsItWas) {
  End end;
  ASSERT_TRUE(end.add(2, 8));
  ASSERT_TRUE(end.add(3, 8));
  for (int i = 0; i < 3; ++i) {
    const auto undone = end.run([&](store::Transaction& t) -> Result<void> {
      TRY(end.keys->claim(t, stock, {.least = 3, .most = 3}, {}, now));
      TRY(end.keys->redeem(t, stock, std::array{KeyRun{batch_number(3), 1, 2}}, {}, KeyStock::Unknown::burn, now));
      return fail(ErrorCode::internal, "crash");
    });
    EXPECT_FALSE(undone);
  }
  EXPECT_EQ(end.level().own, 8);
  EXPECT_EQ(end.level().peer, 8);
  const auto taken = end.claim(8);
  ASSERT_TRUE(taken);
  EXPECT_TRUE(equal_secret(taken->front().keys, keys_of(batch_number(2), 8)));
  EXPECT_TRUE(equal_secret(end.redeem({batch_number(3), 0, 8})->keys.front().keys, keys_of(batch_number(3), 8)));
}

TEST(KeyStockTest, EvidenceIsBoundedByAgeAndByNumber) {
  End end;
  ASSERT_TRUE(end.add(2, 100));
  const auto taken = end.claim(50, true);
  for (const Taken& one : *taken) ASSERT_TRUE(end.run([&](store::Transaction& t) { return end.keys->advance(t, one.run, KeyState::destroyed, now); }));
  const auto forget = [&](UnixMs before, std::int64_t most) { return end.run([&](store::Transaction& t) { return end.keys->forget(t, before, most); }); };
  ASSERT_TRUE(forget(now, 1000));
  EXPECT_EQ(end.number("SELECT count(*) FROM key_run"), 50);
  ASSERT_TRUE(forget(now, 20));
  EXPECT_EQ(end.number("SELECT count(*) FROM key_run"), 20);
  ASSERT_TRUE(forget(now + 1, 1000));
  EXPECT_EQ(end.number("SELECT count(*) FROM key_run"), 0);
  EXPECT_EQ(end.number("SELECT evidence FROM key_stock"), 0);
  EXPECT_EQ(end.claim(50)->front().run.first, 50U) << "forgotten keys stay used";
}

TEST(KeyStockTest, ADemandOfAWayTakesNoKeyThatCameByAnother) {
  End end;
  std::vector<Chunk> chunks;
  for (const auto& [n, way] : {std::pair{2U, KeyWay::centralised}, {4U, KeyWay::hop_by_hop}}) {
    chunks.push_back(chunk_of(n, 2, Owner::self));
    chunks.back().quality.way = way;
  }
  ASSERT_TRUE(end.run([&](store::Transaction& t) { return end.keys->add(t, stock, unnumbered, chunks, now); }));
  const auto claim = [&](KeyWay way) {
    const QualityDemand demand{.ways = static_cast<std::uint8_t>(1U << static_cast<unsigned>(way))};
    return end.run([&](store::Transaction& t) { return end.keys->claim(t, stock, {.least = 2, .most = 2, .demand = demand}, {.holder = "test"}, now); });
  };
  EXPECT_EQ(claim(KeyWay::link).error().code, ErrorCode::exhausted);
  const auto taken = claim(KeyWay::hop_by_hop);
  ASSERT_TRUE(taken) << taken.error().message;
  EXPECT_EQ(taken->front().run.batch, batch_number(4)) << "though the other is older";
  EXPECT_EQ(claim(KeyWay::hop_by_hop).error().code, ErrorCode::exhausted);
  EXPECT_TRUE(claim(KeyWay::centralised));
}

TEST(KeyStockTest, ADemandPassesOverOlderKeysThatLackOneThingAlone) {
  const points::KeyProof good{.bounds = 8, .photons = 8, .eps = 1e-10};
  struct Case {
    points::KeyProof older;
    points::ProofDemand demand;
  };
  for (const Case& one : {Case{{.bounds = 2, .photons = 8, .eps = 1e-10}, {.bounds = points::bounds_finite}}, Case{{.bounds = 8, .photons = 2, .eps = 1e-10}, {.photons = 8}},
                          Case{{.bounds = 8, .photons = 8, .eps = 1e-8}, {.eps_max = 1e-9}}}) {
    End end;
    std::vector<Chunk> chunks;
    chunks.push_back(chunk_of(2, 2, Owner::self));
    chunks.back().quality.proof = one.older;
    chunks.push_back(chunk_of(4, 2, Owner::self));
    chunks.back().quality.proof = good;
    ASSERT_TRUE(end.run([&](store::Transaction& t) { return end.keys->add(t, stock, unnumbered, chunks, now); }));
    const KeyStock::Wanted wanted{.least = 2, .most = 2, .demand = {.proof = one.demand}};
    const auto taken = end.run([&](store::Transaction& t) { return end.keys->claim(t, stock, wanted, {.holder = "test"}, now); });
    ASSERT_TRUE(taken) << taken.error().message;
    EXPECT_EQ(taken->front().run.batch, batch_number(4));
  }
}

TEST(KeyStockTest, AStockOfWhichNothingIsLeftIsForgottenAndMayComeAgain) {
  End end;
  const auto forget = [&](UnixMs before) { ASSERT_TRUE(end.run([&](store::Transaction& t) { return end.keys->forget(t, before, 1000); })); };
  const auto stocks = [&] { return end.number("SELECT count(*) FROM key_stock"); };
  ASSERT_TRUE(end.add(2, 4));
  forget(now + 1);
  EXPECT_EQ(stocks(), 1) << "it has keys";
  const auto taken = end.claim(4);
  forget(now + 1);
  EXPECT_EQ(stocks(), 1) << "its keys are on their way";
  ASSERT_TRUE(end.run([&](store::Transaction& t) { return end.keys->advance(t, taken->front().run, KeyState::destroyed, now); }));
  forget(now);
  EXPECT_EQ(stocks(), 1) << "there is evidence of them";
  forget(now + 1);
  EXPECT_EQ(stocks(), 0);
  ASSERT_TRUE(end.add(4, 3));
  EXPECT_EQ(end.level().own, 3);
  ASSERT_TRUE(end.claim(3));
}

TEST(KeyStockTest, AStockWithNumberedDeliveriesIsNeverForgotten) {
  End end;
  ASSERT_TRUE(end.add(2, 4, {.seq = 7, .keys_max = 100}));
  const auto taken = end.claim(4);
  ASSERT_TRUE(end.run([&](store::Transaction& t) { return end.keys->advance(t, taken->front().run, KeyState::destroyed, now); }));
  ASSERT_TRUE(end.run([&](store::Transaction& t) { return end.keys->forget(t, now + 1, 1000); }));
  EXPECT_EQ(end.number("SELECT delivered FROM key_stock"), 4) << "how much counts against the limit";
  EXPECT_EQ(end.add(4, 4, {.seq = 6, .keys_max = 100}).error().code, ErrorCode::conflict);
}

TEST(KeyStockTest, EightThreadsInGroupsNeverClaimOneKeyTwice) {
  End end;
  for (std::uint64_t n = 2; n < 22; n += 2) ASSERT_TRUE(end.add(n, 40));
  GroupCommit together(*end.database);
  std::mutex mutex;
  std::set<KeyId> claimed;
  std::atomic<int> undone = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&, t] {
        for (int i = 0;; ++i) {
          // Every third work fails after its claim: it must not take its company down, nor lose the keys.
          const bool fails = (i + t) % 3 == 0;
          const auto taken = together.transact([&](store::Transaction& transaction) -> Result<std::vector<Taken>> {
            ASSIGN_OR_RETURN(auto out, end.keys->claim(transaction, stock, {.least = 1, .most = 3}, {}, now));
            if (fails) return fail(ErrorCode::denied, "thought better of it");
            return Result<std::vector<Taken>>(std::move(out));
          });
          if (!taken && taken.error().code == ErrorCode::exhausted) return;
          if (!taken) {
            EXPECT_EQ(taken.error().code, ErrorCode::denied);
            ++undone;
            continue;
          }
          const std::lock_guard lock(mutex);
          for (const Taken& one : *taken) {
            const Secret all = keys_of(one.run.batch, 40);
            for (std::uint32_t k = 0; k < one.run.count; ++k) {
              EXPECT_TRUE(claimed.insert(one.run.id(k)).second);
              EXPECT_TRUE(equal_secret(one.key(k), slice_keys(all, one.run.first + k, 1)));
            }
          }
        }
      });
    }
  }
  EXPECT_EQ(claimed.size(), 400U);
  EXPECT_GT(undone, 0);
}

/// A transaction that counts what passes through it.
class Counting final : public store::Transaction {
 public:
  explicit Counting(store::Transaction& inner) : inner_(inner) {}
  Result<std::int64_t> run(std::string_view sql, std::span<const store::Value> values) override {
    ++statements;
    seen.insert(std::string(sql));
    auto changed = inner_.run(sql, values);
    if (changed) rows += *changed;
    return changed;
  }
  Result<void> query(std::string_view sql, std::span<const store::Value> values, const std::function<void(const store::Row&)>& each) override {
    ++statements;
    seen.insert(std::string(sql));
    return inner_.query(sql, values, [&](const store::Row& row) {
      ++rows;
      each(row);
    });
  }
  std::int64_t statements = 0;
  std::int64_t rows = 0;
  std::set<std::string> seen;

 private:
  store::Transaction& inner_;
};

struct Cost {
  std::int64_t statements = 0;
  std::int64_t rows = 0;
  std::uintmax_t pages_written = 0;
  std::set<std::string> seen;
};

/// What one claim, one named key and one new chunk cost with `chunks` chunks of each owner in stock.
Cost cost_with(std::uint64_t chunks) {
  End end;
  for (std::uint64_t n = 0; n < chunks;) {
    std::vector<Chunk> some;
    for (const std::uint64_t last = std::min(chunks, n + 500); n < last; ++n) {
      some.push_back(chunk_of(10 + 2 * n, 16, Owner::self, now + 1000000 + n));
      some.push_back(chunk_of(11 + 2 * n, 16, Owner::peer));
    }
    EXPECT_TRUE(end.run([&](store::Transaction& t) { return end.keys->add(t, stock, {.seq = n, .keys_max = 1LL << 40}, some, now); }));
  }
  end.restart();  // the log is folded into the database, nothing is cached
  const auto log_size = [&] { return std::filesystem::file_size(end.directory / "qkm.db-wal"); };
  Cost out;
  EXPECT_TRUE(end.run([&](store::Transaction& t) { return end.keys->level(t, stock, now); }));
  std::uintmax_t before = 0;
  for (std::uint64_t i = 0; i < 20; ++i) {
    if (i == 10) before = log_size();  // caches are warm
    EXPECT_TRUE(end.run([&](store::Transaction& inner) -> Result<void> {
      Counting t(inner);
      ASSIGN_OR_RETURN(const auto taken, end.keys->claim(t, stock, {}, {.until_ms = now + 100}, now));
      TRY(end.keys->advance(t, taken.front().run, KeyState::delivered, now));
      TRY(end.keys->advance(t, taken.front().run, KeyState::destroyed, now));
      TRY(end.keys->redeem(t, stock, std::array{KeyRun{batch_number(11 + 2 * (chunks / 2)), static_cast<std::uint32_t>(i % 16), 1}}, {},
                           KeyStock::Unknown::burn, now));
      TRY(end.keys->level(t, stock, now));
      TRY(end.keys->sweep(t, 100, now));
      TRY(end.keys->forget(t, now - 1000, 1000000));
      const std::array fresh{chunk_of(1000000000 + 2 * i, 16, Owner::self)};
      TRY(end.keys->add(t, stock, {.seq = 10 * chunks + i + 1, .keys_max = 1LL << 40}, fresh, now));
      if (i >= 10) {
        out.statements += t.statements;
        out.rows += t.rows;
        out.seen.insert(t.seen.begin(), t.seen.end());
      }
      return {};
    }));
  }
  out.pages_written = (log_size() - before) / 4096;
  return out;
}

TEST(KeyStockTest, TheCostPerKeyDoesNotGrowWithTheStock) {
  const Cost small = cost_with(32);
  const Cost large = cost_with(8000);  // 250 times as many keys: 256,000
  EXPECT_EQ(small.statements, large.statements);
  EXPECT_EQ(small.rows, large.rows);
  // Pages of four trees that are one or two levels deeper.
  EXPECT_LE(large.pages_written, small.pages_written * 2) << small.pages_written;
  EXPECT_GT(small.pages_written, 0U);
}

TEST(KeyStockTest, EveryStatementFindsItsRowsByAnIndex) {
  const Cost cost = cost_with(32);
  End end;
  EXPECT_GT(cost.seen.size(), 15U);
  for (const std::string& sql : cost.seen) {
    if (sql.starts_with("INSERT")) continue;
    if (sql == "SELECT evidence FROM key_stock" || sql.starts_with("DELETE FROM key_stock")) continue;  // one row per stock, not per key
    const auto places = static_cast<std::size_t>(std::ranges::count(sql, '?'));
    const std::vector<store::Value> values(places, std::int64_t{1});
    ASSERT_TRUE(end.run([&](store::Transaction& t) {
      return t.query("EXPLAIN QUERY PLAN " + sql, values, [&](const store::Row& row) {
        const std::string plan = row.text(3);
        EXPECT_TRUE(plan.starts_with("SEARCH") || plan.find("USING INDEX key_run_destroyed") != std::string::npos) << sql << "\n  " << plan;
        EXPECT_EQ(plan.find("TEMP B-TREE"), std::string::npos) << sql << "\n  " << plan;
      });
    })) << sql;
  }
}

// The claims of formal/align.pml, on the program: any interleaving of claims, lost and repeated namings, lost deliveries, crashes. No key is
// used for two purposes at either end, and where both ends used it for one they used the same octets.
TEST(KeyStockTest, NoInterleavingUsesAKeyForTwoPurposes) {
  for (std::uint32_t seed = 1; seed <= 12; ++seed) {
    std::mt19937 dice(seed);
    End a(true);
    End b(false);
    std::map<KeyId, std::pair<int, Bytes>> used_at_a;  // key → purpose, digest of its octets
    std::map<KeyId, std::pair<int, Bytes>> used_at_b;
    const auto use = [&](std::map<KeyId, std::pair<int, Bytes>>& where, const Taken& taken, int purpose) {
      for (std::uint32_t k = 0; k < taken.run.count; ++k) {
        const Bytes seen = crypto::hmac(crypto::Hash::sha256, taken.key(k), {});
        EXPECT_TRUE(where.emplace(taken.run.id(k), std::pair{purpose, seen}).second) << "seed " << seed << ": used twice: " << taken.run.id(k).hex();
      }
    };
    std::vector<std::pair<KeyRun, int>> named[2];  // on their way from a, from b
    std::uint64_t block = 0;
    int purpose = 0;
    for (int step = 0; step < 250; ++step) {
      End& near = dice() % 2 == 0 ? a : b;
      auto& used_near = &near == &a ? used_at_a : used_at_b;
      auto& on_their_way = named[&near == &a ? 0 : 1];
      switch (dice() % 8) {
        case 0: {  // a delivery, which may be lost at one end
          ++block;
          if (dice() % 5 != 0) ASSERT_TRUE(a.add(block, 6, {.seq = block, .keys_max = 40}));
          if (dice() % 5 != 0) ASSERT_TRUE(b.add(block, 6, {.seq = block, .keys_max = 40}));
          break;
        }
        case 1:
          near.restart();
          ASSERT_TRUE(near.run([&](store::Transaction& t) { return near.keys->recover(t, "link/", true, now); }));
          break;
        case 2:
        case 3:
        case 4: {
          auto taken = near.claim(1 + dice() % 3);
          if (!taken) break;
          ++purpose;
          for (const Taken& one : *taken) {
            use(used_near, one, purpose);
            on_their_way.emplace_back(one.run, purpose);
          }
          break;
        }
        default: {  // a naming arrives, is lost, or arrives and comes again
          End& far = &near == &a ? b : a;
          auto& used_far = &near == &a ? used_at_b : used_at_a;
          if (on_their_way.empty()) break;
          const std::size_t which = dice() % on_their_way.size();
          const auto [run, why] = on_their_way[which];
          const bool lost = dice() % 4 == 0;
          if (!lost) {
            const auto received = far.redeem(run);
            ASSERT_TRUE(received);
            for (const Taken& one : received->keys) use(used_far, one, why);
            for (const BatchId& missing : received->missing)
              ASSERT_TRUE(near.run([&](store::Transaction& t) { return near.keys->drop(t, stock, missing, now); }));
          }
          if (dice() % 3 != 0) on_their_way.erase(on_their_way.begin() + static_cast<std::ptrdiff_t>(which));
        }
      }
    }
    std::size_t both = 0;
    for (const auto& [id, mine] : used_at_a) {
      const auto theirs = used_at_b.find(id);
      if (theirs == used_at_b.end()) continue;
      EXPECT_EQ(mine, theirs->second) << "seed " << seed;
      ++both;
    }
    EXPECT_GT(both, 5U) << "seed " << seed;
  }
}

}  // namespace
}  // namespace qanat::qkm
