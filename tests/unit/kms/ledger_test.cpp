// The ledger of working keys: only transitions of the lifecycle table, one key per session and leg, octets gone when a key is destroyed,
// sealed columns bound to their rows.
#include "services/kms/kma/ledger.hpp"

#include <set>

#include "ledger_steps.hpp"
#include "services/kms/schema.hpp"
#include "store/key_commitment.hpp"
#include "trusted_network.hpp"
#include "store_kinds.hpp"

namespace qanat::kms {
namespace {

using store::KeyState;
using test::must;
using wire::Role;

constexpr UnixMs now = 1'700'000'000'000;
constexpr UnixMs lifetime = 60'000;

class LedgerTest : public testing::TestWithParam<test::StoreKind> {
 protected:
  LedgerTest() { open(); }

  void open() {
    store_.reset();
    device_ = must(crypto::open_software_device(folder_ / "master", *rng_));
    store_ = must(stores_.open(folder_ / "kms.db", migrations));
    ledger_ = std::make_unique<Ledger>(*device_);
  }
  template <class Work>
  auto in_transaction(Work&& work) {
    return store_->transact(std::forward<Work>(work));
  }

  WorkingKey key(const SidWk& sid_wk, Role leg = Role::caller, UnixMs expires = now + lifetime) {
    return {.sid_wk = sid_wk,
            .leg = leg,
            .sid_call = rng_->id<SidCall>(),
            .uid = Uid("alice"),
            .wk = rng_->secret(wire::wk_size),
            .assurance = wire::Assurance::one_qkd_path,
            .n_paths = 1,
            .path_min = 2,
            .th9 = rng_->bytes(32),
            .peer_uid = Uid("bob"),
            .peer_number = Number("+8613900000002"),
            .peer_kms = ElementName("kms-b"),
            .peer_fps = {.classical = rng_->bytes(32), .pq = rng_->bytes(32)},
            .expires_ms = expires,
            .terms = {.traffic = Traffic::gateway, .level_min = wire::Assurance::pqc, .deliveries_max = 3}};
  }
  Result<void> add(const WorkingKey& key) {
    return in_transaction([&](store::Transaction& transaction) { return ledger_->add(transaction, key); });
  }
  SidWk added(Role leg = Role::caller, UnixMs expires = now + lifetime) {
    const auto sid_wk = rng_->id<SidWk>();
    must(add(key(sid_wk, leg, expires)));
    return sid_wk;
  }
  Result<std::optional<StoredKey>> find(const SidWk& sid_wk, Role leg = Role::caller) {
    return in_transaction([&](store::Transaction& transaction) { return ledger_->find(transaction, sid_wk, leg); });
  }
  StoredKey there(const SidWk& sid_wk, Role leg = Role::caller) {
    auto found = must(find(sid_wk, leg));
    CHECK(found.has_value());
    return *std::move(found);
  }
  static Ending ending(const std::string& why = "test") { return {.by = "operator", .why = why, .at_ms = now}; }
  Result<void> advance(const SidWk& sid_wk, KeyState to, Role leg = Role::caller) {
    return in_transaction([&](store::Transaction& transaction) -> Result<void> {
      if (to != KeyState::destroyed) return ledger_->advance(transaction, sid_wk, leg, to);
      TRY(ledger_->destroy(transaction, sid_wk, leg, ending()));
      return {};
    });
  }
  Result<Destroyed> destroy(const SidWk& sid_wk, const Ending& how, Role leg = Role::caller) {
    return in_transaction([&](store::Transaction& transaction) { return ledger_->destroy(transaction, sid_wk, leg, how); });
  }
  static KeyUse by_alice(UnixMs at = now) { return {.by = Uid("alice"), .traffic = Traffic::gateway, .now_ms = at}; }
  Result<void> deliver(const SidWk& sid_wk, ByteView h_deliver, Role leg = Role::caller, const KeyUse& use = by_alice()) {
    return in_transaction([&](store::Transaction& transaction) {
      return deliver_leg(*ledger_, transaction, sid_wk, leg, {.h_req = h_req_, .h_deliver = h_deliver, .octets = answer_}, use);
    });
  }
  Result<std::optional<Bytes>> again(const SidWk& sid_wk, ByteView h_req, const KeyUse& use = by_alice()) {
    return in_transaction([&](store::Transaction& transaction) { return ledger_->delivered_again(transaction, sid_wk, Role::caller, h_req, use); });
  }
  std::set<SidWk> swept(Ledger::Sweep which, UnixMs at) {
    std::set<SidWk> out;
    for (const Destroyed& one : must(in_transaction([&](store::Transaction& transaction) { return sweep_due(*ledger_, transaction, which, at); }))) out.insert(one.sid_wk);
    return out;
  }
  Result<void> change(std::string_view sql, const SidWk& sid_wk) {
    return in_transaction([&](store::Transaction& transaction) -> Result<void> {
      TRY(transaction.run(sql, {sid_wk.view()}));
      return {};
    });
  }
  std::vector<std::int64_t> census() {
    return must(in_transaction([&](store::Transaction& transaction) { return ledger_->census(transaction); }));
  }
  /// The states of a working key.
  static constexpr std::array states{KeyState::generated, KeyState::reserved, KeyState::suspended, KeyState::delivered, KeyState::confirmed, KeyState::destroyed};
  /// A leg that was led to `state`.
  SidWk in_state(KeyState state, UnixMs expires = now + lifetime) {
    const SidWk sid_wk = added(Role::caller, expires);
    if (state == KeyState::generated) return sid_wk;
    must(advance(sid_wk, KeyState::reserved));
    if (state == KeyState::reserved) return sid_wk;
    if (state == KeyState::delivered || state == KeyState::confirmed) must(advance(sid_wk, KeyState::delivered));
    if (state != KeyState::delivered) must(advance(sid_wk, state));
    return sid_wk;
  }
  std::int64_t answers() {
    std::int64_t out = -1;
    must(in_transaction([&](store::Transaction& transaction) {
      return transaction.query("SELECT count(*) FROM delivered_answer", {}, [&](const store::Row& row) { out = row.integer(0); });
    }));
    return out;
  }
  /// Whether the row of the leg still has a sealed key.
  bool holds_octets(const SidWk& sid_wk) {
    bool out = false;
    must(in_transaction([&](store::Transaction& transaction) {
      return transaction.query("SELECT sealed_wk IS NOT NULL FROM working_key WHERE sid_wk = ?", {sid_wk.view()},
                               [&](const store::Row& row) { out = out || row.integer(0) != 0; });
    }));
    return out;
  }
  Bytes sealed(const SidWk& sid_wk, Role leg = Role::caller) {
    Bytes out;
    must(in_transaction([&](store::Transaction& transaction) {
      return transaction.query("SELECT sealed_wk FROM working_key WHERE sid_wk = ? AND leg = ?", {sid_wk.view(), static_cast<std::int64_t>(leg)},
                               [&](const store::Row& row) { out = row.blob(0); });
    }));
    return out;
  }
  void put_sealed(const SidWk& sid_wk, Role leg, const Bytes& octets) {
    must(in_transaction([&](store::Transaction& transaction) -> Result<void> {
      TRY(transaction.run("UPDATE working_key SET sealed_wk = ? WHERE sid_wk = ? AND leg = ?",
                          {ByteView(octets), sid_wk.view(), static_cast<std::int64_t>(leg)}));
      return {};
    }));
  }

  test::TemporaryDirectory folder_;
  std::unique_ptr<crypto::Rng> rng_ = must(crypto::open_rng());
  std::unique_ptr<crypto::CryptoDevice> device_;
  test::TestStores stores_{GetParam()};
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<Ledger> ledger_;
  const Bytes h_req_ = Bytes(32, 7);
  const Bytes answer_ = to_bytes("the delivery, sealed to the terminal");
};

INSTANTIATE_TEST_SUITE_P(Stores, LedgerTest, test::every_store_kind, test::name_of);

TEST_P(LedgerTest, KeyComesBackAsItWentIn) {
  const WorkingKey in = key(rng_->id<SidWk>(), Role::callee);
  must(add(in));
  open();  // after a restart too
  const StoredKey out = there(in.sid_wk, Role::callee);
  EXPECT_EQ(out.state, KeyState::generated);
  EXPECT_TRUE(equal_secret(out.key.wk, in.wk));
  EXPECT_EQ(out.key.sid_wk, in.sid_wk);
  EXPECT_EQ(out.key.leg, in.leg);
  EXPECT_EQ(out.key.sid_call, in.sid_call);
  EXPECT_EQ(out.key.uid, in.uid);
  EXPECT_EQ(out.key.assurance, in.assurance);
  EXPECT_EQ(out.key.n_paths, in.n_paths);
  EXPECT_EQ(out.key.path_min, in.path_min);
  EXPECT_EQ(out.key.th9, in.th9);
  EXPECT_EQ(out.key.peer_uid, in.peer_uid);
  EXPECT_EQ(out.key.peer_number, in.peer_number);
  EXPECT_EQ(out.key.peer_kms, in.peer_kms);
  EXPECT_EQ(out.key.peer_fps, in.peer_fps);
  EXPECT_EQ(out.key.expires_ms, in.expires_ms);
  EXPECT_TRUE(out.h_deliver.empty());
}

TEST_P(LedgerTest, FindsNothingWhereThereIsNoSuchLeg) {
  const SidWk sid_wk = added(Role::caller);
  EXPECT_FALSE(must(find(sid_wk, Role::callee)).has_value());
  EXPECT_FALSE(must(find(rng_->id<SidWk>())).has_value());
  EXPECT_EQ(test::refusal(advance(sid_wk, KeyState::reserved, Role::callee)), ErrorCode::not_found);
  EXPECT_EQ(test::refusal(deliver(rng_->id<SidWk>(), rng_->bytes(32))), ErrorCode::not_found);
}

TEST_P(LedgerTest, MakesExactlyTheTransitionsOfTheTable) {
  for (const KeyState from : states) {
    for (const KeyState to : store::all_key_states) {
      const SidWk sid_wk = in_state(from);
      const auto done = advance(sid_wk, to);
      const std::string what = std::string(store::name(from)) + " to " + std::string(store::name(to));
      EXPECT_EQ(done.has_value(), store::may(store::KeyKind::working, from, to)) << what;
      if (!done) {
        EXPECT_EQ(done.error().code, ErrorCode::conflict) << what;
      }
      EXPECT_EQ(there(sid_wk).state, done ? to : from) << what;
    }
  }
}

TEST_P(LedgerTest, DeliversAReservedKeyOnceAndNamesTheDelivery) {
  const SidWk sid_wk = in_state(KeyState::generated);
  const Bytes first = rng_->bytes(32);
  EXPECT_EQ(test::refusal(deliver(sid_wk, first)), ErrorCode::conflict) << "a key that nobody reserved";
  must(advance(sid_wk, KeyState::reserved));
  must(deliver(sid_wk, first));
  EXPECT_EQ(there(sid_wk).state, KeyState::delivered);
  EXPECT_EQ(there(sid_wk).h_deliver, first);
  EXPECT_EQ(test::refusal(deliver(sid_wk, rng_->bytes(32))), ErrorCode::conflict);
  EXPECT_EQ(there(sid_wk).h_deliver, first) << "the refused delivery has left no trace";
}

TEST_P(LedgerTest, LegsOnWhichNobodyElseHasToAgreeComeTogetherOneDeliveredTheOtherReserved) {
  const auto sid_wk = rng_->id<SidWk>();
  const WorkingKey own = key(sid_wk);
  WorkingKey others = key(sid_wk, Role::callee);
  others.sid_call = own.sid_call;
  others.uid = Uid("bob");
  const Bytes h_deliver = rng_->bytes(32);
  const auto begin = [&](const WorkingKey& mine, const WorkingKey& theirs, const KeyUse& use) {
    return in_transaction([&](store::Transaction& transaction) {
      return ledger_->add_session(transaction, mine, {.h_req = h_req_, .h_deliver = h_deliver, .octets = answer_}, use, theirs);
    });
  };
  EXPECT_EQ(test::refusal(begin(own, others, by_alice(now + lifetime))), ErrorCode::denied) << "its policy counts as with any delivery";
  EXPECT_FALSE(must(find(sid_wk)));
  EXPECT_FALSE(must(find(sid_wk, Role::callee)));
  must(begin(own, others, by_alice()));
  open();  // after a restart too
  const StoredKey mine = there(sid_wk);
  EXPECT_EQ(mine.state, KeyState::delivered);
  EXPECT_EQ(mine.deliveries, 1);
  EXPECT_EQ(mine.h_deliver, h_deliver);
  EXPECT_TRUE(equal_secret(mine.key.wk, own.wk));
  EXPECT_EQ(must(again(sid_wk, h_req_)), answer_);
  const StoredKey theirs = there(sid_wk, Role::callee);
  EXPECT_EQ(theirs.state, KeyState::reserved);
  EXPECT_EQ(theirs.deliveries, 0);
  EXPECT_TRUE(theirs.h_deliver.empty());
  EXPECT_TRUE(equal_secret(theirs.key.wk, others.wk));
  EXPECT_EQ(test::refusal(begin(own, others, by_alice())), ErrorCode::conflict) << "a session is used once";
}

TEST_P(LedgerTest, ASessionOfWhichOneLegIsThereIsNotBegun) {
  for (const Role there_before : {Role::caller, Role::callee}) {
    const SidWk sid_wk = added(there_before);
    const WorkingKey own = key(sid_wk);
    WorkingKey others = key(sid_wk, Role::callee);
    others.sid_call = own.sid_call;
    const auto begun = in_transaction([&](store::Transaction& transaction) {
      return ledger_->add_session(transaction, own, {.h_req = h_req_, .h_deliver = h_req_, .octets = answer_}, by_alice(), others);
    });
    EXPECT_EQ(test::refusal(begun), ErrorCode::conflict);
    EXPECT_FALSE(must(find(sid_wk, there_before == Role::caller ? Role::callee : Role::caller)));
    EXPECT_EQ(must(again(sid_wk, h_req_)), std::nullopt);
  }
}

TEST_P(LedgerTest, AConfirmedKeyIsDestroyedWithTheSameChange) {
  const auto confirm = [&](const StoredKey& stored) {
    return in_transaction([&](store::Transaction& transaction) { return ledger_->confirmed(transaction, stored, ending()); });
  };
  for (const KeyState state : {KeyState::generated, KeyState::reserved, KeyState::suspended, KeyState::confirmed, KeyState::destroyed}) {
    const SidWk sid_wk = in_state(state);
    EXPECT_EQ(test::refusal(confirm(there(sid_wk))), ErrorCode::conflict) << store::name(state);
    EXPECT_EQ(there(sid_wk).state, state);
  }
  const SidWk sid_wk = in_state(KeyState::reserved);
  must(deliver(sid_wk, rng_->bytes(32)));
  const StoredKey stored = there(sid_wk);
  const Destroyed gone = must(confirm(stored));
  EXPECT_EQ(gone.commitment, stored.commitment);
  EXPECT_EQ(gone.uid, stored.key.uid);
  EXPECT_EQ(there(sid_wk).state, KeyState::destroyed);
  EXPECT_FALSE(holds_octets(sid_wk));
  EXPECT_EQ(answers(), 0);
  EXPECT_EQ(test::refusal(confirm(stored)), ErrorCode::conflict) << "in another state by now";
}

TEST_P(LedgerTest, ALegThatIsInAnotherStateByNowIsNotDeliveredAsItWasFound) {
  const Bytes h_deliver = rng_->bytes(32);
  const auto deliver_as = [&](const StoredKey& stored) {
    return in_transaction([&](store::Transaction& transaction) {
      return ledger_->delivered(transaction, stored, {.h_req = h_req_, .h_deliver = h_deliver, .octets = answer_}, by_alice());
    });
  };
  for (const KeyState meanwhile : {KeyState::suspended, KeyState::delivered, KeyState::destroyed}) {
    const SidWk sid_wk = in_state(KeyState::reserved);
    const StoredKey stored = there(sid_wk);
    must(advance(sid_wk, meanwhile));
    EXPECT_EQ(test::refusal(deliver_as(stored)), ErrorCode::conflict) << store::name(meanwhile);
    EXPECT_EQ(there(sid_wk).state, meanwhile);
    EXPECT_TRUE(there(sid_wk).h_deliver.empty()) << store::name(meanwhile);
  }
  const SidWk sid_wk = in_state(KeyState::reserved);
  must(deliver_as(there(sid_wk)));
  EXPECT_EQ(there(sid_wk).h_deliver, h_deliver);
  EXPECT_EQ(must(again(sid_wk, h_req_)), answer_);
}

TEST_P(LedgerTest, ADeliveryIsFoundByItsSubscriberAndDigestWithoutOpeningTheKey) {
  const SidWk sid_wk = in_state(KeyState::reserved);
  must(add(key(sid_wk, Role::callee)));
  const Bytes h_deliver = rng_->bytes(32);
  must(deliver(sid_wk, h_deliver));
  const auto found = [&](const SidWk& session, const char* uid, const Bytes& digest) {
    return must(in_transaction([&](store::Transaction& transaction) { return ledger_->find_delivery(transaction, session, Uid(uid), digest); }));
  };
  const auto leg = found(sid_wk, "alice", h_deliver);
  ASSERT_TRUE(leg);
  EXPECT_EQ(leg->key.leg, Role::caller);
  EXPECT_EQ(leg->state, KeyState::delivered);
  EXPECT_EQ(leg->commitment, there(sid_wk).commitment);
  EXPECT_EQ(leg->key.wk.size(), 0U);
  EXPECT_FALSE(found(sid_wk, "bob", h_deliver));
  EXPECT_FALSE(found(sid_wk, "alice", rng_->bytes(32)));
  EXPECT_FALSE(found(rng_->id<SidWk>(), "alice", h_deliver));
  must(advance(sid_wk, KeyState::destroyed));
  EXPECT_EQ(found(sid_wk, "alice", h_deliver)->state, KeyState::destroyed);
}

TEST_P(LedgerTest, AKeyFollowsTheLastOneOfItsCallThatWasDelivered) {
  const auto of_call = [&](UnixMs expires) {
    WorkingKey out = key(rng_->id<SidWk>(), Role::caller, expires);
    out.sid_call = SidCall(Bytes(SidCall::size, 5));
    must(add(out));
    return out;
  };
  const auto former = [&](const WorkingKey& of) { return must(in_transaction([&](store::Transaction& transaction) { return ledger_->former(transaction, of); })); };
  const WorkingKey first = of_call(now + 1000);
  const WorkingKey failed = of_call(now + 2000);
  const WorkingKey last = of_call(now + 3000);
  EXPECT_FALSE(former(last)) << "nobody has got one yet";
  must(advance(first.sid_wk, KeyState::reserved));
  must(deliver(first.sid_wk, rng_->bytes(32)));
  must(advance(failed.sid_wk, KeyState::destroyed));
  EXPECT_EQ(former(last), first.sid_wk);
  must(advance(first.sid_wk, KeyState::destroyed));
  EXPECT_EQ(former(last), first.sid_wk) << "though it is gone";
  EXPECT_FALSE(former(first));
}

TEST_P(LedgerTest, ACallHasSoManyKeysAndNoMore) {
  const SidCall call(Bytes(SidCall::size, 6));
  const auto in_call = [&] {
    WorkingKey out = key(rng_->id<SidWk>());
    out.sid_call = call;
    return out;
  };
  must(in_transaction([&](store::Transaction& transaction) -> Result<void> {
    for (std::int64_t i = 1; i < Ledger::legs_of_call_max; ++i) {
      Bytes sid(SidWk::size, 0xee);
      sid[0] = static_cast<std::uint8_t>(i / 256);
      sid[1] = static_cast<std::uint8_t>(i % 256);
      TRY(transaction.run(
          "INSERT INTO working_key (sid_wk, leg, state, sid_call, uid, assurance, n_paths, path_min, th9, peer_uid, peer_number, peer_kms,"
          " peer_fp_classical, peer_fp_ml_dsa, expires_ms)"
          " VALUES (?, 1, 'destroyed', ?, 'alice', 3, 1, 1, x'00', 'bob', '+8613900000002', 'kms-b', x'00', x'00', ?)",
          {ByteView(sid), call.view(), store::column(now)}));
    }
    return {};
  }));
  must(add(in_call()));
  EXPECT_EQ(test::refusal(add(in_call())), ErrorCode::exhausted);
  must(add(key(rng_->id<SidWk>())));
}

TEST_P(LedgerTest, DeliveryAndDestructionInOneTransactionLeaveNoKey) {
  const SidWk sid_wk = in_state(KeyState::reserved);
  const Bytes h_deliver = rng_->bytes(32);
  must(in_transaction([&](store::Transaction& transaction) -> Result<void> {
    TRY(deliver_leg(*ledger_, transaction, sid_wk, Role::caller, {.h_req = h_req_, .h_deliver = h_deliver, .octets = {}}, by_alice()));
    TRY(ledger_->destroy(transaction, sid_wk, Role::caller, ending()));
    return {};
  }));
  EXPECT_EQ(there(sid_wk).state, KeyState::destroyed);
  EXPECT_EQ(there(sid_wk).h_deliver, h_deliver);
  EXPECT_FALSE(holds_octets(sid_wk));
  EXPECT_EQ(test::refusal(deliver(sid_wk, h_deliver)), ErrorCode::conflict);
}

TEST_P(LedgerTest, SessionIsUsedOncePerLegInAnyState) {
  for (const KeyState state : states) {
    const SidWk sid_wk = in_state(state);
    EXPECT_EQ(test::refusal(add(key(sid_wk, Role::caller))), ErrorCode::conflict) << store::name(state);
    EXPECT_TRUE(add(key(sid_wk, Role::callee))) << "the other leg is another matter";
    EXPECT_EQ(there(sid_wk).state, state);
  }
}

TEST_P(LedgerTest, LegsOfOneSessionLiveApart) {
  const auto sid_wk = rng_->id<SidWk>();
  const WorkingKey caller = key(sid_wk, Role::caller);
  const WorkingKey callee = key(sid_wk, Role::callee);
  must(add(caller));
  must(add(callee));
  must(advance(sid_wk, KeyState::destroyed, Role::caller));
  EXPECT_EQ(there(sid_wk, Role::callee).state, KeyState::generated);
  EXPECT_TRUE(equal_secret(there(sid_wk, Role::callee).key.wk, callee.wk));
}

TEST_P(LedgerTest, DestroyedKeyHoldsNoOctetsFromWhateverState) {
  for (const KeyState state : {KeyState::generated, KeyState::reserved, KeyState::suspended, KeyState::delivered, KeyState::confirmed}) {
    const SidWk sid_wk = in_state(state);
    ASSERT_TRUE(holds_octets(sid_wk)) << store::name(state);
    must(advance(sid_wk, KeyState::destroyed));
    EXPECT_FALSE(holds_octets(sid_wk)) << store::name(state);
    EXPECT_EQ(there(sid_wk).key.wk.size(), 0U) << store::name(state);
  }
}

TEST_P(LedgerTest, ATransactionThatFailsChangesNothing) {
  const SidWk sid_wk = in_state(KeyState::reserved);
  const auto done = in_transaction([&](store::Transaction& transaction) -> Result<void> {
    TRY(ledger_->destroy(transaction, sid_wk, Role::caller, ending()));
    return ledger_->advance(transaction, sid_wk, Role::caller, KeyState::delivered);
  });
  EXPECT_EQ(test::refusal(done), ErrorCode::conflict);
  EXPECT_EQ(there(sid_wk).state, KeyState::reserved);
  EXPECT_TRUE(holds_octets(sid_wk));
}

TEST_P(LedgerTest, StoredColumnIsNotTheKey) {
  const auto sid_wk = rng_->id<SidWk>();
  const WorkingKey in = key(sid_wk);
  must(add(in));
  const Bytes stored = sealed(sid_wk);
  const ByteView wk = in.wk.reveal();
  EXPECT_GT(stored.size(), wk.size());
  EXPECT_TRUE(std::ranges::search(stored, wk.first(8)).empty());
}

TEST_P(LedgerTest, SealedColumnOpensOnlyInItsOwnRow) {
  const auto sid_wk = rng_->id<SidWk>();
  must(add(key(sid_wk, Role::caller)));
  must(add(key(sid_wk, Role::callee)));
  const SidWk other = added();
  const Bytes caller = sealed(sid_wk, Role::caller);

  put_sealed(other, Role::caller, caller);
  EXPECT_EQ(test::refusal(find(other, Role::caller)), ErrorCode::denied) << "another session's row";
  put_sealed(sid_wk, Role::callee, caller);
  EXPECT_EQ(test::refusal(find(sid_wk, Role::callee)), ErrorCode::denied) << "the other leg's row";
  EXPECT_TRUE(find(sid_wk, Role::caller)) << "its own row";
  Bytes altered = caller;
  altered.back() ^= 1U;
  put_sealed(sid_wk, Role::caller, altered);
  EXPECT_EQ(test::refusal(find(sid_wk, Role::caller)), ErrorCode::denied);
}

TEST_P(LedgerTest, AnotherDeviceOpensNothing) {
  const SidWk sid_wk = added();
  const auto other = must(crypto::open_software_device(folder_ / "other-master", *rng_));
  Ledger foreign(*other);
  const auto found = in_transaction([&](store::Transaction& transaction) { return foreign.find(transaction, sid_wk, Role::caller); });
  EXPECT_EQ(test::refusal(found), ErrorCode::denied);
}

TEST_P(LedgerTest, SweepDestroysWhatIsPastItsTimeInWhateverState) {
  std::set<SidWk> due;
  for (const KeyState state : {KeyState::generated, KeyState::reserved, KeyState::suspended, KeyState::delivered, KeyState::confirmed}) due.insert(in_state(state, now));
  const SidWk alive = in_state(KeyState::reserved, now + 1);
  in_state(KeyState::destroyed, now);

  EXPECT_EQ(swept(Ledger::Sweep::expired, now), due) << "those that are destroyed already are not named again";
  for (const SidWk& sid_wk : due) {
    EXPECT_EQ(there(sid_wk).state, KeyState::destroyed);
    EXPECT_FALSE(holds_octets(sid_wk));
  }
  EXPECT_EQ(there(alive).state, KeyState::reserved);
  EXPECT_TRUE(swept(Ledger::Sweep::expired, now).empty());
}

TEST_P(LedgerTest, WhatIsDueComesInTheOrderOfItsEndAndAfterAnyOfItTheRest) {
  const SidWk third = in_state(KeyState::reserved, now);
  const SidWk first = in_state(KeyState::reserved, now - 2);
  const SidWk second = in_state(KeyState::delivered, now - 1);
  const auto due = [&](const Ledger::Due& after, std::int64_t most = 10) {
    const auto legs = must(in_transaction([&](store::Transaction& transaction) { return ledger_->due(transaction, Ledger::Sweep::expired, now, after, most); }));
    std::vector<SidWk> out;
    for (const Ledger::Due& leg : legs) out.push_back(leg.sid_wk);
    return out;
  };
  EXPECT_EQ(due({}), (std::vector{first, second, third}));
  EXPECT_EQ(due({}, 2), (std::vector{first, second}));
  EXPECT_EQ(due({.expires_ms = now - 2, .sid_wk = first, .leg = Role::caller}), (std::vector{second, third}));
  EXPECT_TRUE(due({.expires_ms = now, .sid_wk = third, .leg = Role::caller}).empty());
}

TEST_P(LedgerTest, SweepAtTheStartAlsoDestroysWhoseAgreementDiedWithTheProcess) {
  const SidWk generated = in_state(KeyState::generated);
  const SidWk reserved = in_state(KeyState::reserved);
  const SidWk delivered = in_state(KeyState::delivered);
  const SidWk late = in_state(KeyState::reserved, now - 1);

  EXPECT_EQ(swept(Ledger::Sweep::at_start, now), (std::set<SidWk>{generated, late}));
  EXPECT_EQ(there(generated).state, KeyState::destroyed);
  EXPECT_FALSE(holds_octets(generated));
  EXPECT_EQ(there(reserved).state, KeyState::reserved) << "it is promised: its terminal may still fetch it";
  EXPECT_EQ(there(delivered).state, KeyState::delivered) << "waits for its acknowledgement";
}

TEST_P(LedgerTest, SweepWhileRunningLeavesAgreementsAlone) {
  const SidWk generated = in_state(KeyState::generated);
  EXPECT_TRUE(swept(Ledger::Sweep::expired, now).empty());
  EXPECT_EQ(there(generated).state, KeyState::generated);
}

TEST_P(LedgerTest, CensusCountsLegsByState) {
  EXPECT_EQ(census(), std::vector<std::int64_t>(store::all_key_states.size(), 0));
  std::vector<std::int64_t> expected(store::all_key_states.size(), 0);
  for (const KeyState state : states) {
    const auto place = static_cast<std::size_t>(state);
    expected.at(place) = static_cast<std::int64_t>(place) + 1;
    for (std::size_t i = 0; i <= place; ++i) in_state(state);
  }
  EXPECT_EQ(census(), expected);
}

TEST_P(LedgerTest, CensusDoesNotCountATableThatHasGrown) {
  for (int i = 0; i < 3; ++i) {
    in_state(KeyState::destroyed);
    in_state(i == 0 ? KeyState::generated : KeyState::reserved);
  }
  const auto counted = [&](std::int64_t most) { return must(in_transaction([&](store::Transaction& transaction) { return ledger_->census(transaction, most); })); };
  const auto of = [](const std::vector<std::int64_t>& counts, KeyState state) { return counts.at(static_cast<std::size_t>(state)); };
  EXPECT_EQ(of(counted(2), KeyState::destroyed), 2);
  EXPECT_EQ(of(counted(2), KeyState::generated) + of(counted(2), KeyState::reserved), 2);
  EXPECT_EQ(of(counted(3), KeyState::destroyed), 3);
  EXPECT_EQ(of(counted(3), KeyState::reserved), 2);
}

TEST_P(LedgerTest, ADestroyedKeyLeavesWhoWhenWhyAndACommitmentToItsOctets) {
  const WorkingKey in = key(rng_->id<SidWk>());
  must(add(in));
  const Bytes commitment = store::key_commitment(store::KeyKind::working, concat({in.sid_wk.view(), Bytes{1}}), in.wk);
  EXPECT_EQ(there(in.sid_wk).commitment, commitment) << "made when the key is";
  const Destroyed gone = must(destroy(in.sid_wk, {.by = "qanat://core/operator/operator", .why = "on order", .at_ms = now + 5}));
  EXPECT_EQ(gone.commitment, commitment);
  EXPECT_EQ(gone.uid, Uid("alice"));
  EXPECT_EQ(gone.reason("on order"), "on order (commitment " + to_hex(commitment) + ")");
  EXPECT_EQ(there(in.sid_wk).commitment, commitment) << "the row stays";
  std::string ended;
  must(in_transaction([&](store::Transaction& transaction) {
    return transaction.query("SELECT ended_ms, ended_by, ended_why FROM working_key WHERE sid_wk = ?", {in.sid_wk.view()},
                             [&](const store::Row& row) { ended = std::to_string(row.integer(0)) + " " + row.text(1) + " " + row.text(2); });
  }));
  EXPECT_EQ(ended, std::to_string(now + 5) + " qanat://core/operator/operator on order");
  EXPECT_EQ(test::refusal(destroy(in.sid_wk, ending())), ErrorCode::conflict) << "destroyed is final, and so is its record";
  EXPECT_EQ(test::refusal(destroy(rng_->id<SidWk>(), ending())), ErrorCode::not_found);
}

TEST_P(LedgerTest, SuspendedKeyIsNotDeliveredUntilItIsRecovered) {
  const SidWk sid_wk = in_state(KeyState::suspended);
  EXPECT_EQ(test::refusal(deliver(sid_wk, rng_->bytes(32))), ErrorCode::conflict);
  must(advance(sid_wk, KeyState::reserved));
  must(deliver(sid_wk, rng_->bytes(32)));
  EXPECT_EQ(test::refusal(advance(sid_wk, KeyState::suspended)), ErrorCode::conflict) << "it has left";
}

TEST_P(LedgerTest, KeyIsDeliveredOnlyAsItsPolicyAllows) {
  const SidWk sid_wk = in_state(KeyState::reserved);
  const auto refused = [&](const KeyUse& use) {
    const auto done = deliver(sid_wk, rng_->bytes(32), Role::caller, use);
    EXPECT_EQ(test::refusal(done), ErrorCode::denied);
    EXPECT_EQ(there(sid_wk).state, KeyState::reserved);
    return done ? "" : done.error().message;
  };
  EXPECT_TRUE(refused({.by = Uid("mallory"), .traffic = Traffic::gateway, .now_ms = now}).ends_with("(caller): the key is somebody else's"));
  EXPECT_TRUE(refused({.by = Uid("alice"), .traffic = Traffic::voice, .now_ms = now}).ends_with("the key is for other traffic"));
  EXPECT_TRUE(refused(by_alice(now + lifetime)).ends_with("the key is past its time"));
  must(deliver(sid_wk, rng_->bytes(32)));
}

TEST_P(LedgerTest, RowWhosePolicyWasEditedDoesNotOpen) {
  for (const std::string_view edit : {"UPDATE working_key SET traffic = 'voice' WHERE sid_wk = ?", "UPDATE working_key SET level_min = 1 WHERE sid_wk = ?",
                                      "UPDATE working_key SET deliveries_max = 200 WHERE sid_wk = ?", "UPDATE working_key SET uid = 'mallory' WHERE sid_wk = ?",
                                      "UPDATE working_key SET expires_ms = expires_ms + 1 WHERE sid_wk = ?"}) {
    const SidWk sid_wk = in_state(KeyState::reserved);
    must(change(edit, sid_wk));
    EXPECT_EQ(test::refusal(find(sid_wk)), ErrorCode::denied) << edit;
    EXPECT_EQ(test::refusal(deliver(sid_wk, rng_->bytes(32))), ErrorCode::denied) << edit;
  }
}

TEST_P(LedgerTest, SameApplicationGetsTheSameAnswerUntilItIsAcknowledged) {
  const SidWk sid_wk = in_state(KeyState::reserved);
  EXPECT_EQ(must(again(sid_wk, h_req_)), std::nullopt) << "nothing was delivered yet";
  must(deliver(sid_wk, rng_->bytes(32)));
  open();  // after a restart too
  EXPECT_EQ(must(again(sid_wk, h_req_)), answer_);
  EXPECT_EQ(must(again(sid_wk, rng_->bytes(32))), std::nullopt) << "another application";
  EXPECT_EQ(test::refusal(again(sid_wk, h_req_, {.by = Uid("mallory"), .traffic = Traffic::gateway, .now_ms = now})), ErrorCode::denied);
  EXPECT_EQ(test::refusal(again(sid_wk, h_req_, by_alice(now + lifetime))), ErrorCode::denied) << "past its time";
  EXPECT_EQ(must(again(sid_wk, h_req_)), answer_) << "refusals do not count";
  EXPECT_EQ(test::refusal(again(sid_wk, h_req_)), ErrorCode::denied) << "three deliveries are what its policy allows";
  EXPECT_EQ(there(sid_wk).deliveries, 3);
  EXPECT_EQ(there(sid_wk).state, KeyState::delivered);
}

TEST_P(LedgerTest, AnswerIsGoneWithTheKey) {
  const SidWk sid_wk = in_state(KeyState::reserved);
  must(deliver(sid_wk, rng_->bytes(32)));
  must(advance(sid_wk, KeyState::confirmed));
  EXPECT_EQ(must(again(sid_wk, h_req_)), std::nullopt) << "the terminal has said that it has the key";
  must(advance(sid_wk, KeyState::destroyed));
  EXPECT_EQ(must(again(sid_wk, h_req_)), std::nullopt);
  EXPECT_EQ(answers(), 0);
}

TEST_P(LedgerTest, AnAnswerThatSomebodyChangedTookOutOrPutBackIsNotGiven) {
  const auto delivered = [&] {
    const SidWk sid_wk = in_state(KeyState::reserved);
    must(deliver(sid_wk, rng_->bytes(32)));
    return sid_wk;
  };
  for (const std::string_view edit : {"UPDATE delivered_answer SET octets = x'00' WHERE sid_wk = ?", "DELETE FROM delivered_answer WHERE sid_wk = ?"}) {
    const SidWk sid_wk = delivered();
    must(change(edit, sid_wk));
    EXPECT_EQ(test::refusal(again(sid_wk, h_req_)), ErrorCode::denied) << edit;
  }
  const SidWk withheld = delivered();
  must(in_transaction([&](store::Transaction& transaction) { return withhold_answers(transaction, "alice"); }));
  EXPECT_EQ(answers(), 0);
  EXPECT_EQ(must(again(withheld, h_req_)), std::nullopt);
  must(in_transaction([&](store::Transaction& transaction) -> Result<void> {
    TRY(transaction.run("INSERT INTO delivered_answer (sid_wk, leg, octets) VALUES (?, 1, ?)", {withheld.view(), ByteView(answer_)}));
    return {};
  }));
  EXPECT_EQ(must(again(withheld, h_req_)), std::nullopt) << "the row of the key knows of none";
}

TEST_P(LedgerTest, AnAnswerFromBeforeAnswersHadTheirTableIsGivenUntilItsKeyEnds) {
  const SidWk sid_wk = in_state(KeyState::reserved);
  must(deliver(sid_wk, rng_->bytes(32)));
  must(change("UPDATE working_key SET answer = x'0102', answer_digest = NULL WHERE sid_wk = ?", sid_wk));
  must(change("DELETE FROM delivered_answer WHERE sid_wk = ?", sid_wk));
  EXPECT_EQ(must(again(sid_wk, h_req_)), (Bytes{1, 2}));
  must(in_transaction([&](store::Transaction& transaction) { return withhold_answers(transaction, "bob"); }));
  EXPECT_EQ(must(again(sid_wk, h_req_)), (Bytes{1, 2})) << "somebody else's";
  must(in_transaction([&](store::Transaction& transaction) { return withhold_answers(transaction, std::nullopt); }));
  EXPECT_EQ(must(again(sid_wk, h_req_)), std::nullopt);
}

TEST_P(LedgerTest, AFrontEndThatStartsLeavesWhatAnotherOneIsMaking) {
  const SidWk own = added();
  Ledger other(*device_, "2");
  const auto theirs = rng_->id<SidWk>();
  must(in_transaction([&](store::Transaction& transaction) { return other.add(transaction, key(theirs)); }));
  EXPECT_EQ(swept(Ledger::Sweep::at_start, now), std::set<SidWk>{own});
  EXPECT_EQ(there(theirs).state, KeyState::generated);
  EXPECT_EQ(must(in_transaction([&](store::Transaction& transaction) { return sweep_due(other, transaction, Ledger::Sweep::at_start, now); })).size(), 1U);
  EXPECT_EQ(there(theirs).state, KeyState::destroyed);
}

TEST_P(LedgerTest, WhatIsPastItsTimeIsDestroyedByWhicheverFrontEndLooks) {
  Ledger other(*device_, "2");
  const SidWk own = added(Role::caller, now);
  EXPECT_EQ(must(in_transaction([&](store::Transaction& transaction) { return sweep_due(other, transaction, Ledger::Sweep::expired, now); })).size(), 1U);
  EXPECT_EQ(there(own).state, KeyState::destroyed);
}

}  // namespace
}  // namespace qanat::kms
