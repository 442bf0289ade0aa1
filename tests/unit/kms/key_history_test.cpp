// The archive of keys: what is over leaves the database for a file, whole and once, and its session is never used again.
#include "services/kms/kma/key_history.hpp"

#include <fstream>
#include <set>
#include <thread>

#include "services/kms/kma/incarnation.hpp"
#include "services/kms/schema.hpp"
#include "store_kinds.hpp"
#include "trusted_network.hpp"

namespace qanat::kms {
namespace {

using store::KeyState;
using test::must;
using test::refusal;
using wire::Role;

constexpr UnixMs history_now = 1'700'000'000'000;
constexpr UnixMs history_lifetime = 60'000;
constexpr UnixMs kept_ms = 3'600'000;
/// When a key that is made at history_now has left.
constexpr UnixMs over_ms = history_now + history_lifetime + kept_ms + 1;

class KeyHistoryTest : public testing::TestWithParam<test::StoreKind> {
 protected:
  KeyHistoryTest() { open(); }
  void open() {
    history_.reset();
    ledger_.reset();
    store_.reset();
    store_ = must(stores_.open(folder_ / "kms.db", migrations));
    ledger_ = std::make_unique<Ledger>(*device_);
    history_.emplace(at("", segment_octets_max));
    must(history_->open());
  }
  KeyHistory at(const std::string& front_end, std::int64_t octets_max) {
    return KeyHistory(*store_, *ledger_,
                      {.folder = folder_ / ("archive" + front_end), .kms = "kms-a", .front_end = front_end, .retention_ms = kept_ms, .octets_max = octets_max});
  }

  WorkingKey key(const SidWk& sid_wk, const SidCall& sid_call, UnixMs made) {
    return {.sid_wk = sid_wk,
            .leg = Role::caller,
            .sid_call = sid_call,
            .uid = Uid("alice"),
            .wk = rng_->secret(wire::wk_size),
            .assurance = wire::Assurance::one_qkd_path,
            .n_paths = 1,
            .path_min = 2,
            .th9 = Bytes(2, 9),
            .peer_uid = Uid("bob"),
            .peer_number = Number("+8613900000002"),
            .peer_kms = ElementName("kms-b"),
            .peer_fps = {.classical = Bytes(1, 1), .pq = Bytes(1, 2)},
            .expires_ms = made + history_lifetime,
            .terms = {}};
  }
  Result<void> add(const WorkingKey& one) {
    return store_->transact([&](store::Transaction& transaction) { return ledger_->add(transaction, one); });
  }
  SidWk destroyed(UnixMs made = history_now, std::optional<SidCall> sid_call = std::nullopt) {
    const auto sid_wk = rng_->id<SidWk>();
    must(add(key(sid_wk, sid_call.value_or(rng_->id<SidCall>()), made)));
    must(store_->transact([&](store::Transaction& transaction) -> Result<void> {
      TRY(ledger_->destroy(transaction, sid_wk, Role::caller, {.by = "alice", .why = "acknowledged", .at_ms = made + 5}));
      return {};
    }));
    return sid_wk;
  }
  /// Finished keys, each a millisecond younger than the one before.
  void put_many(int many) {
    must(store_->transact([&](store::Transaction& transaction) -> Result<void> {
      for (int i = 0; i < many; ++i) {
        Bytes sid(SidWk::size);
        sid[0] = static_cast<std::uint8_t>(i / 256);
        sid[1] = static_cast<std::uint8_t>(i % 256);
        TRY(transaction.change(
            "INSERT INTO working_key (sid_wk, leg, state, sid_call, uid, assurance, n_paths, path_min, th9, peer_uid, peer_number, peer_kms,"
            " peer_fp_classical, peer_fp_ml_dsa, expires_ms) VALUES (?, 2, 'destroyed', ?, 'alice', 3, 1, 1, x'00', 'bob', '+1', 'kms-b', x'00', x'00', ?)",
            {ByteView(sid), ByteView(sid), store::column(history_now + static_cast<UnixMs>(i))}));
      }
      return {};
    }));
  }
  KeyHistory::Moved archive(UnixMs now) { return archive(*history_, now); }
  KeyHistory::Moved archive(KeyHistory& history, UnixMs now) { return must(history.archive(now, rng_->id<OwedId>())); }
  std::vector<HistorySegment> segments() {
    return must(store_->transact([](store::Transaction& transaction) { return list_segments(transaction, 0); }));
  }
  std::vector<ArchivedKey> find(const SidWk& sid_wk) {
    return must(store_->transact([&](store::Transaction& transaction) { return find_archived(transaction, sid_wk); }));
  }
  std::int64_t rows(const std::string& table) {
    std::int64_t out = 0;
    must(store_->transact([&](store::Transaction& transaction) {
      return transaction.query("SELECT count(*) FROM " + table, {}, [&](const store::Row& row) { out = row.integer(0); });
    }));
    return out;
  }
  [[nodiscard]] std::filesystem::path file_of(const HistorySegment& segment) const {
    return folder_ / ("archive" + segment.front_end) / segment.head.file_name();
  }
  /// The lines of a segment's file, which must be what the database says of it.
  std::vector<std::string> lines_of(const HistorySegment& segment) {
    std::vector<std::string> out;
    std::ifstream in(file_of(segment), std::ios::binary);
    EXPECT_EQ(must(read_segment(in, segment.extent.octets,
                                [&](std::string_view line) -> Result<void> {
                                  out.emplace_back(line);
                                  return {};
                                })),
              segment.extent);
    EXPECT_EQ(std::ssize(out), segment.extent.records);
    return out;
  }

  test::TemporaryDirectory folder_;
  std::unique_ptr<crypto::Rng> rng_ = must(crypto::open_rng());
  std::unique_ptr<crypto::CryptoDevice> device_ = must(crypto::open_software_device(folder_ / "master", *rng_));
  test::TestStores stores_{GetParam()};
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<Ledger> ledger_;
  std::optional<KeyHistory> history_;
};

INSTANTIATE_TEST_SUITE_P(Stores, KeyHistoryTest, test::every_store_kind, test::name_of);

TEST_P(KeyHistoryTest, AKeyThatIsOverIsWrittenWithAllThatIsLeftOfItAndLeavesTheDatabase) {
  const SidWk sid_wk = destroyed();
  Bytes commitment;
  must(store_->transact([&](store::Transaction& transaction) {
    return transaction.query("SELECT commitment FROM working_key", {}, [&](const store::Row& row) { commitment = row.blob(0); });
  }));
  EXPECT_EQ(archive(over_ms).keys, 1);
  EXPECT_EQ(rows("working_key"), 0);
  ASSERT_EQ(segments().size(), 1U);
  const HistorySegment segment = segments().front();
  EXPECT_EQ(segment.head.file_name(), "keys-0-1.jsonl");
  EXPECT_EQ(segment.keys, 1);
  EXPECT_EQ(segment.until_ms, history_now + history_lifetime);
  const auto lines = lines_of(segment);
  ASSERT_EQ(lines.size(), 1U);
  const auto line = must(wire::Json::parse(std::string_view(lines.front())));
  EXPECT_EQ(must(line.text("sid_wk")), sid_wk.hex());
  EXPECT_EQ(must(line.text("leg")), "caller");
  EXPECT_EQ(must(line.text("uid")), "alice");
  EXPECT_EQ(must(line.text("peer_fp_ml_dsa")), "02");
  EXPECT_EQ(must(line.text("commitment")), to_hex(commitment));
  EXPECT_EQ(must(line.text("ended_why")), "acknowledged");
  EXPECT_EQ(must(line.integer("ended_ms")), static_cast<std::int64_t>(history_now + 5));
  for (const char* absent : {"sealed_wk", "answer", "h_req", "row_mac", "directory_epoch"}) EXPECT_FALSE(line.has(absent)) << absent;
  const auto found = find(sid_wk);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found.front().leg, Role::caller);
  EXPECT_EQ(must(line_of_segment(file_of(segment), found.front().place)), lines.front());
  EXPECT_TRUE(find(rng_->id<SidWk>()).empty());
  EXPECT_EQ(archive(over_ms).keys, 0);
}

TEST_P(KeyHistoryTest, NothingLeavesThatIsYoungOrLives) {
  (void)destroyed(history_now + 1);                                     // a millisecond too young
  must(add(key(rng_->id<SidWk>(), rng_->id<SidCall>(), history_now)));  // lives: nothing has swept it away
  EXPECT_EQ(archive(over_ms).keys, 0);
  EXPECT_EQ(rows("working_key"), 2);
  EXPECT_EQ(rows("history_segment"), 0);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "archive"));
  EXPECT_EQ(archive(over_ms + 2 * kept_ms).keys, 1) << "but for the one that lives";
  EXPECT_EQ(rows("working_key"), 1);
}

TEST_P(KeyHistoryTest, OfACallThatGoesOnTheFormerKeysLeaveAndItStaysBetweenTheSame) {
  const auto call = rng_->id<SidCall>();
  const SidWk first = destroyed(history_now, call);
  (void)destroyed(history_now + kept_ms, call);  // the key that took its place
  EXPECT_EQ(archive(over_ms).keys, 1);
  EXPECT_EQ(find(first).size(), 1U);
  WorkingKey others = key(rng_->id<SidWk>(), call, over_ms);
  others.uid = Uid("mallory");
  EXPECT_EQ(refusal(add(others)), ErrorCode::denied);
  must(add(key(rng_->id<SidWk>(), call, over_ms)));
}

TEST_P(KeyHistoryTest, ASessionThatIsInTheArchiveIsNeverUsedAgain) {
  const SidWk sid_wk = destroyed();
  EXPECT_EQ(archive(over_ms).keys, 1);
  open();
  for (const Role leg : {Role::caller, Role::callee}) {
    WorkingKey again = key(sid_wk, rng_->id<SidCall>(), over_ms);
    again.leg = leg;
    const auto refused = add(again);
    EXPECT_EQ(refusal(refused), ErrorCode::conflict);
    EXPECT_TRUE(refused.error().message.contains("this session was used before")) << refused.error().message;
  }
  must(add(key(rng_->id<SidWk>(), rng_->id<SidCall>(), over_ms)));
}

TEST_P(KeyHistoryTest, WhatComesLateFindsNothing) {
  const SidWk sid_wk = destroyed();
  EXPECT_EQ(archive(over_ms).keys, 1);
  must(store_->transact([&](store::Transaction& transaction) -> Result<void> {
    ASSIGN_OR_RETURN(const auto leg, ledger_->find(transaction, sid_wk, Role::caller));
    EXPECT_FALSE(leg) << "an acknowledgement";
    ASSIGN_OR_RETURN(const auto answer, ledger_->delivered_again(transaction, sid_wk, Role::caller, Bytes(32, 1),
                                                                 {.by = Uid("alice"), .traffic = Traffic::voice, .now_ms = over_ms}));
    EXPECT_FALSE(answer) << "the application, once more";
    return {};
  }));
}

TEST_P(KeyHistoryTest, UpToWhichTimeKeysAreArchivedIsKnownAfterARestart) {
  EXPECT_EQ(ledger_->archived_until(), 0U);
  (void)destroyed();
  (void)destroyed(history_now + 7);
  EXPECT_EQ(archive(over_ms + 100).keys, 2);
  EXPECT_EQ(ledger_->archived_until(), history_now + 7 + history_lifetime);
  open();
  EXPECT_EQ(ledger_->archived_until(), history_now + 7 + history_lifetime);
}

TEST_P(KeyHistoryTest, WhatAKilledProcessHadWrittenIsWrittenOnceAndNothingIsLost) {
  std::filesystem::create_directory(folder_ / "archive");
  std::ofstream(folder_ / "archive" / "keys-0-1.jsonl") << "of a process that was killed before the database knew of it\n";
  (void)destroyed();
  EXPECT_EQ(archive(over_ms).keys, 1);
  EXPECT_EQ(lines_of(segments().front()).size(), 1U);
  const std::filesystem::path file = file_of(segments().front());
  EXPECT_TRUE(std::filesystem::exists(file.string() + ".former-1")) << "what the database does not know of is not written over";
  const auto octets = std::filesystem::file_size(file);
  const SidWk second = destroyed(history_now + 1);
  must(store_->transact([&](store::Transaction& transaction) {
    return transaction.run("INSERT INTO used_session (sid_wk, leg, segment, place) VALUES (?, 1, 1, 1000000)", {second.view()});
  }));
  EXPECT_TRUE(find(second).empty()) << "noted, and still in the database";
  std::ofstream(file, std::ios::app) << R"({"sid_wk":")" << second.hex() << R"(","leg":"caller"})"
                                     << "\n{\"sid_wk";  // killed in the middle of the next
  EXPECT_EQ(lines_of(segments().front()).size(), 1U) << "is not of the archive";
  EXPECT_EQ(archive(over_ms + 1).keys, 1);
  EXPECT_EQ(lines_of(segments().front()).size(), 2U);
  EXPECT_EQ(std::filesystem::file_size(file), static_cast<std::uintmax_t>(segments().front().extent.octets));
  EXPECT_GT(std::filesystem::file_size(file), octets);
  ASSERT_EQ(find(second).size(), 1U);
  EXPECT_TRUE(must(line_of_segment(file, find(second).front().place)).contains(second.hex()));
}

TEST_P(KeyHistoryTest, NoKeyLeavesTheDatabaseForAFileThatSomebodyHasCut) {
  (void)destroyed();
  EXPECT_EQ(archive(over_ms).keys, 1);
  std::filesystem::resize_file(file_of(segments().front()), 10);
  (void)destroyed(history_now + 1);
  EXPECT_EQ(refusal(history_->archive(over_ms + 1, rng_->id<OwedId>())), ErrorCode::internal);
  EXPECT_EQ(rows("working_key"), 1);
  EXPECT_EQ(rows("used_session"), 1);
}

TEST_P(KeyHistoryTest, SegmentsThatAreFullAreClosedOnRecordAndAllAreOneChain) {
  KeyHistory small = at("", 1);
  for (UnixMs i = 0; i < 3; ++i) {
    (void)destroyed(history_now + i);
    const KeyHistory::Moved moved = archive(small, over_ms + i);
    EXPECT_EQ(moved.keys, 1);
    EXPECT_EQ(moved.owes, i > 0);
  }
  const auto all = segments();
  ASSERT_EQ(all.size(), 3U);
  Bytes previous;
  for (const HistorySegment& segment : all) {
    EXPECT_EQ(segment.head.previous, previous);
    EXPECT_EQ(lines_of(segment).size(), 1U);
    previous = segment.extent.digest;
  }
  EXPECT_EQ(all.back().keys, 3);
  std::vector<std::string> owed;
  must(store_->transact([&](store::Transaction& transaction) {
    owed.clear();
    return transaction.query("SELECT action, object, reason FROM owed_record ORDER BY object", {},
                             [&](const store::Row& row) { owed.push_back(row.text(0) + " " + row.text(1) + " " + row.text(2)); });
  }));
  ASSERT_EQ(owed.size(), 2U);
  EXPECT_EQ(owed.front(),
            "kp.archive.closed keys-0-1.jsonl: 1 keys, " + std::to_string(all.front().extent.octets) + " octets SHA-256 " + to_hex(all.front().extent.digest));
}

TEST_P(KeyHistoryTest, ADaysSegmentIsFollowedByAnother) {
  (void)destroyed();
  EXPECT_EQ(archive(over_ms).keys, 1);
  (void)destroyed(history_now + 1);
  EXPECT_EQ(archive(over_ms + segment_lasts_ms - 1).keys, 1);
  EXPECT_EQ(segments().size(), 1U);
  (void)destroyed(history_now + 2);
  EXPECT_EQ(archive(over_ms + segment_lasts_ms).keys, 1);
  EXPECT_EQ(segments().size(), 2U);
}

TEST_P(KeyHistoryTest, OfSeveralFrontEndsOneArchivesAtATime) {
  KeyHistory one = at("1", segment_octets_max);
  KeyHistory two = at("2", segment_octets_max);
  (void)destroyed();
  {
    const auto turn = must(store_->lock("archive of keys", Deadline::after(std::chrono::seconds(5))));
    EXPECT_EQ(archive(one, over_ms).keys, 0) << "somebody else is at it";
  }
  EXPECT_EQ(archive(one, over_ms).keys, 1);
  (void)destroyed(history_now + 1);
  EXPECT_EQ(archive(two, over_ms + 1).keys, 0) << "the segment of the first is growing";
  EXPECT_EQ(archive(one, over_ms + 1).keys, 1);
  (void)destroyed(history_now + 2);
  EXPECT_EQ(archive(two, over_ms + 1 + segment_left_after_ms).keys, 1) << "the first is gone";
  const auto all = segments();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(all[0].front_end, "1");
  EXPECT_EQ(all[1].front_end, "2");
  EXPECT_EQ(all[1].keys, 3);
  EXPECT_EQ(all[1].head.previous, all[0].extent.digest);
  EXPECT_EQ(lines_of(all[0]).size(), 2U);
  EXPECT_EQ(lines_of(all[1]).size(), 1U);
}

TEST_P(KeyHistoryTest, AFrontEndWhoseClockRanFarAheadHoldsUpNoOther) {
  KeyHistory one = at("1", segment_octets_max);
  KeyHistory two = at("2", segment_octets_max);
  (void)destroyed();
  EXPECT_EQ(archive(one, over_ms + 365 * segment_lasts_ms).keys, 1);
  (void)destroyed(history_now + 1);
  EXPECT_EQ(archive(two, over_ms + 1).keys, 1);
  EXPECT_EQ(segments().size(), 2U);
}

TEST_P(KeyHistoryTest, ANewLifeOfTheDatabaseDoesNotWriteWhereTheFormerOneHasWritten) {
  (void)destroyed();
  EXPECT_EQ(archive(over_ms).keys, 1);
  const std::filesystem::path file = file_of(segments().front());
  std::ofstream(file, std::ios::app) << "what was archived after the backup was made\n";
  const auto octets = std::filesystem::file_size(file);
  must(store_->transact([](store::Transaction& transaction) { return begin_life(transaction, over_ms, over_ms, NewLife::restored); }));
  (void)destroyed(history_now + 1);
  EXPECT_EQ(archive(over_ms + 1).keys, 1);
  ASSERT_EQ(segments().size(), 2U);
  EXPECT_EQ(segments().back().head.file_name(), "keys-1-2.jsonl");
  EXPECT_EQ(std::filesystem::file_size(file), octets);
  EXPECT_EQ(rows("used_session"), 2) << "what the archive had is still used";
}

TEST_P(KeyHistoryTest, ALookMovesABoundedNumber) {
  constexpr int many = static_cast<int>(history_at_once) + 1;
  put_many(many);
  EXPECT_EQ(archive(over_ms + many).keys, many) << "in two transactions";
  EXPECT_EQ(rows("working_key"), 0);
  ASSERT_EQ(segments().size(), 1U);
  EXPECT_EQ(std::ssize(lines_of(segments().front())), many);
  static_assert(many <= history_at_once * history_batches);
}

/// Processes on one server.
class KeyHistoryFrontEndsTest : public KeyHistoryTest {};
INSTANTIATE_TEST_SUITE_P(Stores, KeyHistoryFrontEndsTest, testing::Values(test::StoreKind::postgresql), test::name_of);

TEST_P(KeyHistoryFrontEndsTest, OfTwoThatBeginTogetherOneArchivesAndEachKeyOnce) {
  constexpr int many = 3 * static_cast<int>(history_at_once);
  put_many(many);
  const auto beside = must(store::Store::open(stores_.place(folder_ / "kms.db"), migrations));
  Ledger other(*device_);
  KeyHistory one = at("1", segment_octets_max);
  KeyHistory two(*beside, other, {.folder = folder_ / "archive2", .kms = "kms-a", .front_end = "2", .retention_ms = kept_ms});
  std::int64_t by_two = 0;
  std::thread second([&] { by_two = must(two.archive(over_ms + many, OwedId(Bytes(OwedId::size, 2)))).keys; });
  const std::int64_t by_one = must(one.archive(over_ms + many, OwedId(Bytes(OwedId::size, 1)))).keys;
  second.join();
  EXPECT_TRUE((by_one == many && by_two == 0) || (by_one == 0 && by_two == many)) << by_one << " and " << by_two;
  ASSERT_EQ(segments().size(), 1U);
  const auto lines = lines_of(segments().front());
  EXPECT_EQ(std::set<std::string>(lines.begin(), lines.end()).size(), static_cast<std::size_t>(many));
  EXPECT_EQ(rows("working_key"), 0);
  EXPECT_EQ(rows("used_session"), many);
}

}  // namespace
}  // namespace qanat::kms
