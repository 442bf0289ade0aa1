// What the front ends of a KMS share: agreements that wait for their confirmation, and the lives of the database.
#include <thread>

#include "kme/stock/assignments.hpp"
#include "kme/stock/key_stock.hpp"
#include "kms_core.hpp"
#include "services/kms/kma/incarnation.hpp"
#include "services/kms/kma/ledger.hpp"
#include "services/kms/kma/pending.hpp"
#include "services/kms/kp/terminals.hpp"
#include "services/kms/schema.hpp"
#include "store_kinds.hpp"

namespace qanat::kms {
namespace {

constexpr UnixMs start_ms = 1'700'000'000'000;

class SharedTablesTest : public testing::TestWithParam<test::StoreKind> {
 protected:
  Pending pending(UnixMs expires = start_ms + 1) {
    return {.kms_a = identity("qanat://b/kms/kms-b"),
            .h_accept = rng_->bytes(32),
            .h_kc_a = rng_->bytes(32),
            .shares = {{.path_id = rng_->id<PathId>(), .key_id = rng_->id<KeyId>()}, {.path_id = rng_->id<PathId>(), .key_id = rng_->id<KeyId>()}},
            .expires_ms = expires};
  }
  Result<void> add(const SidWk& sid_wk, const Pending& what) {
    return store_->transact([&](store::Transaction& transaction) { return add_pending(transaction, sid_wk, what); });
  }
  std::optional<Pending> find(const SidWk& sid_wk) {
    return must(store_->transact([&](store::Transaction& transaction) { return find_pending(transaction, sid_wk); }));
  }
  std::int64_t count(const std::string& table) {
    return must(store_->transact([&](store::Transaction& transaction) -> Result<std::int64_t> {
      std::int64_t out = -1;
      TRY(transaction.query("SELECT count(*) FROM " + table, {}, [&](const store::Row& row) { out = row.integer(0); }));
      return out;
    }));
  }
  Result<void> of_this_life(UnixMs ts_ms) {
    return store_->transact([&](store::Transaction& transaction) { return check_of_this_life(transaction, ts_ms, "KeyRequest"); });
  }

  test::TemporaryDirectory folder_;
  std::unique_ptr<crypto::Rng> rng_ = must(crypto::open_rng());
  std::unique_ptr<crypto::CryptoDevice> device_ = must(crypto::open_software_device(folder_ / "master", *rng_));
  test::TestStores stores_{GetParam()};
  std::unique_ptr<store::Store> store_ = must(stores_.open(folder_ / "kms.db", migrations));
};
INSTANTIATE_TEST_SUITE_P(Stores, SharedTablesTest, test::every_store_kind, test::name_of);

TEST_P(SharedTablesTest, PendingAgreementComesBackWhole) {
  const auto sid_wk = rng_->id<SidWk>();
  const Pending in = pending();
  must(add(sid_wk, in));
  const auto out = find(sid_wk);
  ASSERT_TRUE(out);
  EXPECT_EQ(out->kms_a, in.kms_a);
  EXPECT_EQ(out->h_accept, in.h_accept);
  EXPECT_EQ(out->h_kc_a, in.h_kc_a);
  EXPECT_EQ(out->shares, in.shares);
  EXPECT_EQ(out->expires_ms, in.expires_ms);
  EXPECT_EQ(test::refusal(add(sid_wk, pending())), ErrorCode::conflict) << "a session agrees once";
  EXPECT_FALSE(find(rng_->id<SidWk>()));
}

TEST_P(SharedTablesTest, PendingAgreementsEndByConfirmationOrTime) {
  const auto confirmed = rng_->id<SidWk>();
  const auto expired = rng_->id<SidWk>();
  const auto living = rng_->id<SidWk>();
  const auto dropped = rng_->id<SidWk>();
  must(add(dropped, pending()));
  must(add(confirmed, pending()));
  must(add(expired, pending(start_ms)));
  must(add(living, pending()));
  EXPECT_EQ(must(store_->transact([](store::Transaction& transaction) { return count_pending(transaction); })), 4);
  must(store_->transact([&](store::Transaction& transaction) -> Result<void> {
    TRY(confirm_pending(transaction, confirmed));
    TRY(drop_pending(transaction, dropped));
    return drop_expired_pending(transaction, start_ms);
  }));
  EXPECT_FALSE(find(dropped) || find(expired));
  EXPECT_EQ(must(store_->transact([](store::Transaction& transaction) { return count_pending(transaction); })), 1) << "what is confirmed does not wait";
  EXPECT_TRUE(find(confirmed)->confirmed) << "it is known until it expires";
  EXPECT_TRUE(find(living));
}

TEST_P(SharedTablesTest, AnAnswerIsKeptForItsOfferAloneUntilItIsConfirmedOrPastItsTime) {
  const auto sid_wk = rng_->id<SidWk>();
  Pending in = pending(start_ms + 1);
  in.h_offer = rng_->bytes(32);
  in.accept = rng_->bytes(5000);
  must(add(sid_wk, in));
  const auto kept = [&](const SidWk& session, const Identity& kms_a, const Bytes& h_offer, UnixMs now) {
    return store_->transact([&](store::Transaction& transaction) { return find_accept(transaction, session, kms_a, h_offer, now); });
  };
  EXPECT_EQ(must(kept(sid_wk, in.kms_a, in.h_offer, start_ms)), in.accept);
  EXPECT_FALSE(must(kept(rng_->id<SidWk>(), in.kms_a, in.h_offer, start_ms))) << "nothing was agreed on";
  EXPECT_EQ(test::refusal(kept(sid_wk, in.kms_a, rng_->bytes(32), start_ms)), ErrorCode::conflict) << "another offer";
  EXPECT_EQ(test::refusal(kept(sid_wk, identity("qanat://c/kms/kms-b"), in.h_offer, start_ms)), ErrorCode::conflict) << "another KMS's";
  EXPECT_EQ(test::refusal(kept(sid_wk, in.kms_a, in.h_offer, start_ms + 1)), ErrorCode::conflict) << "past its time";
  must(store_->transact([&](store::Transaction& transaction) { return confirm_pending(transaction, sid_wk); }));
  EXPECT_EQ(test::refusal(kept(sid_wk, in.kms_a, in.h_offer, start_ms)), ErrorCode::conflict) << "confirmed";
  EXPECT_EQ(count("pending_agreement WHERE accept IS NOT NULL"), 0) << "nobody needs it any more";
}

TEST_P(SharedTablesTest, DatabaseHoldsADigestOfTheConfirmationAndNotTheConfirmation) {
  const crypto::Suite& suite = crypto::suite(crypto::SuiteId::gm_hybrid);
  const Bytes kc_a = rng_->bytes(32);
  EXPECT_EQ(hash_of_confirmation(suite, kc_a), hash_of_confirmation(suite, kc_a));
  EXPECT_NE(hash_of_confirmation(suite, kc_a), kc_a);
  EXPECT_NE(hash_of_confirmation(suite, kc_a), hash_of_confirmation(suite, rng_->bytes(32)));
}

TEST_P(SharedTablesTest, NewLifeHasNothingThatCouldBeDelivered) {
  Ledger ledger(*device_);
  std::vector<SidWk> legs;
  for (const store::KeyState to : {store::KeyState::generated, store::KeyState::reserved, store::KeyState::suspended}) {
    const auto sid_wk = rng_->id<SidWk>();
    legs.push_back(sid_wk);
    must(store_->transact([&](store::Transaction& transaction) -> Result<void> {
      TRY(ledger.add(transaction, {.sid_wk = sid_wk,
                                   .leg = wire::Role::caller,
                                   .sid_call = SidCall{},
                                   .uid = Uid("alice"),
                                   .wk = Secret(32),
                                   .assurance = wire::Assurance::one_qkd_path,
                                   .th9 = Bytes(32),
                                   .peer_uid = Uid("bob"),
                                   .peer_number = Number("+8613900000002"),
                                   .peer_kms = ElementName("kms-b"),
                                   .peer_fps = {},
                                   .expires_ms = start_ms,
                                   .terms = {}}));
      if (to != store::KeyState::generated) TRY(ledger.advance(transaction, sid_wk, wire::Role::caller, store::KeyState::reserved));
      if (to == store::KeyState::suspended) TRY(ledger.advance(transaction, sid_wk, wire::Role::caller, to));
      return {};
    }));
  }
  must(add(rng_->id<SidWk>(), pending()));
  must(store_->transact([&](store::Transaction& transaction) -> Result<void> {
    TRY(transaction.run("INSERT INTO token (uid, digest, expires_ms, level_max) VALUES ('alice', x'00', 1, 1)", {}));
    TRY(transaction.run("INSERT INTO announced_session (sid_wk, notify, expires_ms) VALUES (x'00', x'00', 1)", {}));
    TRY(transaction.run("INSERT INTO medium (medium, uid, kind, state, generation, registered_by, registered_ms) VALUES (x'01', 'alice', 'sim', 'active', 0, 'op', 1)", {}));
    return save_prepared(transaction, Uid("alice"), Bytes(32, 1), {.scalar = Bytes(3), .ml_kem_seed = Bytes(3)}, start_ms);
  }));
  EXPECT_EQ(must(store_->transact([](store::Transaction& transaction) { return begin_life(transaction, start_ms, start_ms + 5, NewLife::restored); })), 3);
  for (const SidWk& sid_wk : legs) {
    const auto leg = must(store_->transact([&](store::Transaction& transaction) { return ledger.find(transaction, sid_wk, wire::Role::caller); }));
    ASSERT_TRUE(leg);
    EXPECT_EQ(leg->state, store::KeyState::destroyed);
    EXPECT_TRUE(leg->key.wk.empty());
  }
  for (const std::string table : {"pending_agreement", "announced_session", "prepared_encryption", "token", "peer_grant", "medium WHERE state <> 'wiped'"}) EXPECT_EQ(count(table), 0) << table;
}

TEST_P(SharedTablesTest, NewLifeForgetsWhateverMayHaveBeenUsedSince) {
  kme::KeyStock stock(*device_);
  kme::Assignments assignments(*device_);
  const Terminal terminal{.uid = Uid("alice"),
                          .number = Number("+8613800000001"),
                          .classical = Bytes(10, 1),
                          .ml_dsa = Bytes(10, 2),
                          .encryption = {.point = Bytes(65), .ml_kem = Bytes(1184)},
                          .enc_kid = Bytes(32, 1),
                          .encryption_classical = Bytes(10, 3),
                          .encryption_ml_kem = Bytes(10, 4),
                          .confirmed = false};
  const kme::Chunk chunk[] = {{.batch = BatchId(Bytes(BatchId::size, 1)), .owner = kme::Owner::self, .keys = Secret(32)}};
  must(store_->transact([&](store::Transaction& transaction) -> Result<void> {
    TRY(transaction.run("INSERT INTO quantum_key (key_id, lot, place, library, owner, domain, path_id, paths, relays, quantum_grade, sealed, usable_until_ms)"
                        " VALUES (x'01', x'01', 0, 'standby', '0', 'b', x'01', 1, 1, 1, x'01', 1)",
                        {}));
    TRY(transaction.run("INSERT INTO standby_pair (id, sealed_scalar, sealed_seed, made_ms) VALUES (x'01', x'01', x'01', 1)", {}));
    TRY(transaction.run("INSERT INTO csa_challenge (challenge, key_id, verifier, context, expires_ms) VALUES (x'01', x'01', 'v', '', 1)", {}));
    TRY(transaction.run("INSERT INTO recovery_order (id, statement, uid, enc_kid, asked_by, point, ml_kem, expires_ms) VALUES (x'01', 's', 'alice', x'01', 'op', x'01', x'01', 1)",
                        {}));
    TRY(transaction.run("INSERT INTO recovery_signature (id, operator, certificate, signature, at_ms) VALUES (x'01', 'op', x'01', x'01', 1)", {}));
    TRY(transaction.run("INSERT INTO key_run (batch_id, first, count, stock, state, holder, until_ms, changed_ms) VALUES (x'01', 0, 1, 's', 'reserved', 'h', 1, 1)", {}));
    TRY(transaction.run("INSERT INTO medium (medium, uid, kind, state, generation, registered_by, registered_ms) VALUES (x'01', 'alice', 'sim', 'active', 0, 'op', 1)", {}));
    TRY(transaction.run("INSERT INTO medium_set (medium, key_set, next_index, free_index) VALUES (x'01', 2, 3, 9)", {}));
    TRY(transaction.run("INSERT INTO injected_key (medium, key_set, key_index, sealed_key, charged, origin, charge) VALUES (x'01', 2, 3, x'01', 1, 1, x'01')", {}));
    TRY(stock.add(transaction, kme::StockName("domain/b/0"), {}, chunk, start_ms));
    TRY(assignments.add(transaction, {.ids = {.batch = BatchId(Bytes(BatchId::size, 2)), .first = 0, .stride = 1, .count = 1},
                                      .octets = 32,
                                      .master = kme::SaeId("sae-a"),
                                      .slaves = {kme::SaeId("sae-b")},
                                      .keys = Secret(32),
                                      .until_ms = start_ms + 60'000}));
    return save_enrolment(transaction, {.terminal = terminal, .h_enrol = Bytes(32, 1), .answer = Bytes(8, 1), .sealed_encryption = Bytes(8, 1)});
  }));
  must(store_->transact([](store::Transaction& transaction) -> Result<void> {
    TRY(begin_life(transaction, start_ms, start_ms + 5, NewLife::restored));
    return {};
  }));
  for (const std::string table :
       {"quantum_key", "standby_pair", "csa_challenge", "recovery_order", "recovery_signature", "key_chunk", "sae_key", "injected_key", "key_run WHERE state <> 'destroyed'",
        "medium_set WHERE next_index <> free_index", "terminal WHERE sealed_encryption IS NOT NULL OR answer IS NOT NULL"}) {
    EXPECT_EQ(count(table), 0) << table;
  }
}

TEST_P(SharedTablesTest, NewLifeSuspendsKeysOfApplicationsAndLeavesNothingOfWhatIsCounted) {
  for (const NewLife why : {NewLife::other_history, NewLife::accepted, NewLife::restored}) {
    must(store_->transact([&](store::Transaction& transaction) -> Result<void> {
      for (const std::string table : {"csa_key", "csa_version", "csa_grant"}) TRY(transaction.run("DELETE FROM " + table, {}));
      for (const std::string values : {"x'01', 'enabled', NULL", "x'02', 'disabled', NULL", "x'03', 'deletion_scheduled', 9", "x'04', 'destroyed', NULL"}) {
        TRY(transaction.run("INSERT INTO csa_key (key_id, state, delete_ms, label, algorithm, purpose, owner, origin, current_version, minimum_version, created_ms) VALUES (" + values +
                                ", '', 'SM4-GCM', 'encryption', 'o', 'made', 1, 1, 1)",
                            {}));
      }
      TRY(transaction.run("INSERT INTO csa_version (key_id, version, sealed, public_key, created_ms, seals_reserved) VALUES (x'01', 1, x'aa', x'0a', 1, 4096)", {}));
      TRY(transaction.run("INSERT INTO csa_grant (key_id, caller, operations, not_before_ms, not_after_ms, per_minute, total, used) VALUES (x'01', 'a', 'encrypt', 0, 0, 0, 5, 1)", {}));
      TRY(transaction.run("INSERT INTO csa_grant (key_id, caller, operations, not_before_ms, not_after_ms, per_minute, total, used) VALUES (x'01', 'b', 'encrypt', 0, 0, 0, 0, 0)", {}));
      TRY(begin_life(transaction, start_ms, start_ms, why));
      return {};
    }));
    EXPECT_EQ(count("csa_key WHERE state = 'suspended'"), 3);
    EXPECT_EQ(count("csa_key WHERE state = 'destroyed'"), 1) << "that stays so";
    EXPECT_EQ(count("csa_key WHERE state = 'suspended' AND delete_ms = 9"), 1) << "and so does the time of a deletion";
    for (const std::string before : {"enabled", "disabled", "deletion_scheduled"}) EXPECT_EQ(count("csa_key WHERE state = 'suspended' AND suspended_from = '" + before + "'"), 1) << before;
    EXPECT_EQ(count("csa_version WHERE seals_reserved = 4294967296"), 1);
    EXPECT_EQ(count("csa_grant WHERE used = total"), 2) << "all of it, and nothing where there is no total";
  }
}

TEST_P(SharedTablesTest, ItIsKnownWhenTheDatabaseWasPutBack) {
  const auto put_back = [&](UnixMs since) { return must(store_->transact([&](store::Transaction& transaction) { return was_put_back(transaction, since); })); };
  const auto begin = [&](UnixMs at, NewLife why) { must(store_->transact([&](store::Transaction& transaction) { return begin_life(transaction, at, at, why); })); };
  begin(start_ms, NewLife::other_history);
  must(store_->transact([](store::Transaction& transaction) { return mark_as_backup(transaction, start_ms); }));
  EXPECT_FALSE(put_back(0)) << "neither is that";
  begin(start_ms + 1, NewLife::accepted);
  EXPECT_TRUE(put_back(start_ms + 1));
  EXPECT_FALSE(put_back(start_ms + 2));
  begin(start_ms + 2, NewLife::restored);
  EXPECT_TRUE(put_back(start_ms + 2));
}

TEST_P(SharedTablesTest, MessagesOfAnEarlierLifeAreRefused) {
  EXPECT_TRUE(of_this_life(0)) << "the first life takes everything that is fresh";
  must(store_->transact([](store::Transaction& transaction) { return begin_life(transaction, start_ms, start_ms + 5, NewLife::restored); }));
  const auto refused = of_this_life(start_ms + 4);
  EXPECT_EQ(test::refusal(refused), ErrorCode::denied);
  EXPECT_TRUE(refused.error().message.contains("KeyRequest: is from before the database was restored"));
  EXPECT_TRUE(of_this_life(start_ms + 5));
}

TEST_P(SharedTablesTest, BackupServesOnlyInANewLife) {
  const auto serves = [&] { return store_->transact([](store::Transaction& transaction) { return check_is_no_backup(transaction); }); };
  EXPECT_TRUE(serves());
  must(store_->transact([](store::Transaction& transaction) { return mark_as_backup(transaction, start_ms); }));
  const auto refused = serves();
  EXPECT_EQ(test::refusal(refused), ErrorCode::denied);
  EXPECT_TRUE(refused.error().message.contains("qanat kms restore"));
  must(store_->transact([](store::Transaction& transaction) { return begin_life(transaction, start_ms, start_ms, NewLife::restored); }));
  EXPECT_TRUE(serves());
}

TEST(OtherHistoryTest, KeysOfAnEarlierHistoryAreDestroyedBeforeAnybodyWorks) {
  test::PostgresqlCluster& cluster = test::PostgresqlCluster::instance();
  const std::string database = cluster.new_database();
  const auto rng = must(crypto::open_rng());
  int lives = 0;
  store::PostgresqlPlace place{.conninfo = cluster.conninfo(database), .schema = "kms", .connections = 2};
  place.on_other_history = [&](store::Transaction& transaction) -> Result<void> {
    ++lives;
    TRY(begin_life(transaction, start_ms, start_ms, NewLife::other_history));
    return {};
  };
  const auto sid_wk = rng->id<SidWk>();
  const Pending in{.kms_a = identity("qanat://b/kms/kms-b"), .h_accept = Bytes(32), .h_kc_a = Bytes(32), .shares = {}, .expires_ms = start_ms};
  must(must(store::Store::open(place, migrations))->transact([&](store::Transaction& transaction) { return add_pending(transaction, sid_wk, in); }));
  const auto there = [&] {
    return must(must(store::Store::open(place, migrations))->transact([&](store::Transaction& transaction) { return find_pending(transaction, sid_wk); }))
        .has_value();
  };
  EXPECT_TRUE(there());
  EXPECT_EQ(lives, 0) << "the same history: nothing is destroyed";
  // A copy of the database is another database, as one restored from a dump is.
  cluster.end_connections(database);
  (void)cluster.ask("CREATE DATABASE " + database + "_copy TEMPLATE " + database);
  place.conninfo = cluster.conninfo(database + "_copy");
  EXPECT_FALSE(there());
  EXPECT_EQ(lives, 1);
  EXPECT_FALSE(there());
  EXPECT_EQ(lives, 1) << "once";
}

TEST(FrontEndNameTest, SecondProcessOfOneNameIsRefusedAndOneOfAnotherNameIsNot) {
  store::PostgresqlPlace place = test::PostgresqlCluster::instance().new_place();
  place.process = "1";
  auto first = must(store::Store::open(place, migrations));
  place.process = "2";
  EXPECT_TRUE(store::Store::open(place, migrations));
  place.process = "1";
  EXPECT_EQ(test::refusal(store::Store::open(place, migrations)), ErrorCode::conflict);
  first.reset();
  EXPECT_TRUE(store::Store::open(place, migrations));
}

}  // namespace
}  // namespace qanat::kms
