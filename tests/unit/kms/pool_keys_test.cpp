// KP's database and envelope: guarded, on record, keys under pool keys, pool keys under the device.
#include "services/kms/kp/pool_keys.hpp"

#include "kp_fixture.hpp"
#include "ledger_steps.hpp"
#include "services/kms/kma/incarnation.hpp"
#include "services/kms/kma/ledger.hpp"
#include "services/kms/kp/owed_records.hpp"
#include "services/kms/kp/sealed_columns.hpp"
#include "store/key_commitment.hpp"

namespace qanat::kms {
namespace {

/// Counts what the device is asked.
class CountingDevice final : public crypto::CryptoDevice {
 public:
  explicit CountingDevice(crypto::CryptoDevice& inner) : inner_(inner) {}
  [[nodiscard]] std::string_view kind() const noexcept override { return inner_.kind(); }
  Result<Secret> random(std::size_t size) override { return inner_.random(size); }
  Result<Bytes> seal(ByteView context, const Secret& secret) override {
    ++asked;
    return inner_.seal(context, secret);
  }
  Result<Secret> unseal(ByteView context, ByteView sealed) override {
    ++asked;
    return inner_.unseal(context, sealed);
  }
  [[nodiscard]] crypto::Rng& rng() noexcept override { return inner_.rng(); }
  [[nodiscard]] crypto::DeviceHealth health() const override { return inner_.health(); }
  void on_change(OnChange listener) override { inner_.on_change(std::move(listener)); }
  int asked = 0;

 private:
  crypto::CryptoDevice& inner_;
};

class PoolKeysTest : public KpFixture {
 protected:
  WorkingKey key() {
    return {.sid_wk = network_.rng().id<SidWk>(),
            .leg = wire::Role::caller,
            .sid_call = network_.rng().id<SidCall>(),
            .uid = Uid("alice"),
            .wk = network_.rng().secret(wire::wk_size),
            .assurance = wire::Assurance::pqc,
            .th9 = network_.rng().bytes(32),
            .peer_uid = Uid("bob"),
            .peer_number = Number("+8613900000002"),
            .peer_kms = ElementName("kms-b"),
            .peer_fps = {.classical = network_.rng().bytes(32), .pq = network_.rng().bytes(32)},
            .expires_ms = now() + 60'000,
            .terms = {}};
  }
  static Result<void> add(store::Store& store, Ledger& ledger, const WorkingKey& key) {
    return store.transact([&](store::Transaction& transaction) { return ledger.add(transaction, key); });
  }
  /// A prepared pair as a KMS from before there were pool keys left it.
  crypto::EncapsulationKey prepare_by(crypto::CryptoDevice& device) {
    const Uid uid("alice");
    const Bytes h_enrol(32, 5);
    const auto pair = must(crypto::Decapsulator::generate(node_->suite(), node_->rng()));
    const crypto::DecapsulationSecret secret = pair.secret();
    const auto seal = [&](std::string_view column, const Secret& half) {
      return must(device.seal(context_of("prepared_encryption", column, concat({uid.view(), h_enrol})), half));
    };
    const PreparedPair sealed{.scalar = seal("sealed_scalar", secret.scalar), .ml_kem_seed = seal("sealed_seed", secret.ml_kem_seed)};
    must(store_->transact([&](store::Transaction& transaction) { return save_prepared(transaction, uid, h_enrol, sealed, now()); }));
    return pair.encapsulation_key();
  }
  void expect_there(const WorkingKey& key) {
    Ledger ledger(keys_->of(Library::in_use));
    const auto found = store_->transact([&](store::Transaction& transaction) { return ledger.find(transaction, key.sid_wk, key.leg); });
    ASSERT_TRUE(found) << found.error().message;
    ASSERT_TRUE(*found);
    EXPECT_TRUE(equal_secret((*found)->key.wk, key.wk));
  }
};

TEST_F(PoolKeysTest, TheDeviceIsAskedOncePerPoolKeyAndNotPerRow) {
  CountingDevice device(node_->device());
  const auto keys = must(PoolKeys::open({.store = *store_, .device = device, .suite = node_->suite(), .lifetime = lifetime}, now()));
  const int at_open = device.asked;
  EXPECT_EQ(at_open, static_cast<int>(all_pools.size()));
  Ledger ledger(keys->of(Library::in_use));
  for (int i = 0; i < 20; ++i) {
    const WorkingKey one = key();
    must(add(*store_, ledger, one));
    expect_there(one);
  }
  EXPECT_EQ(device.asked, at_open);
}

TEST_F(PoolKeysTest, SealedColumnsOpenInTheirPlaceAndLibraryAlone) {
  const Secret secret = network_.rng().secret(32);
  const Bytes here = to_bytes("here");
  const Bytes sealed = must(keys_->of(Library::in_use).seal(here, secret));
  EXPECT_TRUE(equal_secret(must(keys_->of(Library::in_use).unseal(here, sealed)), secret));
  EXPECT_NE(must(keys_->of(Library::in_use).seal(here, secret)), sealed) << "another nonce each time";
  EXPECT_EQ(test::refusal(keys_->of(Library::in_use).unseal(to_bytes("there"), sealed)), ErrorCode::denied);
  EXPECT_EQ(test::refusal(keys_->of(Library::history).unseal(here, sealed)), ErrorCode::denied);
  EXPECT_EQ(test::refusal(keys_->of(Library::in_use).unseal(here, must(node_->device().seal(here, secret)))), ErrorCode::denied) << "sealed by the device itself";
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    Bytes changed = sealed;
    changed[i] ^= 1U;
    const bool of_a_later_key = i >= 4 && i < 7;  // as far as its header says
    EXPECT_EQ(test::refusal(keys_->of(Library::in_use).unseal(here, changed)), of_a_later_key ? ErrorCode::unavailable : ErrorCode::denied) << i;
    EXPECT_EQ(test::refusal(keys_->of(Library::in_use).unseal(here, ByteView(sealed).first(i))), ErrorCode::denied) << i;
  }
}

TEST_F(PoolKeysTest, ADatabaseFromBeforeThereWerePoolKeysIsSealedAnew) {
  const crypto::EncapsulationKey pair = prepare_by(node_->device());
  const Bytes before = blob("SELECT sealed_seed FROM prepared_encryption");
  must(run("DELETE FROM pool_key"));
  open();
  EXPECT_TRUE(keys_->is_first()) << "so that working keys, which are not sealed anew, are destroyed";
  EXPECT_EQ(must(pairs_->prepare(Uid("alice"), Bytes(32, 5))).pair.encapsulation_key(), pair);
  EXPECT_NE(blob("SELECT sealed_seed FROM prepared_encryption"), before);
  EXPECT_EQ(as_text(blob("SELECT sealed_seed FROM prepared_encryption")).substr(0, 4), "QKP1");
  open();
  EXPECT_FALSE(keys_->is_first());
}

TEST_F(PoolKeysTest, WhatTheDeviceDoesNotOpenStopsTheStart) {
  const auto other = must(crypto::open_software_device(state() / "other", network_.rng()));
  prepare_by(*other);
  const auto opened = PoolKeys::open({.store = *store_, .device = node_->device(), .suite = node_->suite(), .lifetime = lifetime}, now());
  EXPECT_EQ(test::refusal(opened), ErrorCode::denied);
  EXPECT_TRUE(opened.error().message.contains("prepared_encryption.sealed_scalar")) << opened.error().message;
}

TEST_F(PoolKeysTest, AFormerPoolKeyStaysUntilNothingUsesIt) {
  Ledger ledger(keys_->of(Library::in_use));
  const WorkingKey first = key();
  must(add(*store_, ledger, first));
  const auto pair = must(pairs_->prepare(Uid("alice"), Bytes(32, 5))).pair.encapsulation_key();
  const auto under = [&](std::string_view table, std::string_view column, int generation) {
    return number("SELECT count(*) FROM " + std::string(table) + " WHERE substr(" + std::string(column) + ", 5, 4) = x'0000000" + std::to_string(generation) + "'");
  };
  const UnixMs due = static_cast<UnixMs>(number("SELECT max(made_ms) FROM pool_key")) + static_cast<UnixMs>(lifetime.count());
  must(keys_->maintain(due - 1));
  EXPECT_EQ(keys_->generations(Pool::in_use), (std::vector<std::uint32_t>{1}));
  must(keys_->maintain(due));
  EXPECT_EQ(keys_->generations(Pool::in_use), (std::vector<std::uint32_t>{1, 2}));
  must(keys_->maintain(due + 59'999));
  const WorkingKey second = key();
  must(add(*store_, ledger, second));
  EXPECT_EQ(under("working_key", "sealed_wk", 1), 2) << "others may not know the new one yet";
  must(keys_->maintain(due + 60'000));
  const WorkingKey third = key();
  must(add(*store_, ledger, third));
  EXPECT_EQ(under("working_key", "sealed_wk", 1), 2);
  EXPECT_EQ(under("working_key", "sealed_wk", 2), 1);
  EXPECT_EQ(under("prepared_encryption", "sealed_seed", 2), 1) << "what lives long is sealed anew";
  must(keys_->maintain(due + 200'000));
  EXPECT_EQ(keys_->generations(Pool::in_use), (std::vector<std::uint32_t>{1, 2})) << "two working keys are sealed under the former one";
  for (const WorkingKey* one : {&first, &second, &third}) expect_there(*one);
  must(store_->transact([&](store::Transaction& transaction) { return sweep_due(ledger, transaction, Ledger::Sweep::expired, due); }));
  must(keys_->maintain(due + 200'000));
  EXPECT_EQ(keys_->generations(Pool::in_use), (std::vector<std::uint32_t>{2}));
  EXPECT_EQ(number("SELECT count(*) FROM pool_key WHERE library = 'in_use'"), 1);
  EXPECT_EQ(must(pairs_->prepare(Uid("alice"), Bytes(32, 5))).pair.encapsulation_key(), pair);
}

TEST_F(PoolKeysTest, AFormerPoolKeyThatNothingUsesWaitsUntilOthersHaveLooked) {
  const UnixMs rotated = now();
  must(keys_->rotate(Pool::history, rotated));
  must(keys_->maintain(rotated + 119'999));
  EXPECT_EQ(keys_->generations(Pool::history), (std::vector<std::uint32_t>{1, 2})) << "another front end may seal under it still";
  must(keys_->maintain(rotated + 120'000));
  EXPECT_EQ(keys_->generations(Pool::history), (std::vector<std::uint32_t>{2}));
}

class PoolKeysStoresTest : public KpStoresFixture {};
INSTANTIATE_TEST_SUITE_P(Stores, PoolKeysStoresTest, test::every_store_kind, test::name_of);

TEST_P(PoolKeysStoresTest, APoolKeyThatIsGoneLeavesACommitmentAndItsEndIsOnRecord) {
  const Bytes id = concat({as_bytes("history/QKP1"), Bytes{0, 0, 0, 1}});
  const Secret key = must(node_->device().unseal(store::column_context("pool_key.sealed", id), blob("SELECT sealed FROM pool_key WHERE library = 'history'")));
  const Bytes commitment = store::key_commitment(store::KeyKind::master, id, key);
  EXPECT_EQ(blob("SELECT commitment FROM pool_key WHERE library = 'history'"), commitment) << "made with the key";
  const auto other = must(PoolKeys::open({.store = *store_, .device = node_->device(), .suite = node_->suite(), .lifetime = lifetime}, now()));
  const UnixMs rotated = now();
  must(keys_->rotate(Pool::history, rotated));
  for (const UnixMs later : {UnixMs{60'000}, UnixMs{120'000}}) must(other->maintain(rotated + later));
  EXPECT_EQ(number("SELECT count(*) FROM pool_key WHERE library = 'history'"), 1);
  for (const UnixMs later : {UnixMs{60'000}, UnixMs{120'000}}) must(keys_->maintain(rotated + later));
  EXPECT_EQ(keys_->generations(Pool::history), (std::vector<std::uint32_t>{2})) << "another process was first";
  EXPECT_EQ(number("SELECT count(*) FROM pool_key_end"), 1);
  EXPECT_EQ(blob("SELECT commitment FROM pool_key_end WHERE library = 'history' AND generation = 1"), commitment) << "stays";
  EXPECT_EQ(number("SELECT count(*) FROM owed_record"), 1) << "said once";
  must(pay_records(*node_, *store_, Owed::all));
  EXPECT_TRUE(test::audited(state(), "\"kp.pool_key.destroyed\""));
  EXPECT_TRUE(test::audited(state(), "pool key 1 of pool history"));
  EXPECT_TRUE(test::audited(state(), "nothing is sealed under it any more (commitment " + to_hex(commitment) + ")"));
}

TEST_F(PoolKeysTest, WhatAnotherFrontEndSealsUnderALaterPoolKeyIsWorthAnotherAttempt) {
  const auto stalled = must(PoolKeys::open({.store = *store_, .device = node_->device(), .suite = node_->suite(), .lifetime = lifetime}, now()));
  const UnixMs rotated = now();
  must(keys_->rotate(Pool::in_use, rotated));
  must(keys_->maintain(rotated + 60'000));
  const Secret secret = network_.rng().secret(32);
  const Bytes here = to_bytes("here");
  const Bytes sealed = must(keys_->of(Pool::in_use).seal(here, secret));
  const auto early = stalled->of(Pool::in_use).unseal(here, sealed);
  EXPECT_EQ(test::refusal(early), ErrorCode::unavailable);
  EXPECT_TRUE(early.error().message.contains("pool key 2 of pool in_use")) << early.error().message;
  must(stalled->maintain(rotated + 60'000));
  EXPECT_TRUE(equal_secret(must(stalled->of(Pool::in_use).unseal(here, sealed)), secret));
}

TEST_F(PoolKeysTest, APoolsKeyStandsForItsPoolAlone) {
  const Bytes of_history = blob("SELECT sealed FROM pool_key WHERE library = 'history'");
  must(run("UPDATE pool_key SET sealed = ? WHERE library = 'in_use'", {ByteView(of_history)}));
  const auto opened = PoolKeys::open({.store = *store_, .device = node_->device(), .suite = node_->suite(), .lifetime = lifetime}, now());
  EXPECT_EQ(test::refusal(opened), ErrorCode::denied);
  EXPECT_TRUE(opened.error().message.contains("pool key of pool in_use")) << opened.error().message;
}

TEST_F(PoolKeysTest, PoolKeysThatOneOfTwoDevicesSealedAreSealedForBothAtTheNextStartWithBoth) {
  const std::filesystem::path one = state() / "one";
  const std::filesystem::path two = state() / "two";
  const auto open_pair = [&] {
    const crypto::PairSettings settings{.members = {crypto::PairMember{.device = {}, .file = one}, crypto::PairMember{.device = {}, .file = two}},
                                        .retry_after = std::chrono::milliseconds(0)};
    return must(crypto::open_pair_device(settings, network_.rng()));
  };
  const auto open_under = [&](crypto::CryptoDevice& device) {
    return PoolKeys::open({.store = *store_, .device = device, .suite = node_->suite(), .lifetime = lifetime}, now());
  };
  using std::filesystem::perms;
  must(crypto::open_software_device(two, network_.rng()));
  std::filesystem::permissions(two, perms::owner_read | perms::owner_write | perms::others_read);
  must(run("DELETE FROM pool_key"));
  const Bytes here = to_bytes("here");
  const Secret secret = network_.rng().secret(32);
  Bytes sealed;
  {
    const auto device = open_pair();
    ASSERT_EQ(device->health().members[1].state, crypto::DeviceState::failed);
    sealed = must(must(open_under(*device))->of(Library::in_use).seal(here, secret));
  }
  std::filesystem::permissions(two, perms::owner_read | perms::owner_write);
  {
    const auto device = open_pair();
    must(open_under(*device));
  }
  std::filesystem::remove(one);
  const auto device = open_pair();
  const auto keys = open_under(*device);
  ASSERT_TRUE(keys) << keys.error().message;
  EXPECT_TRUE(equal_secret(must((*keys)->of(Library::in_use).unseal(here, sealed)), secret));
}

TEST_F(PoolKeysTest, OpeningIsOnRecordAndSoIsItsRefusal) {
  EXPECT_TRUE(test::audited(state(), "\"kp.database.opened\""));
  Ledger ledger(keys_->of(Library::in_use));
  const WorkingKey one = key();
  must(add(*store_, ledger, one));
  edit("UPDATE working_key SET assurance = 5, uid = 'mallory'");
  const auto opened = open_database(*node_);
  EXPECT_EQ(test::refusal(opened), ErrorCode::denied);
  EXPECT_TRUE(opened.error().message.contains("working_key sid_wk=" + one.sid_wk.hex() + ", leg=1: was changed")) << opened.error().message;
  EXPECT_TRUE(test::audited(state(), "leg=1: was changed"));
  edit("UPDATE working_key SET assurance = 1, uid = 'alice'");
}

TEST_F(PoolKeysTest, ADatabaseWhoseGuardWasTakenOffIsNotTakenForAnOldOne) {
  edit("DELETE FROM guard_state");
  edit("DELETE FROM guard_key");
  std::filesystem::remove(state() / "kms.anchor");
  const auto opened = open_database(*node_);
  EXPECT_EQ(test::refusal(opened), ErrorCode::denied);
  EXPECT_TRUE(opened.error().message.contains("the audit record says that it had one")) << opened.error().message;
}

TEST_F(PoolKeysTest, TheOperatorTakesItAsItIsOnRecordAndNothingThatWasLiveIsUsed) {
  {
    Ledger ledger(keys_->of(Library::in_use));
    must(add(*store_, ledger, key()));
  }
  edit("UPDATE working_key SET uid = 'mallory'");
  edit("INSERT INTO injected_key (medium, key_set, key_index, sealed_key, charged, origin, charge) VALUES (x'01', 2, 0, x'01', 1, 1, x'01')");
  const UnixMs not_before = now() + 120'000;
  EXPECT_EQ(test::refusal(accept_database(*node_, "", not_before)), ErrorCode::invalid_argument);
  const Accepted accepted = must(accept_database(*node_, "restored after the fire, ticket 17", not_before));
  ASSERT_EQ(accepted.findings.size(), 2U) << "one for each table";
  EXPECT_EQ(accepted.destroyed, 1);
  EXPECT_TRUE(test::audited(state(), "ticket 17"));
  take(must(open_database(*node_)));
  EXPECT_TRUE(guard_->after_crash());
  EXPECT_EQ(number("SELECT count(*) FROM working_key WHERE sealed_wk IS NOT NULL OR state <> 'destroyed'"), 0);
  EXPECT_EQ(number("SELECT count(*) FROM injected_key"), 1) << "the terminal itself names no index twice";
  const auto of_before = store_->transact([&](store::Transaction& transaction) { return check_of_this_life(transaction, not_before - 1, "KeyRequest"); });
  EXPECT_EQ(test::refusal(of_before), ErrorCode::denied);
}

TEST_F(PoolKeysTest, AfterAKillTheServiceDestroysEveryKeyThatIsLiveAndAfterAStopInOrderNone) {
  const test::TemporaryDirectory folder;
  const auto started_and_stopped = [&] {
    forget_database();
    KmsSettings settings;
    settings.site_key = write_site_key(folder / "");
    must(KmsService::open(*node_, settings));
    take(must(open_database(*node_)));
    open_keys();
  };
  for (const bool in_order : {true, false}) {
    Ledger ledger(keys_->of(Library::in_use));
    const WorkingKey one = key();
    must(add(*store_, ledger, one));
    must(store_->transact([&](store::Transaction& transaction) { return ledger.advance(transaction, one.sid_wk, one.leg, store::KeyState::reserved); }));
    must(pairs_->fill(2, 2));
    if (in_order) must(guard_->close());
    started_and_stopped();
    EXPECT_EQ(number("SELECT count(*) FROM working_key WHERE sealed_wk IS NOT NULL"), in_order ? 1 : 0);
    EXPECT_EQ(must(pairs_->standby()), in_order ? 2U : 0U);
  }
  EXPECT_TRUE(test::audited(state(), "left over from before the restart"));
  EXPECT_TRUE(test::audited(state(), "\"kp.discarded\""));
}

TEST_F(PoolKeysTest, EveryColumnThatIsSealedIsInTheTable) {
  // By name, so that a sealed column that somebody adds is not forgotten when the pool key changes.
  std::set<std::string> named;
  must(store_->transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT m.name || '.' || c.name FROM sqlite_schema AS m JOIN pragma_table_info(m.name) AS c WHERE m.type = 'table' AND c.name LIKE 'sealed%'"
                             " AND m.name NOT LIKE 'guard%' AND m.name <> 'pool_key'",
                             {}, [&](const store::Row& row) { named.insert(row.text(0)); });
  }));
  std::set<std::string> known;
  for (const SealedColumn& column : sealed_columns) known.insert(std::string(column.table) + "." + std::string(column.column));
  EXPECT_EQ(named, known);
  std::set<std::string> guarded;
  for (const store::GuardedTable& table : guarded_tables) guarded.insert(std::string(table.name));
  for (const SealedColumn& column : sealed_columns) EXPECT_TRUE(guarded.contains(std::string(column.table))) << column.table;
}

TEST_F(PoolKeysTest, ATerminalOfAnotherSubscriberCannotBePutInByEditingTheDatabase) {
  edit("INSERT INTO terminal (uid, number, h_enrol, classical, ml_dsa, enc_point, enc_ml_kem, enc_kid, confirmed) VALUES ('eve', '+8613900000009', x'00', x'00', x'00',"
       " x'00', x'00', x'00', 1)");
  const auto opened = open_database(*node_);
  EXPECT_EQ(test::refusal(opened), ErrorCode::denied);
  EXPECT_TRUE(opened.error().message.contains("terminal uid=eve: was put in")) << opened.error().message;
}

}  // namespace
}  // namespace qanat::kms
