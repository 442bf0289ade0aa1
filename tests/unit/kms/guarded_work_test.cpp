// What the modules do to guarded tables, each statement of it: the guard follows, and the database is sound at the next start.
#include "kme/stock/assignments.hpp"
#include "kme/stock/key_stock.hpp"
#include "kme/stock/received.hpp"
#include "kp_fixture.hpp"
#include "ledger_steps.hpp"
#include "services/kms/csa/desk.hpp"
#include "services/kms/kim/charges.hpp"
#include "services/kms/kma/charging_archive.hpp"
#include "services/kms/kma/key_history.hpp"
#include "services/kms/kma/ledger.hpp"
#include "services/kms/kma/replay.hpp"
#include "services/kms/kp/owed_records.hpp"
#include "services/kms/sae/day_quotas.hpp"

namespace qanat::kms {
namespace {

using wire::Json;

class GuardedWorkTest : public KpFixture {
 protected:
  template <class Work>
  auto in_transaction(Work&& work) {
    return must(store_->transact(std::forward<Work>(work)));
  }
};

TEST_F(GuardedWorkTest, ApplicationsSeenAndChargingRecords) {
  for (const UnixMs at : {UnixMs{1000}, UnixMs{2000}}) {  // the second forgets where the first has forgotten already
    EXPECT_TRUE(in_transaction(
        [&](store::Transaction& transaction) { return remember_application(transaction, Bytes(32, static_cast<std::uint8_t>(at / 1000)), at); }));
    must(store_->transact([&](store::Transaction& transaction) { return forget_applications(transaction, at + 1); }));
  }
  EXPECT_TRUE(in_transaction([&](store::Transaction& transaction) { return remember_application(transaction, Bytes(32, 9), 9000); }));
  ChargingRecord record;
  record.uid = Uid("alice");
  record.leg = wire::Role::caller;
  record.delivered_ms = 5000;
  record.expires_ms = 6000;
  for (std::uint8_t which = 1; which <= 3; ++which) {
    record.sid_wk = SidWk(Bytes(SidWk::size, which));
    must(store_->transact([&](store::Transaction& transaction) -> Result<void> {
      TRY(add_charging_record(transaction, record));
      if (which != 2) TRY(confirm_charging_record(transaction, record.sid_wk, record.leg, 5500));
      if (which != 3) TRY(archive_charging_records(transaction, 7000));  // the second into the day of the first
      return {};
    }));
  }
  open();
  EXPECT_EQ(number("SELECT count(*) FROM charging_archive"), 2);
  EXPECT_EQ(number("SELECT records FROM charging_day"), 2);
  must(store_->transact([&](store::Transaction& transaction) { return forget_charging_records(transaction, 200'000'000); }));
  open();
  EXPECT_EQ(number("SELECT count(*) FROM charging_archive") + number("SELECT count(*) FROM charging_record") + number("SELECT count(*) FROM charging_day"), 0);
  EXPECT_EQ(number("SELECT count(*) FROM replay"), 1);
}

TEST_F(GuardedWorkTest, KeysThatLeaveForTheArchive) {
  for (std::uint8_t which = 1; which <= 3; ++which) {  // the second and third go into the segment of the first
    const SidWk sid_wk(Bytes(SidWk::size, which));
    Ledger ledger(keys_->of(Library::in_use));
    must(store_->transact([&](store::Transaction& transaction) -> Result<void> {
      TRY(ledger.add(transaction, {.sid_wk = sid_wk, .leg = wire::Role::caller, .sid_call = SidCall(Bytes(SidCall::size, which)), .uid = Uid("alice"), .wk = Secret(32),
                                   .assurance = wire::Assurance::pqc, .th9 = Bytes(32), .peer_uid = Uid("bob"), .peer_number = Number("+8613900000002"),
                                   .peer_kms = ElementName("kms-b"), .peer_fps = {}, .expires_ms = 5000, .terms = {}}));
      TRY(ledger.destroy(transaction, sid_wk, wire::Role::caller, {.by = "alice", .why = "acknowledged", .at_ms = 4000}));
      return {};
    }));
    KeyHistory history(*store_, ledger, {.folder = state() / "archive", .kms = "kms-a", .front_end = "", .retention_ms = 1000});
    EXPECT_EQ(must(history.archive(6001, node_->rng().id<OwedId>())).keys, 1);
    open();
  }
  EXPECT_EQ(number("SELECT count(*) FROM working_key"), 0);
  EXPECT_EQ(number("SELECT count(*) FROM used_session"), 3);
  EXPECT_EQ(number("SELECT records FROM history_segment"), 3);
}

TEST_F(GuardedWorkTest, WorkingKeysFromTheirSessionToTheirEnd) {
  Ledger ledger(keys_->of(Library::in_use));
  const Bytes answer(6000, 7);
  const Bytes hash(32, 1);
  const Delivery delivery{.h_req = hash, .h_deliver = hash, .octets = answer};
  const auto leg_of = [&](std::uint8_t session, wire::Role role) {
    WorkingKey key;
    key.sid_wk = SidWk(Bytes(SidWk::size, session));
    key.leg = role;
    key.sid_call = SidCall(Bytes(SidCall::size, session));
    key.uid = Uid(role == wire::Role::caller ? "alice" : "bob");
    key.wk = network_.rng().secret(wire::wk_size);
    key.assurance = wire::Assurance::local_rng;
    key.expires_ms = now() + 60'000;
    key.terms.deliveries_max = 3;
    return key;
  };
  const auto use = [&](const char* uid) { return KeyUse{.by = Uid(uid), .traffic = Traffic::voice, .now_ms = now()}; };
  for (const std::uint8_t session : {std::uint8_t{1}, std::uint8_t{2}, std::uint8_t{3}}) {
    const WorkingKey own = leg_of(session, wire::Role::caller);
    const WorkingKey others = leg_of(session, wire::Role::callee);
    must(store_->transact([&](store::Transaction& transaction) -> Result<void> {
      TRY(ledger.add_session(transaction, own, delivery, use("alice"), others));
      ASSIGN_OR_RETURN(const auto found, ledger.find(transaction, own.sid_wk, wire::Role::callee));
      TRY(ledger.delivered(transaction, *found, delivery, use("bob")));
      TRY(ledger.delivered_again(transaction, own.sid_wk, wire::Role::callee, hash, use("bob")));
      ASSIGN_OR_RETURN(const auto mine, ledger.find(transaction, own.sid_wk, wire::Role::caller));
      if (session == 1) TRY(ledger.confirmed(transaction, *mine, {.by = "alice", .why = "acknowledged", .at_ms = now()}));
      if (session == 2) TRY(ledger.destroy(transaction, own.sid_wk, wire::Role::caller, {.by = "alice", .why = "could not use it", .at_ms = now()}));
      return {};
    }));
  }
  EXPECT_EQ(number("SELECT count(*) FROM delivered_answer"), 4);
  must(store_->transact([&](store::Transaction& transaction) -> Result<void> {
    TRY(withhold_answers(transaction, "bob"));
    TRY(sweep_due(ledger, transaction, Ledger::Sweep::expired, now() + 60'000));
    return {};
  }));
  EXPECT_EQ(number("SELECT count(*) FROM delivered_answer"), 0);
  open();
  EXPECT_EQ(number("SELECT count(*) FROM working_key WHERE state = 'destroyed' AND answer_digest IS NULL"), 6);
}

TEST_F(GuardedWorkTest, WhatStoodInTheLastVersionsTablesIsCarriedOverWithItsMacs) {
  const Bytes sid_wk(SidWk::size, 1);
  const Bytes hash(32, 2);
  const auto of_before = [&](auto&& change) {
    std::vector<store::GuardedTable> tables(guarded_tables.begin(), guarded_tables.end());
    constexpr std::array<std::string_view, 4> later{"history_segment", "charging_check", "charging_altered", "pool_key_end"};  // there are none yet
    std::erase_if(tables, [&](const store::GuardedTable& table) { return std::ranges::find(later, table.name) != later.end(); });
    const store::GuardSettings guard{.anchor = state() / "kms.anchor", .tables = tables, .suite = &node_->suite(), .device = &node_->device(), .may_adopt = {}};
    auto plain = must(store::Store::open(state() / "kms.db", std::span<const store::Migration>(migrations).first(17)));
    const auto guarded = must(store::GuardedStore::open(std::move(plain), guard));
    must(guarded->transact(change));
    must(guarded->close());
  };
  close();
  forget_database();
  for (const char* file : {"kms.db", "kms.db-wal", "kms.db-shm", "kms.anchor"}) std::filesystem::remove(state() / file);
  of_before([&](store::Transaction& transaction) -> Result<void> {
    TRY(transaction.run("INSERT INTO working_key (sid_wk, leg, state, sid_call, uid, sealed_wk, assurance, n_paths, path_min, th9, peer_uid, peer_number, peer_kms,"
                        " peer_fp_classical, peer_fp_ml_dsa, expires_ms, h_req, answer) VALUES (?, 1, 'delivered', ?, 'alice', x'01', 1, 0, 0, x'', 'bob', '+86139', 'kms-a',"
                        " x'', x'', ?, ?, x'0102')",
                        {ByteView(sid_wk), ByteView(sid_wk), store::column(now() + 60'000), ByteView(hash)}));
    TRY(transaction.run("INSERT INTO terminal (uid, number, h_enrol, classical, ml_dsa, enc_point, enc_ml_kem, enc_kid, answer, confirmed, encryption_classical,"
                        " encryption_ml_kem) VALUES ('alice', '+86138', x'01', x'02', x'03', x'04', x'05', x'06', x'07', 0, x'08', x'09')",
                        {}));
    TRY(transaction.run("INSERT INTO replay (h_req, forget_ms) VALUES (?, ?)", {ByteView(hash), store::column(now() + 60'000)}));
    return {};
  });
  open();
  EXPECT_FALSE(must(store_->transact([&](store::Transaction& transaction) { return remember_application(transaction, hash, now() + 60'000); })));
  EXPECT_EQ(blob("SELECT answer FROM working_key"), (Bytes{1, 2}));
  const auto enrolled = must(store_->transact([&](store::Transaction& transaction) { return find_enrolment(transaction, Uid("alice")); }));
  ASSERT_TRUE(enrolled);
  const Terminal wanted{.uid = Uid("alice"), .number = Number("+86138"), .classical = {2}, .ml_dsa = {3}, .encryption = {.point = {4}, .ml_kem = {5}}, .enc_kid = {6},
                        .encryption_classical = {8}, .encryption_ml_kem = {9}, .confirmed = false};
  EXPECT_EQ(enrolled->terminal, wanted);
  EXPECT_EQ(enrolled->answer, Bytes{7});
  must(store_->transact([&](store::Transaction& transaction) { return confirm_terminal(transaction, Uid("alice")); }));
  const auto look = must(store_->transact([&](store::Transaction& transaction) { return look_at_terminal(transaction, Number("+86138")); }));
  ASSERT_TRUE(look);
  EXPECT_TRUE(look->confirmed);
  EXPECT_TRUE(look->digest.empty()) << "its row is read until it is written anew";
  Ledger ledger(keys_->of(Library::in_use));
  EXPECT_EQ(must(store_->transact([&](store::Transaction& transaction) { return sweep_due(ledger, transaction, Ledger::Sweep::expired, now() + 60'000); })).size(), 1U);
  open();
  EXPECT_EQ(number("SELECT count(*) FROM working_key WHERE state = 'destroyed' AND answer IS NULL"), 1);
}

TEST_F(GuardedWorkTest, MediaTheirStockAndTheirCharges) {
  const Medium medium{.id = wire::MediumId(Bytes(wire::MediumId::size, 1)), .uid = Uid("alice"), .kind = "sim"};
  const Secret transport_key(32);
  const auto charge_id = [](std::uint8_t which) { return wire::ChargeId(Bytes(wire::ChargeId::size, which)); };
  must(store_->transact([&](store::Transaction& transaction) -> Result<void> {
    Stock stock(keys_->of(Pool::charged));
    TRY(stock.add(transaction, medium, &transport_key, "operator", now()));
    for (std::uint8_t which = 1; which <= 3; ++which) {
      Charge charge;
      charge.id = charge_id(which);
      charge.medium = medium.id;
      charge.counts = {0, 2, 0};
      charge.made_ms = now();
      if (which == 3) charge.h_req = Bytes(32, 3);
      TRY(add_charge(transaction, charge));
    }
    std::vector<Secret> keys;
    for (int i = 0; i < 2; ++i) keys.emplace_back(wire::charged_key_size);
    TRY(stock.charge(transaction, medium, charge_id(1), {0, 2, 0}, wire::Charged::offline, wire::ChargeOrigin::device, std::move(keys)));
    TRY(stock.spend_transport_key(transaction, node_->suite(), medium));
    TRY(move_charge(transaction, charge_id(1), ChargeState::waiting, ChargeState::given, "other"));
    TRY(keep_answer(transaction, charge_id(1), {}, Bytes(8, 1), now()));
    TRY(move_charge(transaction, charge_id(2), ChargeState::waiting, ChargeState::rejected, "other"));
    TRY(move_charge(transaction, charge_id(3), ChargeState::waiting, ChargeState::given, "other"));
    TRY(keep_answer(transaction, charge_id(3), Bytes(32, 4), Bytes(8, 2), now()));
    return move_charge(transaction, charge_id(3), ChargeState::given, ChargeState::received, "");
  }));
  open();
  EXPECT_EQ(number("SELECT count(*) FROM charge WHERE answer IS NOT NULL"), 1) << "what was received is not given again";
  must(store_->transact([&](store::Transaction& transaction) -> Result<void> {
    Stock stock(keys_->of(Pool::charged));
    TRY(sweep_charges(transaction, now() + charge_answer_life_ms + 1000));
    TRY(stock.burn(transaction, medium, wire::KeySet::call, 0));
    ASSIGN_OR_RETURN(const auto wiped, wipe_medium_of(transaction, Uid("alice")));
    EXPECT_EQ(wiped, medium.id);
    const std::vector<OwedRecord> owed{{.action = "kim.revoked", .subject = "alice", .object = medium.id.hex(), .reason = "test"}};
    return owe_records(transaction, node_->rng().id<OwedId>(), owed, now());
  }));
  must(pay_records(*node_, *store_, Owed::all));
  open();
  EXPECT_EQ(number("SELECT count(*) FROM charge WHERE answer IS NOT NULL"), 0);
  EXPECT_EQ(number("SELECT count(*) FROM charge"), 3);
  must(store_->transact([&](store::Transaction& transaction) { return sweep_charges(transaction, now() + charge_kept_ms + 1000); }));
  open();
  EXPECT_EQ(number("SELECT count(*) FROM charge"), 0);
  EXPECT_EQ(number("SELECT count(*) FROM injected_key") + number("SELECT count(*) FROM owed_record"), 0);
}

TEST_F(GuardedWorkTest, KeysForSaes) {
  const kme::StockName name("domain/b/0");
  const auto batch = [](std::uint8_t which) { return BatchId(Bytes(BatchId::size, which)); };
  const kme::SaeId master("sae-a");
  const kme::SaeId slave("sae-b");
  kme::KeyStock stock(keys_->of(Pool::sae));
  kme::Assignments assignments(keys_->of(Pool::sae));
  must(store_->transact([&](store::Transaction& transaction) -> Result<void> {
    std::vector<kme::Chunk> chunks;
    for (std::uint8_t which = 1; which <= 3; ++which) {
      chunks.push_back({.batch = batch(which), .owner = which == 2 ? kme::Owner::peer : kme::Owner::self, .keys = Secret(std::size_t{4} * 32)});
    }
    TRY(stock.add(transaction, name, {}, chunks, now()));
    ASSIGN_OR_RETURN(const auto taken, stock.claim(transaction, name, {.least = 2, .most = 2}, {.state = store::KeyState::reserved, .holder = "sae"}, now()));
    TRY(stock.deliver(transaction, taken.front().run, now() - 1, now()));  // due at once
    const KeyRun named[] = {{.batch = batch(2), .first = 1, .count = 2}, {.batch = batch(7), .first = 0, .count = 1}};
    TRY(stock.redeem(transaction, name, named, {.state = store::KeyState::destroyed, .holder = "sae"}, kme::KeyStock::Unknown::burn, now()));
    const KeyRun further[] = {{.batch = batch(7), .first = 3, .count = 1}};
    TRY(stock.redeem(transaction, name, further, {.state = store::KeyState::destroyed, .holder = "sae"}, kme::KeyStock::Unknown::burn, now()));
    TRY(stock.drop(transaction, name, batch(3), now()));
    for (const std::uint32_t first : {0U, 1U}) {
      TRY(assignments.add(transaction, {.ids = {.batch = batch(4), .first = first, .stride = 1, .count = 1},
                                        .octets = 32,
                                        .master = master,
                                        .slaves = {slave, kme::SaeId("sae-c")},
                                        .keys = Secret(32),
                                        .until_ms = now() + 600'000}));
    }
    TRY(transaction.run("INSERT INTO sae_activation (id, at_ms) VALUES (?, ?) ON CONFLICT (id) DO NOTHING", {ByteView(Bytes(16, 1)), store::column(now())}));
    const kme::Sae frugal{.id = master, .domain = "a", .kme = "kms-a", .here = true, .keys_per_day = 3};
    TRY(charge_day(transaction, frugal, 1, now()));
    return charge_day(transaction, frugal, 2, now());
  }));
  open();
  kme::KeyStock again(keys_->of(Pool::sae));
  kme::Assignments fetched(keys_->of(Pool::sae));
  EXPECT_EQ(number("SELECT keys FROM sae_spent"), 3);
  EXPECT_EQ(number("SELECT count(*) FROM key_burnt"), 1);
  must(store_->transact([&](store::Transaction& transaction) -> Result<void> {
    kme::Assignments::Fetching fetching(fetched, transaction, now());
    const std::vector<KeyId> one{key_id(batch(4), 0)};
    TRY(fetching.fetch(slave, master, one));
    TRY(fetching.discard(master, std::vector<KeyId>{key_id(batch(4), 1)}));
    TRY(fetching.finish());
    kme::ExternalKeys foreign{.initiator = kme::SaeId("x"),
                              .targets = {slave},
                              .keys = {},
                              .from = {.sae = kme::SaeId("x"), .address = "", .group = "", .request_id = ""},
                              .deadline = test::soon()};
    foreign.keys.push_back({.id = key_id(batch(5), 0), .octets = Secret(32)});
    TRY(kme::ReceivedKeys::note(transaction, foreign, now()));
    const std::vector<KeyId> voided{key_id(batch(5), 0), key_id(batch(6), 0)};
    TRY(kme::ReceivedKeys::note_voided(transaction, kme::SaeId("x"), voided, now()));
    TRY(kme::ReceivedKeys::note_voided(transaction, kme::SaeId("y"), voided, now()));  // another's: nothing
    TRY(again.sweep(transaction, 100, now()));
    TRY(again.recover(transaction, "domain/", true, now()));
    return {};
  }));
  open();
  EXPECT_EQ(number("SELECT count(*) FROM sae_key"), 1) << "the one that another slave may still fetch";
  EXPECT_EQ(number("SELECT count(*) FROM sae_received WHERE voided = 1 AND initiator = 'x'"), 2);
  EXPECT_EQ(number("SELECT count(*) FROM key_run WHERE state <> 'destroyed'"), 0);
  kme::KeyStock last(keys_->of(Pool::sae));
  kme::Assignments swept(keys_->of(Pool::sae));
  must(store_->transact([&](store::Transaction& transaction) -> Result<void> {
    const UnixMs later = now() + 900'000'000;
    TRY(swept.sweep(transaction, 100, later));
    TRY(kme::ReceivedKeys::forget(transaction, later));
    TRY(forget_days(transaction, later));
    TRY(last.forget(transaction, later, 1'000'000));
    TRY(transaction.run("DELETE FROM sae_activation WHERE at_ms < ?", {store::column(later)}));
    return {};
  }));
  open();
  for (const std::string_view table : {"sae_key", "sae_received", "sae_spent", "sae_activation", "key_run", "key_burnt"}) {
    EXPECT_EQ(number("SELECT count(*) FROM " + std::string(table)), 0) << table;
  }
}

TEST_F(GuardedWorkTest, KeysOfTheCsa) {
  const csa::Caller administrator{.name = "qanat://core/operator/operator", .role = csa::Role::administrator};
  const csa::Caller application{.name = "qanat://a/app3/billing", .role = csa::Role::application};
  const UnixMs at = 1'800'000'000'000;
  std::optional<csa::Desk> desk;
  const auto ask = [&](csa::Operation operation, const csa::Caller& caller, const Json& body) {
    Bytes octets = to_bytes(body.dump());
    const Secret text = must(desk->answer(operation, caller, octets, at));
    return must(Json::parse(text.reveal()));
  };
  const auto start = [&] {
    desk.reset();
    open();
    desk.emplace(*node_, *store_, keys_->of(Pool::csa), csa::DeskLimits{.seals = {.block = 2, .max = 4}});
  };
  start();
  const Json grant = Json::object({{"caller", application.name}, {"operations", Json::array({Json("encrypt"), Json("decrypt")})}, {"total", 10}});
  const Json policy = Json::object({{"grants", Json::array({grant})}});
  const std::string key = must(ask(csa::Operation::create_key, administrator,
                                   Json::object({{"algorithm", "SM4-GCM"}, {"usage", "encryption"}, {"policy", policy}, {"creation_id", "order-17"}}))
                                   .text("key_id"));
  std::string sealed;
  for (int i = 0; i < 5; ++i) {  // past what one version may seal
    sealed = must(ask(csa::Operation::encrypt, application, Json::object({{"key_id", key}, {"plaintext", "Zm9ydHktdHdv"}})).text("ciphertext"));
  }
  start();
  EXPECT_EQ(must(ask(csa::Operation::decrypt, application, Json::object({{"key_id", key}, {"ciphertext", sealed}})).integer("version")), 2);
  ask(csa::Operation::rotate_key, administrator, Json::object({{"key_id", key}}));
  ask(csa::Operation::set_policy, administrator, Json::object({{"key_id", key}, {"policy", policy}, {"minimum_version", 2}}));
  ask(csa::Operation::change_state, administrator, Json::object({{"key_id", key}, {"change", "trim"}}));
  const std::string proving =
      must(ask(csa::Operation::create_key, administrator,
               Json::object({{"algorithm", "HMAC-SM3"},
                             {"usage", "authentication"},
                             {"policy", Json::object({{"grants", Json::array({Json::object({{"caller", application.name},
                                                                                            {"operations", Json::array({Json("challenge"), Json("prove"),
                                                                                                                        Json("authenticate")})}})})}})}}))
               .text("key_id"));
  const std::string challenge = must(ask(csa::Operation::challenge, application, Json::object({{"key_id", proving}})).text("challenge"));
  ask(csa::Operation::challenge, application, Json::object({{"key_id", proving}}));  // stays until it is forgotten
  const std::string proof = must(
      ask(csa::Operation::prove, application, Json::object({{"key_id", proving}, {"challenge", challenge}, {"verifier", application.name}})).text("proof"));
  ask(csa::Operation::authenticate, application,
      Json::object({{"key_id", proving}, {"challenge", challenge}, {"claimant", application.name}, {"proof", proof}}));
  ask(csa::Operation::change_state, administrator, Json::object({{"key_id", key}, {"change", "schedule_deletion"}}));
  start();
  must(desk->sweep(at + 30ULL * 86'400'000));
  start();
  EXPECT_EQ(number("SELECT count(*) FROM csa_version WHERE sealed IS NOT NULL"), 1) << "of the other key";
  EXPECT_EQ(number("SELECT count(*) FROM csa_challenge"), 0);
  EXPECT_EQ(number("SELECT used FROM csa_grant WHERE total = 10"), 6);
}

}  // namespace
}  // namespace qanat::kms
