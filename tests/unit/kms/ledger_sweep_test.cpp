// Keys whose time is over are ended, all of them, whatever somebody did to one of their rows.
#include "services/kms/kma/ledger_sweep.hpp"

#include "kp_fixture.hpp"
#include "services/kms/forgetting.hpp"

namespace qanat::kms {
namespace {

class LedgerSweepTest : public UnderneathFixture {
 protected:
  void SetUp() override {
    UnderneathFixture::SetUp();
    ledger_.emplace(keys_->of(Library::in_use));
  }
  /// A leg that ended so long ago.
  SidWk ended(UnixMs ago_ms) {
    WorkingKey key;
    key.sid_wk = network_.rng().id<SidWk>();
    key.leg = wire::Role::caller;
    key.sid_call = network_.rng().id<SidCall>();
    key.uid = Uid("alice");
    key.wk = network_.rng().secret(wire::wk_size);
    key.expires_ms = now() - ago_ms;
    must(store_->transact([&](store::Transaction& transaction) { return ledger_->add(transaction, key); }));
    return key.sid_wk;
  }
  void edit_underneath(std::string_view set, const SidWk& sid_wk) {
    EXPECT_EQ(run_underneath("UPDATE working_key SET " + std::string(set) + " WHERE sid_wk = ?", {sid_wk.view()}), 1);
  }
  std::int64_t alive() { return number("SELECT count(*) FROM working_key WHERE sealed_wk IS NOT NULL"); }

  std::optional<Ledger> ledger_;
};

TEST_F(LedgerSweepTest, EndsAllThatIsDueHoweverManyTransactionsThatTakes) {
  std::vector<SidWk> due;
  for (UnixMs ago = 1; ago <= 5; ++ago) due.push_back(ended(ago));
  LedgerSweep sweep(*node_, *store_, *ledger_, 2);
  must(sweep.run(Ledger::Sweep::expired, now()));
  EXPECT_EQ(alive(), 0);
  for (const SidWk& sid_wk : due) EXPECT_EQ(recorded("wk.expired", sid_wk.hex()), 1);
}

TEST_F(LedgerSweepTest, ARowThatWasChangedUnderneathKeepsNoOtherKeyAliveAndIsOnRecordOnce) {
  std::vector<SidWk> altered;
  for (const std::string_view set : {"uid = 'mallory'", "state = 'lent'", "state = 'destroyed'"}) {
    altered.push_back(ended(100));
    edit_underneath(set, altered.back());
  }
  for (UnixMs ago = 1; ago <= 3; ++ago) ended(ago);
  LedgerSweep sweep(*node_, *store_, *ledger_, 2);  // the oldest page has no sound row
  must(sweep.run(Ledger::Sweep::expired, now()));
  EXPECT_EQ(alive(), 3) << "those that were changed";
  for (const SidWk& sid_wk : altered) EXPECT_EQ(recorded("kp.database.altered", sid_wk.hex()), 1);
  const SidWk later = ended(1);
  must(sweep.run(Ledger::Sweep::expired, now()));
  EXPECT_EQ(alive(), 3);
  EXPECT_EQ(recorded("wk.expired", later.hex()), 1);
  for (const SidWk& sid_wk : altered) EXPECT_EQ(recorded("kp.database.altered", sid_wk.hex()), 1) << "once";
}

TEST_F(LedgerSweepTest, ARowThatWasChangedUnderneathKeepsNothingElseFromBeingForgotten) {
  must(run("INSERT INTO prepared_encryption (uid, h_enrol, sealed_scalar, sealed_seed, made_ms) VALUES ('alice', x'01', x'02', x'03', 1)"));
  must(run("INSERT INTO announced_session (sid_wk, notify, expires_ms) VALUES (x'00', x'00', 1)"));
  EXPECT_EQ(run_underneath("UPDATE prepared_encryption SET sealed_seed = x'04'"), 1);
  LedgerSweep sweep(*node_, *store_, *ledger_);
  for (int round = 0; round < 2; ++round) {
    const auto done = forget_what_is_over(*store_, PolicySettings(), now());
    ASSERT_EQ(test::refusal(done), ErrorCode::denied);
    must(sweep.tell(done.error()));
  }
  EXPECT_EQ(recorded("kp.database.altered", "prepared_encryption uid=alice"), 1);
  EXPECT_EQ(number("SELECT count(*) FROM prepared_encryption"), 1);
  EXPECT_EQ(number("SELECT count(*) FROM announced_session"), 0);
}

}  // namespace
}  // namespace qanat::kms
