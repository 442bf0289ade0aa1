// A charging record whose row somebody changed while the KMS runs: no charge, on record once, kept, and in nobody's way.
#include "kp_fixture.hpp"
#include "services/kms/kma/charging_archive.hpp"

namespace qanat::kms {
namespace {

constexpr UnixMs apart_archived_before = 1'000'000;

class ChargesSetApartTest : public UnderneathFixture {
 protected:
  SidWk charge(std::uint8_t which) {
    ChargingRecord record;
    record.sid_wk = SidWk(Bytes(SidWk::size, which));
    record.leg = wire::Role::caller;
    record.uid = Uid("alice");
    record.n_paths = 1;
    record.delivered_ms = which;
    record.expires_ms = which + 1U;
    must(store_->transact([&](store::Transaction& transaction) { return add_charging_record(transaction, record); }));
    return record.sid_wk;
  }
  void alter(std::string_view set, const SidWk& sid_wk) {
    EXPECT_EQ(run_underneath("UPDATE charging_record SET " + std::string(set) + " WHERE sid_wk = ?", {sid_wk.view()}), 1);
  }
  std::int64_t archive() { return must(archive_charges(*store_, node_->rng(), apart_archived_before)); }
  void pay() { must(pay_records(*node_, *store_, Owed::left_over)); }
  std::vector<SidWk> listed() {
    const auto all = must(store_->transact([&](store::Transaction& transaction) { return list_charging_records(transaction, {}, apart_archived_before); }));
    std::vector<SidWk> out;
    out.reserve(all.size());
    for (const ChargingRecord& one : all) out.push_back(one.sid_wk);
    return out;
  }
  std::int64_t told_in_health() {
    wire::Json body = wire::Json::object();
    describe_charges(*store_, body);
    return must(body.integer("charges_set_apart"));
  }
  /// While the KMS is down.
  void repair() {
    const auto raw = must(store::Store::open(state() / "kms.db", migrations));
    EXPECT_EQ(must(raw->transact([](store::Transaction& transaction) { return transaction.run("UPDATE charging_record SET n_paths = 1", {}); })), 1);
  }
};

TEST_F(ChargesSetApartTest, IsOnRecordOnceAndKeepsNoOtherFromTheArchive) {
  alter("n_paths = 7", charge(1));
  alter("uid = 'mallory'", charge(2));
  alter("sid_wk = x'00'", charge(3));
  std::vector<SidWk> sound{charge(4), charge(5)};
  EXPECT_EQ(told_in_health(), 0);
  EXPECT_EQ(archive(), 2);
  pay();
  sound.push_back(charge(6));
  EXPECT_EQ(archive(), 1);
  pay();
  EXPECT_EQ(number("SELECT count(*) FROM charging_archive"), 3);
  EXPECT_EQ(listed(), sound) << "what was changed is no charge";
  EXPECT_EQ(told_in_health(), 3);
  EXPECT_EQ(recorded("\"action\":\"kp.database.altered\",\"outcome\":\"failure\"", "charging record"), 3);
  for (const std::string& key : {SidWk(Bytes(SidWk::size, 1)).hex(), SidWk(Bytes(SidWk::size, 2)).hex(), std::string("00")}) {
    EXPECT_EQ(recorded("kp.database.altered", "charging_record sid_wk=" + key + ", leg=1: "), 1) << key;
  }
  EXPECT_EQ(number("SELECT count(*) FROM charging_altered WHERE n_paths = 7 AND why LIKE '%was changed, or put there, by another program'"), 1);
}

TEST_F(ChargesSetApartTest, AnotherFailureOfTheArchiveSetsNothingApart) {
  charge(1);
  EXPECT_EQ(archive(), 1);
  charge(2);
  run_underneath("UPDATE charging_day SET records = 9");
  EXPECT_EQ(test::refusal(archive_charges(*store_, node_->rng(), apart_archived_before)), ErrorCode::denied);
  EXPECT_EQ(told_in_health(), 0);
  EXPECT_EQ(listed().size(), 2U);
}

TEST_F(ChargesSetApartTest, IsKeptAndTheNextStartIsRefusedUntilTheRowIsAsItWas) {
  alter("n_paths = 7", charge(1));
  EXPECT_EQ(archive(), 0);
  pay();
  must(store_->transact([](store::Transaction& transaction) { return forget_charging_records(transaction, 200'000'000); }));
  EXPECT_EQ(number("SELECT count(*) FROM charging_record"), 1) << "it is evidence";
  close();
  forget_database();
  const auto opened = open_database(*node_);
  EXPECT_EQ(test::refusal(opened), ErrorCode::denied);
  repair();
  open();
  EXPECT_EQ(archive(), 0);
  pay();
  EXPECT_TRUE(listed().empty()) << "what it was meanwhile nobody knows";
  EXPECT_EQ(number("SELECT count(*) FROM charging_altered WHERE n_paths = 7"), 1);
  EXPECT_EQ(recorded("kp.database.altered", "charging_record"), 1);
}

TEST_F(ChargesSetApartTest, ComesOnRecordAfterAKillToo) {
  alter("n_paths = 7", charge(1));
  EXPECT_EQ(archive(), 0);
  EXPECT_EQ(recorded("kp.database.altered", "charging_record"), 0);
  forget_database();
  repair();
  open_after_kill();
  must(pay_records(*node_, *store_, Owed::all));
  EXPECT_EQ(archive(), 0);
  pay();
  EXPECT_EQ(recorded("kp.database.altered", "charging_record"), 1);
}

}  // namespace
}  // namespace qanat::kms
