// What is kept of applications: which were made (replay), how many (rate), and what was delivered for them (charges). All of it across restarts and jumps of the clock.
#include "services/kms/kma/charging_archive.hpp"
#include "services/kms/kma/admission.hpp"
#include "services/kms/kma/rate.hpp"
#include "services/kms/kma/replay.hpp"
#include "services/kms/schema.hpp"
#include "store_kinds.hpp"
#include "trusted_network.hpp"

namespace qanat::kms {
namespace {

using test::must;
using test::refusal;

constexpr UnixMs limits_now = 1'700'000'000'000;
constexpr UnixMs limits_window = 120'000;

class ApplicationLimitsTest : public testing::TestWithParam<test::StoreKind> {
 protected:
  ApplicationLimitsTest() { open(); }
  void open() {
    store_.reset();
    store_ = must(stores_.open(folder_ / "kms.db", migrations));
  }
  Result<bool> made(std::uint8_t which, UnixMs forget) {
    return store_->transact([&](store::Transaction& transaction) { return remember_application(transaction, Bytes(32, which), forget); });
  }
  void forget(UnixMs at) {
    must(store_->transact([&](store::Transaction& transaction) { return forget_applications(transaction, at); }));
  }
  Result<void> applies(const std::string& uid, const Rate& rate, UnixMs at) {
    return store_->transact([&](store::Transaction& transaction) { return count_application(transaction, Uid(uid), rate, at); });
  }
  std::int64_t rows(const std::string& table) {
    std::int64_t out = 0;
    must(store_->transact([&](store::Transaction& transaction) {
      return transaction.query("SELECT count(*) FROM " + table, {}, [&](const store::Row& row) { out = row.integer(0); });
    }));
    return out;
  }

  test::TemporaryDirectory folder_;
  test::TestStores stores_{GetParam()};
  std::unique_ptr<store::Store> store_;
};

INSTANTIATE_TEST_SUITE_P(Stores, ApplicationLimitsTest, test::every_store_kind, test::name_of);

TEST_P(ApplicationLimitsTest, ApplicationIsNewOnceAlsoAfterARestart) {
  EXPECT_TRUE(must(made(1, limits_now + limits_window)));
  EXPECT_FALSE(must(made(1, limits_now + limits_window)));
  open();
  EXPECT_FALSE(must(made(1, limits_now + limits_window)));
  EXPECT_TRUE(must(made(2, limits_now + limits_window)));
  forget(limits_now + limits_window);
  EXPECT_FALSE(must(made(1, limits_now + limits_window))) << "its time is not over yet";
}

TEST_P(ApplicationLimitsTest, AnApplicationIsJudgedAsItIsTakenOn) {
  constexpr Rate rate{.burst = 2, .per_minute = 1};
  const auto of = [](const Bytes& h_req, UnixMs ts_ms = limits_now) {
    return MadeApplication{.h_req = h_req, .uid = Uid("alice"), .ts_ms = ts_ms, .forget_ms = ts_ms + limits_window};
  };
  const auto judged = [&](const MadeApplication& one) {
    return store_->transact([&](store::Transaction& transaction) { return judge(transaction, one, rate, limits_now); });
  };
  const auto taken_on = [&](const MadeApplication& one) {
    return store_->transact([&](store::Transaction& transaction) { return take_on(transaction, one, rate, limits_now); });
  };
  const Bytes first(32, 1);
  const Bytes second(32, 2);
  const Bytes third(32, 3);
  for (int i = 0; i < 2; ++i) EXPECT_EQ(must(judged(of(first))), (Bucket{.level_milli = 1000, .at_ms = limits_now})) << "it changes nothing";
  EXPECT_TRUE(must(taken_on(of(first))));
  EXPECT_FALSE(must(taken_on(of(first))));
  EXPECT_EQ(must(judged(of(first))), std::nullopt);
  EXPECT_EQ(must(judged(of(second))), (Bucket{.level_milli = 0, .at_ms = limits_now}));
  EXPECT_TRUE(must(taken_on(of(second))));
  EXPECT_EQ(refusal(judged(of(third))), ErrorCode::exhausted);
  EXPECT_EQ(refusal(taken_on(of(third))), ErrorCode::exhausted);
  EXPECT_EQ(rows("replay"), 2) << "what was refused was not made";
  must(store_->transact([](store::Transaction& transaction) -> Result<void> {
    TRY(transaction.run("INSERT INTO replay_forgotten (id, forget_ms) VALUES (1, ?)", {store::column(limits_now)}));
    return {};
  }));
  const auto forgotten = judged(of(third, limits_now - limits_window));
  EXPECT_EQ(refusal(forgotten), ErrorCode::denied);
  EXPECT_TRUE(forgotten.error().message.ends_with("a clock was set back")) << forgotten.error().message;
  must(store_->transact([](store::Transaction& transaction) -> Result<void> {
    TRY(transaction.run("INSERT INTO incarnation (number, began_ms, not_before_ms, cause) VALUES (1, 0, ?, 'restored')", {store::column(limits_now - 1000)}));
    return {};
  }));
  const auto earlier = judged(of(third, limits_now - 1001));
  EXPECT_EQ(refusal(earlier), ErrorCode::denied);
  EXPECT_TRUE(earlier.error().message.ends_with("is from before the database was restored")) << earlier.error().message;
  EXPECT_EQ(must(judged(of(first))), std::nullopt) << "known is known";
}

TEST_P(ApplicationLimitsTest, ClockThatRanAheadAndWasSetBackOpensNoGap) {
  EXPECT_TRUE(must(made(1, limits_now + limits_window)));
  EXPECT_TRUE(must(made(2, limits_now + 2 * limits_window)));
  forget(limits_now + 86'400'000);  // a day ahead: everything looks old
  EXPECT_EQ(rows("replay"), 0);
  open();
  const auto again = made(1, limits_now + limits_window);
  EXPECT_EQ(refusal(again), ErrorCode::denied) << "the clock is right again, and so is the application's time";
  EXPECT_TRUE(again.error().message.contains("a clock was set back")) << again.error().message;
  EXPECT_EQ(refusal(made(3, limits_now + 2 * limits_window)), ErrorCode::denied) << "nobody can say whether this one was made before";
  EXPECT_TRUE(must(made(4, limits_now + 2 * limits_window + 1))) << "of a time of which nothing was forgotten";
}

TEST_P(ApplicationLimitsTest, WhatIsForgottenInItsTimeRefusesNothingThatIsFresh) {
  for (UnixMs at = limits_now; at < limits_now + 10'000; at += 1000) {
    EXPECT_TRUE(must(made(static_cast<std::uint8_t>(at / 1000 % 256), at + limits_window)));
    forget(at + limits_window);
  }
  forget(limits_now + 3 * limits_window);
  EXPECT_EQ(rows("replay"), 0);
  EXPECT_TRUE(must(made(200, limits_now + 4 * limits_window)));
}

TEST(BucketTest, GivesItsBurstAtOnceAndThenWhatComesBack) {
  const Rate rate{.burst = 3, .per_minute = 60};
  Bucket bucket = full(rate, limits_now);
  for (int i = 0; i < 3; ++i) {
    const auto left = draw(bucket, rate, limits_now);
    ASSERT_TRUE(left) << i;
    bucket = *left;
  }
  EXPECT_FALSE(draw(bucket, rate, limits_now));
  EXPECT_FALSE(draw(bucket, rate, limits_now + 999));
  EXPECT_TRUE(draw(bucket, rate, limits_now + 1000)) << "one a second";
  const auto later = draw(bucket, rate, limits_now + 86'400'000);
  ASSERT_TRUE(later);
  EXPECT_EQ(later->level_milli, 2000) << "never more than the burst";
}

TEST(BucketTest, JumpsOfTheClockGiveOneBurstAtMost) {
  const Rate rate{.burst = 2, .per_minute = 1};
  Bucket bucket = *draw(*draw(full(rate, limits_now), rate, limits_now), rate, limits_now);
  EXPECT_FALSE(draw(bucket, rate, limits_now - 86'400'000)) << "set back: no time has passed";
  EXPECT_FALSE(draw(bucket, rate, 0));
  const auto ahead = draw(bucket, rate, UINT64_MAX / 4);
  ASSERT_TRUE(ahead);
  EXPECT_EQ(ahead->level_milli, 1000);
}

TEST_P(ApplicationLimitsTest, RateIsEachSubscribersOwnAndHoldsAcrossARestart) {
  const Rate rate{.burst = 2, .per_minute = 6};
  must(applies("alice", rate, limits_now));
  must(applies("alice", rate, limits_now));
  const auto third = applies("alice", rate, limits_now);
  EXPECT_EQ(refusal(third), ErrorCode::exhausted);
  EXPECT_EQ(third.error().message, "alice applies more often than 6 times a minute (2 at once); apply again later");
  open();
  EXPECT_EQ(refusal(applies("alice", rate, limits_now)), ErrorCode::exhausted) << "a restart fills nothing";
  EXPECT_TRUE(applies("bob", rate, limits_now));
  EXPECT_EQ(refusal(applies("alice", rate, limits_now + 9'999)), ErrorCode::exhausted);
  EXPECT_TRUE(applies("alice", rate, limits_now + 10'000)) << "refusals have not cost anything";
}

TEST_P(ApplicationLimitsTest, FullBucketsNeedNoRow) {
  const Rate rate{.burst = 2, .per_minute = 60};
  must(applies("alice", rate, limits_now));
  const auto sweep = [&](UnixMs at) {
    must(store_->transact([&](store::Transaction& transaction) { return forget_full_buckets(transaction, rate, at); }));
  };
  sweep(limits_now + 1999);
  EXPECT_EQ(rows("application_rate"), 1);
  sweep(limits_now + 2002);
  EXPECT_EQ(rows("application_rate"), 0);
}

ChargingRecord charge_of(std::uint8_t which, UnixMs at, wire::Role leg = wire::Role::caller) {
  return {.sid_wk = SidWk(Bytes(SidWk::size, which)),
          .leg = leg,
          .sid_call = SidCall(Bytes(SidCall::size, 9)),
          .uid = Uid("alice"),
          .number = Number("+8613800000001"),
          .peer_uid = Uid("bob"),
          .peer_number = Number("+8613900000002"),
          .peer_kms = ElementName("kms-b"),
          .traffic = Traffic::gateway,
          .assurance = wire::Assurance::one_qkd_path,
          .n_paths = 1,
          .delivered_ms = at,
          .expires_ms = at + 60'000,
          .confirmed_ms = {}};
}

class ChargesTest : public ApplicationLimitsTest {
 protected:
  Result<void> add(const ChargingRecord& one) {
    return store_->transact([&](store::Transaction& transaction) { return add_charging_record(transaction, one); });
  }
  void archive(UnixMs delivered_before) {
    must(store_->transact([&](store::Transaction& transaction) { return archive_charging_records(transaction, delivered_before); }));
  }
  /// What a new check of the whole archive tells first.
  std::optional<std::string> altered() {
    ArchiveCheck check;
    for (int step = 0; step < 20; ++step) {
      if (auto found = must(check.step(*store_, limits_now))) return found;
    }
    return std::nullopt;
  }
  std::vector<ChargingRecord> list(const ChargingPlace& after, UnixMs until) {
    return must(store_->transact([&](store::Transaction& transaction) { return list_charging_records(transaction, after, until); }));
  }

  std::unique_ptr<crypto::Rng> rng_ = must(crypto::open_rng());
};

INSTANTIATE_TEST_SUITE_P(Stores, ChargesTest, test::every_store_kind, test::name_of);

TEST_P(ChargesTest, RecordComesBackAsItWentInAndOnlyOncePerLeg) {
  const ChargingRecord one = charge_of(1, limits_now);
  must(add(one));
  EXPECT_EQ(refusal(add(one)), ErrorCode::conflict);
  must(add(charge_of(1, limits_now, wire::Role::callee)));
  ChargingRecord by_directory = charge_of(2, limits_now);
  by_directory.directory_epoch = 1'700'000'000'001;
  must(add(by_directory));
  EXPECT_EQ(list({.delivered_ms = limits_now, .sid_wk = SidWk(Bytes(SidWk::size, 1)), .leg = 2}, limits_now + 1), std::vector{by_directory});
  EXPECT_TRUE(to_json(by_directory).dump().ends_with(R"(,"directory_epoch":1700000000001})"));
  must(store_->transact([&](store::Transaction& transaction) {
    return transaction.run("DELETE FROM charging_record WHERE sid_wk = ?", {by_directory.sid_wk.view()});
  }));
  open();
  EXPECT_EQ(list({.delivered_ms = limits_now, .sid_wk = {}, .leg = 0}, limits_now + 1), (std::vector{one, charge_of(1, limits_now, wire::Role::callee)}));
  must(store_->transact([&](store::Transaction& transaction) { return confirm_charging_record(transaction, one.sid_wk, one.leg, limits_now + 70); }));
  EXPECT_EQ(list({.delivered_ms = limits_now, .sid_wk = {}, .leg = 0}, limits_now + 1).front().confirmed_ms, limits_now + 70);
}

TEST_P(ChargesTest, PeriodsHaveTheirBeginningAndNotTheirEndAndPagesNeitherGapNorOverlap) {
  for (std::uint8_t i = 1; i <= 250; ++i) must(add(charge_of(i, limits_now + i / 50)));  // many of the same millisecond
  EXPECT_TRUE(list({.delivered_ms = limits_now + 6, .sid_wk = {}, .leg = 0}, limits_now + 100).empty());
  EXPECT_EQ(list({.delivered_ms = limits_now + 5, .sid_wk = {}, .leg = 0}, limits_now + 100).size(), 1U);
  EXPECT_TRUE(list({.delivered_ms = limits_now, .sid_wk = {}, .leg = 0}, limits_now).empty());
  std::vector<ChargingRecord> all;
  ChargingPlace after{.delivered_ms = limits_now, .sid_wk = {}, .leg = 0};
  for (auto page = list(after, limits_now + 100); !page.empty(); page = list(after, limits_now + 100)) {
    EXPECT_LE(std::ssize(page), charges_per_page);
    after = place_of(page.back());
    std::ranges::move(page, std::back_inserter(all));
  }
  ASSERT_EQ(all.size(), 250U);
  for (std::uint8_t i = 1; i <= 250; ++i) EXPECT_EQ(all.at(i - 1U), charge_of(i, limits_now + i / 50));
}

TEST_P(ChargesTest, AreForgottenWhenTheirTimeIsOver) {
  must(add(charge_of(1, limits_now)));
  must(add(charge_of(2, limits_now + 1)));
  must(store_->transact([&](store::Transaction& transaction) { return forget_charging_records(transaction, limits_now + 1); }));
  EXPECT_EQ(list({}, limits_now + 100), std::vector{charge_of(2, limits_now + 1)});
}

constexpr UnixMs charge_day_ms = 86'400'000;

TEST_P(ChargesTest, GoIntoTheArchiveWhenNothingChangesThemAnyMoreAndAreListedAsBefore) {
  for (std::uint8_t i = 1; i <= 6; ++i) must(add(charge_of(i, limits_now + i / 3 * charge_day_ms)));
  must(store_->transact([&](store::Transaction& transaction) { return confirm_charging_record(transaction, SidWk(Bytes(SidWk::size, 2)), wire::Role::caller, limits_now + 70); }));
  const auto before = list({}, limits_now + 10 * charge_day_ms);
  ASSERT_EQ(before.size(), 6U);
  archive(limits_now + charge_day_ms);
  EXPECT_EQ(rows("charging_archive"), 2);
  EXPECT_EQ(list({}, limits_now + 10 * charge_day_ms), before);
  EXPECT_EQ(list(place_of(before.at(1)), limits_now + 10 * charge_day_ms).size(), 4U) << "a page goes on where the last one ended";
  open();
  archive(limits_now + 9 * charge_day_ms);
  EXPECT_EQ(rows("charging_record"), 0);
  EXPECT_EQ(rows("charging_day"), 3);
  EXPECT_EQ(list({}, limits_now + 10 * charge_day_ms), before);
  EXPECT_FALSE(altered());
}

TEST_P(ChargesTest, StayWhereTheyAreWhileTheirKeyMayBeConfirmed) {
  ChargingRecord one = charge_of(1, limits_now);
  one.expires_ms = limits_now + 5 * charge_day_ms;
  must(add(one));
  archive(limits_now + 5 * charge_day_ms);
  EXPECT_EQ(rows("charging_record"), 1);
  archive(limits_now + 5 * charge_day_ms + 1);
  EXPECT_EQ(rows("charging_record"), 0);
}

TEST_P(ChargesTest, ADayOfTheArchiveGrowsAndIsStillItself) {
  must(add(charge_of(1, limits_now)));
  archive(limits_now + charge_day_ms);
  must(add(charge_of(2, limits_now - 1)));  // later, by a clock that was set back
  archive(limits_now + charge_day_ms);
  EXPECT_EQ(rows("charging_day"), 1);
  EXPECT_EQ(rows("charging_archive"), 2);
  EXPECT_FALSE(altered());
}

TEST_P(ChargesTest, WhatBecameOfTheArchiveInOtherHandsIsTold) {
  const std::vector<std::string> wrongs{"UPDATE charging_archive SET n_paths = 7 WHERE place = 1",
                                        "UPDATE charging_archive SET confirmed_ms = NULL WHERE place = 0",
                                        "UPDATE charging_archive SET sid_wk = x'00' WHERE place = 1",
                                        "DELETE FROM charging_archive WHERE place = 0",
                                        "DELETE FROM charging_archive WHERE place = 2",
                                        "UPDATE charging_archive SET place = 9 WHERE place = 2",
                                        "INSERT INTO charging_archive (day, place, sid_wk, leg, sid_call, uid, number, peer_uid, peer_number, peer_kms, traffic, assurance,"
                                        " n_paths, delivered_ms, expires_ms) SELECT day, 3, sid_wk, leg, sid_call, uid, number, peer_uid, peer_number, peer_kms, traffic,"
                                        " assurance, n_paths, delivered_ms, expires_ms FROM charging_archive WHERE place = 2"};
  UnixMs at = limits_now;
  for (const std::string& wrong : wrongs) {
    must(store_->transact([&](store::Transaction& transaction) -> Result<void> {
      TRY(transaction.run("DELETE FROM charging_archive", {}));
      TRY(transaction.run("DELETE FROM charging_day", {}));
      return {};
    }));
    for (std::uint8_t i = 1; i <= 3; ++i) {
      ChargingRecord one = charge_of(i, at + i);
      one.confirmed_ms.reset();
      must(add(one));
      must(store_->transact([&](store::Transaction& transaction) { return confirm_charging_record(transaction, one.sid_wk, one.leg, at + 9); }));
    }
    archive(at + charge_day_ms);
    EXPECT_FALSE(altered()) << wrong;
    must(store_->transact([&](store::Transaction& transaction) { return transaction.run(wrong, {}); }));
    const auto told = altered();
    ASSERT_TRUE(told) << wrong;
    EXPECT_TRUE(told->contains("table charging_archive: the records of day " + std::to_string(at / charge_day_ms))) << *told;
  }
}

TEST_P(ChargesTest, ACheckOfTheArchiveTellsOnceAndComesBackInAnHour) {
  for (std::uint8_t i = 1; i <= 2; ++i) must(add(charge_of(i, limits_now + i * charge_day_ms)));
  archive(limits_now + 9 * charge_day_ms);
  must(store_->transact([&](store::Transaction& transaction) { return transaction.run("UPDATE charging_archive SET n_paths = 7", {}); }));
  ArchiveCheck check;
  const auto steps = [&](UnixMs at) {
    int told = 0;
    for (int i = 0; i < 8; ++i) told += must(check.step(*store_, at)) ? 1 : 0;
    return told;
  };
  EXPECT_EQ(steps(limits_now), 2) << "one for each day";
  EXPECT_EQ(steps(limits_now + 7'200'000), 0) << "it has been told";
}

TEST_P(ChargesTest, GoIntoTheArchiveInAsManyTransactionsAsItTakes) {
  constexpr std::int64_t records = charges_archived_at_once + 1;
  must(store_->transact([&](store::Transaction& transaction) -> Result<void> {
    for (std::int64_t i = 0; i < records; ++i) {
      ChargingRecord one = charge_of(1, limits_now);
      Bytes sid_wk(SidWk::size, 1);
      sid_wk[0] = static_cast<std::uint8_t>(i >> 8);
      sid_wk[1] = static_cast<std::uint8_t>(i & 0xff);
      one.sid_wk = SidWk(sid_wk);
      TRY(add_charging_record(transaction, one));
    }
    return {};
  }));
  EXPECT_EQ(must(archive_charges(*store_, *rng_, limits_now + charge_day_ms)), records);
  EXPECT_EQ(rows("charging_record"), 0);
  EXPECT_EQ(rows("charging_archive"), records);
  EXPECT_FALSE(altered());
  EXPECT_EQ(must(archive_charges(*store_, *rng_, limits_now + charge_day_ms)), 0);
}

TEST_P(ChargesTest, ARowThatThisProgramDidNotWriteIsSetApartAndKeepsNoOtherFromTheArchive) {
  for (std::uint8_t i = 1; i <= 2; ++i) must(add(charge_of(i, limits_now + i)));
  must(store_->transact([&](store::Transaction& transaction) {
    return transaction.run("UPDATE charging_record SET sid_wk = x'00' WHERE delivered_ms = ?", {store::column(limits_now + 1)});
  }));
  EXPECT_EQ(must(archive_charges(*store_, *rng_, limits_now + charge_day_ms)), 1);
  EXPECT_EQ(rows("charging_record"), 1);
  EXPECT_EQ(rows("charging_altered WHERE sid_wk = x'00' AND why LIKE '%is none that this program wrote'"), 1);
  EXPECT_EQ(rows("owed_record WHERE action = 'kp.database.altered' AND outcome = 'failure'"), 1);
  EXPECT_EQ(list({}, limits_now + charge_day_ms), std::vector{charge_of(2, limits_now + 2)});
  EXPECT_EQ(must(archive_charges(*store_, *rng_, limits_now + charge_day_ms)), 0);
  EXPECT_EQ(rows("owed_record"), 1) << "once";
}

TEST_P(ChargesTest, ACheckOfTheArchiveGoesOnWhereTheProcessBeforeLeftIt) {
  for (std::uint8_t i = 1; i <= 3; ++i) must(add(charge_of(i, limits_now + i)));
  archive(limits_now + charge_day_ms);
  const auto steps = [&](int count) {
    ArchiveCheck check;
    int told = 0;
    for (int i = 0; i < count; ++i) told += must(check.step(*store_, limits_now, 1)) ? 1 : 0;  // record by record
    return told;
  };
  EXPECT_EQ(steps(2), 0);
  must(store_->transact([&](store::Transaction& transaction) { return transaction.run("UPDATE charging_archive SET n_paths = 7 WHERE place = 0", {}); }));
  EXPECT_EQ(steps(8), 0) << "it was looked at before it was changed: the next pass finds it";
  EXPECT_EQ(steps(8), 1);
}

TEST(ArchiveCheckTest, ItsPaceFollowsWhatComesIn) {
  EXPECT_EQ(ArchiveCheck::pace(0), 500);
  EXPECT_EQ(ArchiveCheck::pace(charges_batches * charges_archived_at_once), 2 * charges_batches * charges_archived_at_once);
}

TEST_P(ChargesTest, LeaveTheArchiveByWholeDays) {
  for (std::uint8_t i = 1; i <= 4; ++i) must(add(charge_of(i, limits_now + i * charge_day_ms)));
  archive(limits_now + 9 * charge_day_ms);
  must(store_->transact([&](store::Transaction& transaction) { return forget_charging_records(transaction, limits_now + 3 * charge_day_ms); }));
  EXPECT_EQ(rows("charging_archive"), 2);
  EXPECT_EQ(rows("charging_day"), 2);
  EXPECT_FALSE(altered());
}

TEST_P(ChargesTest, AreWrittenOutWithEverythingThatABillNeedsAndNoKey) {
  ChargingRecord one = charge_of(0xab, limits_now);
  EXPECT_EQ(to_json(one).dump(),
            R"({"sid_wk":")" + one.sid_wk.hex() + R"(","leg":"caller","sid_call":")" + one.sid_call.hex() +
                R"(","uid":"alice","number":"+8613800000001","peer_uid":"bob","peer_number":"+8613900000002","peer_kms":"kms-b","traffic":"gateway",)"
                R"("assurance":3,"n_paths":1,"delivered_ms":1700000000000,"expires_ms":1700000060000})");
  one.confirmed_ms = limits_now + 5;
  EXPECT_TRUE(to_json(one).dump().ends_with(R"("confirmed_ms":1700000000005})"));
}

}  // namespace
}  // namespace qanat::kms
