// A guarded database: whatever somebody else does to it is noticed at open; whatever a crash does to it is not taken for that.
#include "store/guard.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <thread>

#include "crypto/random.hpp"
#include "store/guard_anchor.hpp"
#include "store/guard_rows.hpp"
#include "temporary_directory.hpp"

namespace qanat::store {
namespace {

constexpr std::array guarded{GuardedTable{"purse", {"owner", ""}}, GuardedTable{"coin", {"owner", "number"}}};
constexpr std::array guarded_later{guarded[0], guarded[1], GuardedTable{"free_table", {"id", ""}}};
const std::string guard_sql(guard_schema);
const std::array migrations{
    Migration{1, "CREATE TABLE purse (owner TEXT PRIMARY KEY, colour TEXT, content BLOB, row_mac BLOB) STRICT;"
                 "CREATE TABLE coin (owner TEXT NOT NULL, number INTEGER NOT NULL, value INTEGER NOT NULL, row_mac BLOB, PRIMARY KEY (owner, number)) STRICT;"
                 "CREATE TABLE free_table (id INTEGER PRIMARY KEY, text TEXT, row_mac BLOB) STRICT"},
    Migration{2, guard_sql}};

class GuardTest : public testing::Test {
 protected:
  [[nodiscard]] std::filesystem::path folder() const { return directory_ / "now"; }
  void SetUp() override {
    std::filesystem::create_directories(folder());
    device_ = must(crypto::open_software_device(directory_ / "master", *rng_));
  }
  template <class T>
  static T must(Result<T> result) {
    EXPECT_TRUE(result) << result.error().message;
    return *std::move(result);
  }
  static void must(const Result<void>& result) { ASSERT_TRUE(result) << result.error().message; }

  [[nodiscard]] GuardSettings settings(const std::filesystem::path& where, std::string shard = "0") {
    return {.anchor = where / "element.anchor",
            .shard = std::move(shard),
            .tables = tables_,
            .suite = &crypto::suite(crypto::SuiteId::gm_hybrid),
            .device = device_.get(),
            .may_adopt = [this]() -> Result<void> {
              if (adopted_before_) return fail(ErrorCode::denied, "the audit record says that there was a guard");
              return {};
            }};
  }
  Result<std::unique_ptr<GuardedStore>> open_in(const std::filesystem::path& where) {
    ASSIGN_OR_RETURN(auto store, Store::open(where / "element.db", migrations));
    inner_ = store.get();
    return GuardedStore::open(std::move(store), settings(where));
  }
  std::unique_ptr<GuardedStore> open() { return must(open_in(folder())); }
  /// The refusal's text.
  std::string refused() { return refused_in(folder()); }
  std::string refused_in(const std::filesystem::path& where) {
    const auto store = open_in(where);
    EXPECT_FALSE(store) << "was opened";
    if (store) return "";
    EXPECT_EQ(store.error().code, ErrorCode::denied) << store.error().message;
    return store.error().message;
  }
  static Result<std::int64_t> run(Store& store, std::string_view sql, std::initializer_list<Value> values = {}) {
    return store.transact([&](Transaction& transaction) { return transaction.run(sql, values); });
  }
  /// What another program does with the file.
  void edit(std::string_view sql) {
    const auto store = must(Store::open(folder() / "element.db", migrations));
    EXPECT_TRUE(run(*store, sql)) << sql;
  }
  static void copy(const std::filesystem::path& from, const std::filesystem::path& to) {
    std::filesystem::remove_all(to);
    std::filesystem::copy(from, to);
  }
  void fill(Store& store) {
    for (const std::string_view owner : {"alice", "bob", "carol"}) {
      EXPECT_TRUE(run(store, "INSERT INTO purse (owner, colour, content) VALUES (?, 'red', ?)", {owner, as_bytes(owner)}));
      for (std::int64_t number = 0; number < 3; ++number) {
        EXPECT_TRUE(run(store, "INSERT INTO coin (owner, number, value) VALUES (?, ?, 10)", {owner, number}));
      }
    }
  }
  /// A database with rows that was closed in order.
  void filled() {
    const auto store = open();
    fill(*store);
    must(store->close());
  }

  test::TemporaryDirectory directory_;
  std::span<const GuardedTable> tables_ = guarded;
  std::unique_ptr<crypto::Rng> rng_ = must(crypto::open_rng());
  std::unique_ptr<crypto::CryptoDevice> device_;
  bool adopted_before_ = false;
  Store* inner_ = nullptr;  // below the one that was opened last
};

TEST_F(GuardTest, WhatThisProgramLeftIsOpenedAgain) {
  filled();
  for (int i = 0; i < 3; ++i) {
    const auto store = open();
    EXPECT_FALSE(store->after_crash());
    EXPECT_EQ(must(run(*store, "UPDATE coin SET value = value + 1 WHERE owner = ? AND number < ?", {"bob", std::int64_t{2}})), 2);
    EXPECT_EQ(must(run(*store, "UPDATE coin SET value = 5")), 9);
    EXPECT_EQ(must(run(*store, "UPDATE coin SET value = 5 WHERE owner = 'nobody'")), 0);
    EXPECT_EQ(must(run(*store, "DELETE FROM coin WHERE owner = 'carol' AND number IN (SELECT max(number) FROM coin WHERE owner = 'carol')")), 1);
    EXPECT_EQ(must(run(*store, "INSERT INTO coin (owner, number, value) VALUES ('carol', 2, 7)")), 1);
    EXPECT_EQ(must(run(*store, "INSERT OR IGNORE INTO coin (owner, number, value) VALUES ('carol', 2, 8)")), 0);
    EXPECT_EQ(must(run(*store, "UPDATE purse SET owner = 'dave' WHERE owner = 'carol'")), 1);
    EXPECT_EQ(must(run(*store, "UPDATE purse SET owner = 'carol', colour = NULL WHERE owner = 'dave'")), 1);
    must(store->close());
  }
}

TEST_F(GuardTest, AChangedColumnIsNoticedAndItsRowNamed) {
  filled();
  edit("UPDATE coin SET value = 1000 WHERE owner = 'bob' AND number = 1");
  const std::string why = refused();
  EXPECT_TRUE(why.contains("coin owner=bob, number=1: was changed")) << why;
  EXPECT_TRUE(why.contains("database-guard.md")) << why;
  edit("UPDATE coin SET value = 10 WHERE owner = 'bob' AND number = 1");
  EXPECT_TRUE(open()) << "a refusal leaves everything as it was";
}

TEST_F(GuardTest, AColumnThatBecomesNullOrMovesIsNoticed) {
  filled();
  edit("UPDATE purse SET colour = NULL WHERE owner = 'alice'");
  EXPECT_TRUE(refused().contains("purse owner=alice: was changed"));
  edit("UPDATE purse SET colour = 'red', content = NULL WHERE owner = 'alice'");
  EXPECT_TRUE(refused().contains("purse owner=alice: was changed"));
}

TEST_F(GuardTest, RowsThatWereExchangedAreNoticed) {
  filled();
  // With everything that belongs to them but the key.
  edit("UPDATE purse SET content = (SELECT content FROM purse AS other WHERE other.owner = 'bob'), "
       "row_mac = (SELECT row_mac FROM purse AS other WHERE other.owner = 'bob') WHERE owner = 'alice'");
  EXPECT_TRUE(refused().contains("purse owner=alice: was changed, or put there"));
}

TEST_F(GuardTest, ARowThatWasTakenOutIsNoticed) {
  filled();
  edit("DELETE FROM coin WHERE owner = 'bob' AND number = 1");
  EXPECT_TRUE(refused().contains("table coin: has 8 rows, this program left 9"));
}

TEST_F(GuardTest, ARowThatWasPutInIsNoticed) {
  filled();
  edit("INSERT INTO coin (owner, number, value) VALUES ('eve', 1, 10)");
  EXPECT_TRUE(refused().contains("coin owner=eve, number=1: was put in by another program"));
  edit("UPDATE coin SET row_mac = (SELECT row_mac FROM coin AS other WHERE other.owner = 'bob' AND other.number = 1) WHERE owner = 'eve'");
  EXPECT_TRUE(refused().contains("coin owner=eve, number=1: was changed, or put there"));
}

TEST_F(GuardTest, ARowOfAnotherTableIsNoticed) {
  filled();
  edit("DROP TABLE coin");
  edit("CREATE TABLE coin (owner TEXT PRIMARY KEY, number INTEGER, colour TEXT, content BLOB, row_mac BLOB) STRICT");
  EXPECT_FALSE(refused().empty());
}

TEST_F(GuardTest, ARowThatWasPutBackToWhatItWasIsNoticed) {
  filled();
  copy(folder(), directory_ / "before");
  {
    const auto store = open();
    EXPECT_TRUE(run(*store, "UPDATE coin SET value = 0 WHERE owner = 'bob' AND number = 1"));
    must(store->close());
  }
  Bytes former;  // its MAC is a true one
  {
    const auto store = must(Store::open(directory_ / "before" / "element.db", migrations));
    must(store->transact([&](Transaction& transaction) {
      return transaction.query("SELECT row_mac FROM coin WHERE owner = 'bob' AND number = 1", {}, [&](const Row& row) { former = row.blob(0); });
    }));
  }
  {
    const auto store = must(Store::open(folder() / "element.db", migrations));
    EXPECT_TRUE(run(*store, "UPDATE coin SET value = 10, row_mac = ? WHERE owner = 'bob' AND number = 1", {ByteView(former)}));
  }
  EXPECT_TRUE(refused().contains("table coin: rows were put back to what they were before"));
}

TEST_F(GuardTest, AnOlderCopyOfTheFileIsNoticed) {
  filled();
  copy(folder(), directory_ / "before");
  {
    const auto store = open();
    EXPECT_TRUE(run(*store, "DELETE FROM coin WHERE owner = 'bob' AND number = 1"));
    must(store->close());
  }
  std::filesystem::copy(directory_ / "before" / "element.db", folder() / "element.db", std::filesystem::copy_options::overwrite_existing);
  EXPECT_TRUE(refused().contains("the database is an older copy"));
}

TEST_F(GuardTest, AnOlderCopyIsNoticedAsSoonAsTheAnchorWasMovedAlsoAfterACrash) {
  {
    const auto store = open();
    fill(*store);
    copy(folder(), directory_ / "before");
    EXPECT_TRUE(run(*store, "DELETE FROM coin WHERE owner = 'bob' AND number = 1"));
    must(store->settle());
  }
  std::filesystem::copy(folder() / "element.anchor", directory_ / "before" / "element.anchor", std::filesystem::copy_options::overwrite_existing);
  EXPECT_TRUE(refused_in(directory_ / "before").contains("the database is an older copy"));
  EXPECT_TRUE(open_in(folder()));
}

TEST_F(GuardTest, WhatIsOlderThanTheAnchorWasMovedIsOpenedAsAfterACrash) {
  // The window that is left: between two settle() of a process that is killed.
  {
    const auto store = open();
    fill(*store);
    must(store->settle());
    copy(folder(), directory_ / "before");
    EXPECT_TRUE(run(*store, "DELETE FROM coin WHERE owner = 'bob' AND number = 1"));
  }
  std::filesystem::copy(folder() / "element.anchor", directory_ / "before" / "element.anchor", std::filesystem::copy_options::overwrite_existing);
  const auto store = open_in(directory_ / "before");
  ASSERT_TRUE(store) << store.error().message;
  EXPECT_TRUE((*store)->after_crash()) << "whoever opens it must let nothing live that could have been used";
}

TEST_F(GuardTest, TheStateOfAnEarlierTimeIsNotTaken) {
  filled();
  Bytes former;
  std::int64_t epoch = 0;
  {
    const auto store = open();
    must(inner_->transact([&](Transaction& transaction) {
      return transaction.query("SELECT sealed, epoch FROM guard_state", {}, [&](const Row& row) {
        former = row.blob(0);
        epoch = row.integer(1);
      });
    }));
    EXPECT_TRUE(run(*store, "DELETE FROM coin WHERE owner = 'bob' AND number = 1"));
    must(store->close());
  }
  {
    const auto store = must(Store::open(folder() / "element.db", migrations));
    EXPECT_TRUE(run(*store, "UPDATE guard_state SET sealed = ?", {ByteView(former)}));
  }
  EXPECT_TRUE(refused().contains("guard_state shard=0: was changed"));
  {
    const auto store = must(Store::open(folder() / "element.db", migrations));
    EXPECT_TRUE(run(*store, "UPDATE guard_state SET epoch = ?", {epoch}));
  }
  EXPECT_TRUE(refused().contains("the database is an older copy")) << "with its own epoch it is an older one";
}

TEST_F(GuardTest, AGuardThatWasTakenOffIsMissed) {
  filled();
  adopted_before_ = true;
  edit("DELETE FROM guard_state");
  EXPECT_TRUE(refused().contains("the database is an older copy"));
  edit("DELETE FROM guard_key");
  EXPECT_TRUE(refused().contains("there was a guard"));
  std::filesystem::remove(folder() / "element.anchor");
  EXPECT_TRUE(refused().contains("there was a guard")) << "all of it gone, as if it were an older database";
  adopted_before_ = false;
  EXPECT_TRUE(open_in(folder())) << "which is taken as it is, where nobody knows better";
}

TEST_F(GuardTest, AnAnchorThatIsGoneOrChangedIsMissed) {
  filled();
  adopted_before_ = true;
  const std::filesystem::path anchor = folder() / "element.anchor";
  const std::string text = must(read_anchor(anchor)).value();
  std::filesystem::remove(anchor);
  EXPECT_TRUE(refused().contains("is gone"));
  must(place_anchor(anchor, text.substr(0, text.size() - 2) + "\n"));
  EXPECT_TRUE(refused().contains("not one that this program wrote"));
  must(place_anchor(anchor, ""));
  EXPECT_TRUE(refused().contains("not one that this program wrote"));
  must(place_anchor(anchor, text));
  EXPECT_TRUE(open_in(folder()));
}

TEST_F(GuardTest, AnEarlierAnchorIsNotTaken) {
  filled();
  copy(folder(), directory_ / "before");
  {
    const auto store = open();
    EXPECT_TRUE(run(*store, "UPDATE coin SET value = 3"));
    must(store->close());
  }
  std::filesystem::copy(directory_ / "before" / "element.anchor", folder() / "element.anchor", std::filesystem::copy_options::overwrite_existing);
  EXPECT_TRUE(refused().contains("the anchor is older than the database"));
}

TEST_F(GuardTest, AnotherDeviceOpensNothing) {
  filled();
  const auto own = std::move(device_);
  device_ = must(crypto::open_software_device(directory_ / "other", *rng_));
  EXPECT_FALSE(refused().empty());
}

TEST_F(GuardTest, ACrashAtNoMomentLooksLikeAnAttack) {
  adopted_before_ = false;
  int moments = 0;
  const auto killed_here = [&](const char* when) {
    const std::filesystem::path there = directory_ / "killed";
    copy(folder(), there);
    Store* const running = inner_;
    const auto store = open_in(there);
    inner_ = running;
    EXPECT_TRUE(store) << when << ": " << (store ? "" : store.error().message);
    if (store) {
      EXPECT_TRUE(run(**store, "INSERT INTO purse (owner) VALUES ('afterwards')")) << when;
    }
    ++moments;
  };
  auto store = open();
  adopted_before_ = true;
  killed_here("opened the first time");
  const auto within = [&](std::string_view sql) {
    EXPECT_TRUE(store->transact([&](Transaction& transaction) -> Result<void> {
      TRY(transaction.run(sql, {}));
      killed_here("within a transaction");
      return {};
    }));
    killed_here("after a transaction");
  };
  within("INSERT INTO purse (owner, colour) VALUES ('alice', 'red')");
  within("UPDATE purse SET colour = 'blue'");
  must(store->settle());
  killed_here("settled");
  within("INSERT INTO purse (owner, colour) VALUES ('bob', 'red')");
  must(store->close());
  killed_here("closed");
  store.reset();
  store = open();
  killed_here("opened again");
  within("DELETE FROM purse WHERE owner = 'alice'");
  EXPECT_EQ(moments, 12);
}

TEST_F(GuardTest, ACrashBeforeTheRowsWereTakenInIsGoneOnWith) {
  {
    const auto store = must(Store::open(folder() / "element.db", migrations));
    EXPECT_TRUE(run(*store, "INSERT INTO purse (owner) VALUES ('alice')"));
  }
  must(open()->close());
  {
    // As after the key and the anchor, and before the rows.
    const auto store = must(Store::open(folder() / "element.db", migrations));
    EXPECT_TRUE(run(*store, "DELETE FROM guard_state"));
    EXPECT_TRUE(run(*store, "UPDATE purse SET row_mac = NULL"));
  }
  std::filesystem::remove(folder() / "element.anchor");
  EXPECT_TRUE(open_in(folder()));
}

TEST_F(GuardTest, TransactionsThatFailLeaveTheGuardAsItWas) {
  {
    const auto store = open();
    fill(*store);
    const auto failed = store->transact([&](Transaction& transaction) -> Result<void> {
      TRY(transaction.run("DELETE FROM coin", {}));
      return fail(ErrorCode::conflict, "not so");
    });
    EXPECT_FALSE(failed);
    EXPECT_FALSE(run(*store, "INSERT INTO purse (owner) VALUES ('alice')")) << "is there";
    EXPECT_TRUE(run(*store, "INSERT INTO purse (owner) VALUES ('dave')"));
    must(store->close());
  }
  EXPECT_TRUE(open_in(folder()));
}

TEST_F(GuardTest, APartOfAWorkThatIsUndoneLeavesTheGuardAsItWas) {
  {
    const auto store = open();
    fill(*store);
    must(store->transact([&](Transaction& transaction) -> Result<void> {
      TRY(transaction.run("UPDATE coin SET value = 1 WHERE owner = 'alice'", {}));
      TRY(transaction.run("SAVEPOINT part", {}));
      TRY(transaction.run("DELETE FROM coin WHERE owner = 'bob'", {}));
      TRY(transaction.run("SAVEPOINT inner_part", {}));
      TRY(transaction.run("DELETE FROM purse", {}));
      TRY(transaction.run("ROLLBACK TO part", {}));
      TRY(transaction.run("UPDATE coin SET value = 2 WHERE owner = 'carol'", {}));
      TRY(transaction.run("ROLLBACK TO part", {}));
      TRY(transaction.run("RELEASE part", {}));
      TRY(transaction.run("SAVEPOINT kept", {}));
      TRY(transaction.run("UPDATE coin SET value = 3 WHERE owner = 'carol'", {}));
      TRY(transaction.run("RELEASE kept", {}));
      return {};
    }));
    EXPECT_FALSE(store->transact([&](Transaction& transaction) { return transaction.run("ROLLBACK TO nothing", {}); }));
    must(store->close());
  }
  EXPECT_TRUE(open_in(folder()));
}

TEST_F(GuardTest, TransactionsOfManyThreadsAddUp) {
  {
    const auto store = open();
    std::vector<std::jthread> threads;
    for (std::int64_t thread = 0; thread < 4; ++thread) {
      threads.emplace_back([&, thread] {
        for (std::int64_t i = 0; i < 25; ++i) {
          EXPECT_TRUE(run(*store, "INSERT INTO coin (owner, number, value) VALUES ('many', ?, 1)", {100 * thread + i}));
          EXPECT_FALSE(run(*store, "INSERT INTO coin (owner, number, value) VALUES ('many', ?, 2)", {100 * thread + i}));
          if (i % 5 == 0) EXPECT_TRUE(run(*store, "DELETE FROM coin WHERE owner = 'many' AND number = ?", {100 * thread + i}));
        }
      });
    }
    threads.clear();
    must(store->close());
  }
  EXPECT_TRUE(open_in(folder()));
}

TEST_F(GuardTest, TwoProcessesOfOneDatabaseEachHaveTheirPart) {
  filled();
  // One after the other, since this database lets only one in at a time; their parts are apart all the same.
  const auto as_second = [&]() -> Result<std::unique_ptr<GuardedStore>> {
    ASSIGN_OR_RETURN(auto store, Store::open(folder() / "element.db", migrations));
    GuardSettings second = settings(folder(), "1");
    second.anchor = folder() / "second.anchor";
    return GuardedStore::open(std::move(store), second);
  };
  {
    const auto store = must(as_second());
    EXPECT_TRUE(run(*store, "DELETE FROM coin WHERE owner = 'bob'")) << "what the other put in";
    EXPECT_TRUE(run(*store, "INSERT INTO coin (owner, number, value) VALUES ('second', 1, 1)"));
    must(store->close());
  }
  must(open()->close());
  must(must(as_second())->close());
  edit("DELETE FROM guard_state WHERE shard = '1'");
  EXPECT_TRUE(refused().contains("table coin"));
  EXPECT_TRUE(as_second().error().message.contains("older copy"));
}

TEST_F(GuardTest, EachLaneHasItsEpochsAndItsAnchorAndTogetherTheyAreTheDatabase) {
  const auto with_lanes = [&]() -> Result<std::unique_ptr<GuardedStore>> {
    ASSIGN_OR_RETURN(auto store, Store::open(folder() / "element.db", migrations));
    GuardSettings three = settings(folder());
    three.lanes = 3;
    return GuardedStore::open(std::move(store), three);
  };
  filled();
  std::int64_t epoch = 0;
  {
    const auto store = must(with_lanes());
    epoch = store->epoch();
    std::vector<std::jthread> threads;
    for (std::int64_t thread = 0; thread < 6; ++thread) {
      threads.emplace_back([&, thread] {
        for (std::int64_t i = 0; i < 10; ++i) EXPECT_TRUE(run(*store, "INSERT INTO coin (owner, number, value) VALUES ('lane', ?, 1)", {10 * thread + i}));
      });
    }
    threads.clear();
    EXPECT_EQ(store->epoch(), epoch + 60);
    must(store->close());
  }
  {
    const auto store = with_lanes();
    ASSERT_TRUE(store) << store.error().message;
    EXPECT_FALSE((*store)->after_crash());
    EXPECT_EQ((*store)->epoch(), epoch + 60);
    must((*store)->close());
  }
  must(open()->close());  // fewer lanes: what the others did still counts
  std::filesystem::remove(folder() / "element.anchor.1");
  const auto without = with_lanes();
  ASSERT_FALSE(without);
  EXPECT_TRUE(without.error().message.contains("element.anchor.1 is gone")) << without.error().message;
}

TEST_F(GuardTest, ARowThatIsChangedUnderneathIsNoticedBeforeItIsChangedHere) {
  const auto store = open();
  fill(*store);
  EXPECT_TRUE(run(*inner_, "UPDATE coin SET value = 1000 WHERE owner = 'bob' AND number = 1"));
  for (const std::string_view sql : {"UPDATE coin SET value = value + 1 WHERE owner = 'bob'", "DELETE FROM coin WHERE owner = 'bob'"}) {
    const auto done = run(*store, sql);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, ErrorCode::denied);
    EXPECT_TRUE(done.error().message.contains("coin owner=bob, number=1: was changed")) << done.error().message;
  }
  EXPECT_TRUE(run(*store, "UPDATE coin SET value = value + 1 WHERE owner = 'alice'"));
}

TEST_F(GuardTest, AStateThatIsChangedUnderneathIsNoticedAtTheNextTransaction) {
  for (const std::string_view change : {"UPDATE guard_state SET epoch = epoch + 1", "UPDATE guard_state SET sealed = x'00'"}) {
    std::filesystem::remove_all(folder());
    std::filesystem::create_directories(folder());
    const auto store = open();
    fill(*store);
    EXPECT_TRUE(run(*inner_, change)) << change;
    const auto refused = run(*store, "UPDATE coin SET value = 11 WHERE owner = 'bob'");
    ASSERT_FALSE(refused) << change;
    EXPECT_EQ(refused.error().code, ErrorCode::denied) << change;
  }
}

TEST_F(GuardTest, ADatabaseThatGoesBackWhileItIsOpenIsNoticed) {
  const auto store = open();
  fill(*store);
  EXPECT_TRUE(run(*inner_, "UPDATE guard_state SET epoch = 1"));
  EXPECT_FALSE(run(*store, "DELETE FROM coin"));
  EXPECT_TRUE(run(*inner_, "DELETE FROM guard_state"));
  const auto done = run(*store, "DELETE FROM coin");
  ASSERT_FALSE(done);
  EXPECT_TRUE(done.error().message.contains("went back to epoch 0")) << done.error().message;
}

/// Writes down what reaches the database.
class Overheard final : public Transaction {
 public:
  explicit Overheard(Transaction& inner) : inner_(inner) {}
  Result<std::int64_t> run(std::string_view sql, std::span<const Value> values) override {
    heard_.emplace_back(sql);
    return inner_.run(sql, values);
  }
  Result<void> query(std::string_view sql, std::span<const Value> values, const std::function<void(const Row&)>& each) override {
    heard_.emplace_back(sql);
    return inner_.query(sql, values, each);
  }
  std::vector<std::string> taken() { return std::exchange(heard_, {}); }

 private:
  Transaction& inner_;
  std::vector<std::string> heard_;
};

TEST_F(GuardTest, ARowsMacIsWrittenByTheStatementThatWritesTheRow) {
  struct Case {
    std::string_view sql;
    std::size_t reads;    // before
    std::size_t changes;  // 1: the MAC went with the row
  };
  const auto store = open();
  const GuardKeys keys(crypto::suite(crypto::SuiteId::gm_hybrid), rng_->secret(32));
  const std::array tables{guarded[1], GuardedTable{"tally", {"id", ""}}};
  const auto undone = inner_->transact([&](Transaction& transaction) -> Result<void> {
    TRY(transaction.run("CREATE TABLE tally (id INTEGER PRIMARY KEY, times INTEGER NOT NULL DEFAULT 0, note TEXT, row_mac BLOB) STRICT", {}));
    Overheard overheard(transaction);
    GuardedTransaction guard(overheard, tables, keys);
    for (const Case& one : {
             Case{"INSERT INTO coin (owner, number, value) VALUES ('alice', 1, 10)", 0, 1},
             Case{"INSERT INTO coin (owner, number, value)\n  VALUES ('bob, (and) so on', -2, 10) ON CONFLICT (owner, number) DO NOTHING", 0, 1},
             Case{"INSERT OR IGNORE INTO coin (owner, number, value) VALUES ('alice', 1, 11)", 0, 1},
             Case{"INSERT INTO coin (owner, number, value) VALUES ('carol', '3', 10)", 0, 2},  // the column makes a number of it
             Case{"INSERT INTO coin (owner, number, value) VALUES ('dave', 4, 5 + 5)", 0, 2},
             Case{"INSERT INTO coin (owner, number, value) VALUES ('erin', 5, 10), ('erin', 6, 10)", 0, 3},
             Case{"INSERT INTO coin (owner, number, value) SELECT 'frank', 7, 10", 0, 2},
             Case{"INSERT INTO tally (id, times, note) VALUES (1, 0, NULL)", 0, 1},
             Case{"INSERT INTO tally (id, note) VALUES (2, 'its number is the default')", 0, 2},
             Case{"INSERT INTO tally (note) VALUES ('its name, too')", 0, 2},
             Case{"UPDATE coin SET value = 12 WHERE owner = 'alice'", 1, 1},
             Case{"UPDATE coin SET value = value + 1 WHERE owner = 'alice'", 1, 2},
             Case{"UPDATE coin SET value = 13, number = 8 WHERE owner = 'erin' AND number IN (SELECT 5)", 1, 1},
             Case{"UPDATE coin SET value = 14 WHERE owner = 'erin'", 1, 3},
             Case{"UPDATE coin SET value = 15 WHERE owner = 'nobody'", 1, 0},
             Case{"UPDATE tally SET note = 'WHERE, = and so on', times = 3 WHERE id = 1", 1, 1},
             Case{"UPDATE tally SET note = NULL WHERE id = 1", 1, 1},
             Case{"DELETE FROM coin WHERE owner = 'alice'", 0, 1},
         }) {
      TRY(guard.run(one.sql, {}));
      const std::vector<std::string> heard = overheard.taken();
      EXPECT_EQ(heard.size(), one.reads + one.changes) << one.sql;
      TRY(guard.run("UPDATE coin SET value = value", {}));  // what is there has a true MAC
      TRY(guard.run("UPDATE tally SET times = times", {}));
      (void)overheard.taken();
    }
    EXPECT_TRUE(guard.run("INSERT INTO coin (owner, number, value) VALUES (?, ?, ?)", {"grace", std::int64_t{9}, std::int64_t{10}}));
    EXPECT_EQ(overheard.taken(), std::vector<std::string>{"INSERT INTO coin (owner, number, value, row_mac) VALUES (?, ?, ?, ?) RETURNING *"});
    EXPECT_TRUE(guard.run("UPDATE coin SET value = ? WHERE owner = ? AND number = ?", {std::int64_t{11}, "grace", std::int64_t{9}}));
    EXPECT_EQ(overheard.taken().back(), "UPDATE coin SET value = ?, row_mac = ? WHERE owner = ? AND number = ? RETURNING *");
    TRY(guard.run("UPDATE coin SET value = value", {}));
    return fail(ErrorCode::conflict, "enough");
  });
  EXPECT_EQ(undone.error().message, "enough");
}

TEST_F(GuardTest, WhatTheTableCanOnlyStoreAsItIsGivenIsNotReadBack) {
  struct Case {
    std::string_view sql;
    bool certain;
  };
  const auto store = open();
  const GuardKeys keys(crypto::suite(crypto::SuiteId::gm_hybrid), rng_->secret(32));
  const std::array tables{guarded[0], guarded[1], GuardedTable{"tally", {"id", ""}}};
  must(inner_->transact([](Transaction& transaction) -> Result<void> {
    TRY(transaction.run("CREATE TABLE tally (id INTEGER PRIMARY KEY, times INTEGER NOT NULL DEFAULT 0, note TEXT, row_mac BLOB) STRICT", {}));
    return {};
  }));
  const std::vector<TableShape> shapes = shapes_of(*inner_, tables);
  ASSERT_EQ(shapes.size(), 3U);
  const auto undone = inner_->transact([&](Transaction& transaction) -> Result<void> {
    Overheard overheard(transaction);
    GuardedTransaction guard(overheard, tables, keys, shapes);
    for (const Case& one : {
             Case{"INSERT INTO coin (owner, number, value) VALUES ('alice', 1, 10)", true},
             Case{"INSERT OR IGNORE INTO coin (owner, number, value) VALUES ('alice', 1, 11)", true},
             Case{"INSERT INTO coin (owner, number, value) VALUES ('alice', 1, 11) ON CONFLICT (owner, number) DO NOTHING", true},
             Case{"INSERT INTO coin (owner, number, value) VALUES ('carol', '3', 10)", false},
             Case{"INSERT INTO purse (owner, colour) VALUES ('carol', NULL)", true},
             Case{"INSERT INTO purse (owner, colour) VALUES ('dave', 3)", false},
             Case{"INSERT INTO tally (id, times, note) VALUES (1, 0, NULL)", true},
             Case{"INSERT INTO tally (id, note) VALUES (2, 'its number is the default')", false},
             Case{"INSERT INTO tally (times, note) VALUES (2, 'its name is the next')", false},
             Case{"INSERT INTO tally (id, times) VALUES (NULL, 2)", false},
             Case{"UPDATE coin SET value = 12 WHERE owner = 'alice'", true},
             Case{"UPDATE coin SET value = '13' WHERE owner = 'alice'", false},
             Case{"UPDATE coin SET owner = 'erin', number = 4 WHERE owner = 'alice'", true},
             Case{"UPDATE purse SET colour = 'red' WHERE owner = 'carol'", true},
         }) {
      TRY(guard.run(one.sql, {}));
      EXPECT_EQ(std::ranges::none_of(overheard.taken(), [](const std::string& sql) { return sql.contains(" RETURNING "); }), one.certain) << one.sql;
      for (const std::string_view same : {"UPDATE coin SET value = value", "UPDATE purse SET owner = owner", "UPDATE tally SET times = times"}) TRY(guard.run(same, {}));
      (void)overheard.taken();
    }
    // Of what was not put in nothing is counted.
    EXPECT_EQ(guard.change().tables.at("coin").rows, 2);
    TRY(guard.run("INSERT INTO purse (owner, colour, content) VALUES (?, ?, ?)", {"frank", "blue", ByteView()}));
    EXPECT_EQ(overheard.taken(), std::vector<std::string>{"INSERT INTO purse (owner, colour, content, row_mac) VALUES (?, ?, ?, ?)"});
    EXPECT_FALSE(guard.run("INSERT INTO purse (owner) VALUES ('frank')", {})) << "is there";
    TRY(guard.run("UPDATE purse SET owner = owner", {}));
    return fail(ErrorCode::conflict, "enough");
  });
  EXPECT_EQ(undone.error().message, "enough");
}

TEST_F(GuardTest, WhateverValuesAStatementGivesItsRowsMacIsOfWhatIsStored) {
  using namespace std::string_view_literals;
  const auto store = open();
  const GuardKeys keys(crypto::suite(crypto::SuiteId::gm_hybrid), rng_->secret(32));
  const Bytes zero(3);
  for (const std::vector<TableShape>& shapes : {std::vector<TableShape>(), shapes_of(*inner_, tables_)}) {
    const auto undone = inner_->transact([&](Transaction& transaction) -> Result<void> {
      GuardedTransaction guard(transaction, tables_, keys, shapes);
      std::int64_t purses = 0;
      for (const std::string_view text : {""sv, "it's a ?, (and) = so on"sv, "a zero\0octet"sv, "\xff\xfe"sv, "NULL"sv, "7"sv}) {
        for (const ByteView content : {ByteView(), ByteView(zero)}) {
          TRY(guard.run("DELETE FROM purse WHERE owner = ?", {text}));
          TRY(guard.run("INSERT INTO purse (owner, colour, content) VALUES (?, ?, ?)", {text, text, content}));
          TRY(guard.run("UPDATE purse SET content = NULL, colour = ? WHERE owner = ?", {""sv, text}));
          TRY(guard.run("UPDATE purse SET content = ? WHERE owner = ? AND colour = ''", {content, text}));
        }
        ++purses;
      }
      for (const std::int64_t number : {INT64_MIN, std::int64_t{-1}, std::int64_t{0}, INT64_MAX}) {
        TRY(guard.run("INSERT INTO coin (owner, number, value) VALUES (?, ?, ?)", {""sv, number, number}));
        TRY(guard.run("UPDATE coin SET owner = ?, value = -9223372036854775808 WHERE number = ?", {"erin"sv, number}));
      }
      TRY(guard.run("INSERT INTO coin (owner, number, value) VALUES ('', 007, -0)", {}));
      TRY(guard.run("INSERT INTO coin (owner, number, value) VALUES ('it''s, (not) = one ?', 1, +1)", {}));
      TRY(guard.run("UPDATE coin SET owner = 'WHERE', value = 2 WHERE owner = 'it''s, (not) = one ?'", {}));
      for (const std::string_view all : {"UPDATE purse SET owner = owner", "UPDATE coin SET owner = owner"}) TRY(guard.run(all, {}));
      EXPECT_EQ(guard.change().tables.at("purse").rows, purses);
      EXPECT_EQ(guard.change().tables.at("coin").rows, 6);
      return fail(ErrorCode::conflict, "enough");
    });
    EXPECT_EQ(undone.error().message, "enough");
  }
}

TEST_F(GuardTest, WhatTheSetHashKeepsDoesNotDependOnHowAMacIsWritten) {
  const auto store = open();
  const GuardKeys keys(crypto::suite(crypto::SuiteId::gm_hybrid), rng_->secret(32));
  const auto left_by = [&](std::initializer_list<std::string_view> statements) {
    GuardState out;
    EXPECT_FALSE(inner_->transact([&](Transaction& transaction) -> Result<void> {
      GuardedTransaction guard(transaction, tables_, keys);
      for (const std::string_view sql : statements) TRY(guard.run(sql, {}));
      out = guard.change();
      return fail(ErrorCode::conflict, "enough");
    }));
    return out;
  };
  const GuardState direct = left_by({"INSERT INTO coin (owner, number, value) VALUES ('bob', 1, 7)"});
  EXPECT_EQ(direct, left_by({"INSERT INTO coin (owner, number, value) VALUES ('bob', 1, 3 + 4)"}));
  EXPECT_EQ(direct, left_by({"INSERT INTO coin (owner, number, value) VALUES ('bob', 2, 0)", "UPDATE coin SET value = 7, number = 1 WHERE owner = 'bob'"}));
  EXPECT_EQ(direct, left_by({"INSERT INTO coin (owner, number, value) VALUES ('bob', 1, 6)", "UPDATE coin SET value = value + 1 WHERE owner = 'bob'"}));
  EXPECT_NE(direct, left_by({"INSERT INTO coin (owner, number, value) VALUES ('bob', 1, 8)"}));
}

TEST_F(GuardTest, StatementsThatCannotBeFollowedAreRefused) {
  const auto store = open();
  fill(*store);
  for (const std::string_view sql :
       {"INSERT OR REPLACE INTO purse (owner) VALUES ('alice')", "INSERT INTO purse (owner) VALUES ('alice') ON CONFLICT (owner) DO UPDATE SET colour = 'x'",
        "UPDATE purse SET row_mac = NULL", "UPDATE purse SET colour = 'x' WHERE owner = ?1 OR ?1 = 'y'", "REPLACE INTO purse (owner) VALUES ('alice')",
        "WITH a AS (SELECT 1) DELETE FROM purse", "DROP TABLE purse", "ALTER TABLE purse ADD COLUMN x TEXT", "DELETE FROM \"purse\"", "DELETE FROM main.purse",
        "delete from purse", "PRAGMA user_version = 3"}) {
    const std::size_t places = static_cast<std::size_t>(std::ranges::count(sql, '?')) > 0 ? 1 : 0;
    const auto done = places == 0 ? run(*store, sql) : run(*store, sql, {"alice"});
    ASSERT_FALSE(done) << sql;
    EXPECT_EQ(done.error().code, ErrorCode::internal) << sql;
  }
  const auto queried = store->transact([](Transaction& transaction) { return transaction.query("DELETE FROM purse RETURNING *", {}, [](const Row&) {}); });
  EXPECT_FALSE(queried);
  EXPECT_TRUE(run(*store, "INSERT OR REPLACE INTO free_table (id, text) VALUES (1, 'not guarded')"));
  must(store->close());
  EXPECT_TRUE((inner_ = nullptr, true));
}

TEST_F(GuardTest, TablesThatAreNotGuardedAreAnybodys) {
  filled();
  edit("INSERT INTO free_table (id, text) VALUES (7, 'x')");
  EXPECT_TRUE(open_in(folder()));
}

TEST_F(GuardTest, AColumnThatALaterVersionAddsChangesNoMac) {
  filled();
  edit("ALTER TABLE coin ADD COLUMN minted_ms INTEGER");
  {
    const auto store = open();
    EXPECT_TRUE(run(*store, "UPDATE coin SET minted_ms = 5 WHERE owner = 'bob'"));
    must(store->close());
  }
  edit("UPDATE coin SET minted_ms = 6 WHERE owner = 'bob' AND number = 2");
  EXPECT_TRUE(refused().contains("coin owner=bob, number=2"));
}

TEST_F(GuardTest, ATableThatALaterVersionGuardsIsTakenInOnce) {
  filled();
  edit("INSERT INTO free_table (id, text) VALUES (7, 'x')");
  tables_ = guarded_later;
  must(open()->close());
  edit("UPDATE free_table SET text = 'y'");
  EXPECT_TRUE(refused().contains("free_table id=7: was changed"));
}

TEST_F(GuardTest, ATableOfManyRowsIsTakenInWhole) {
  {
    const auto before_there_were_guards = must(Store::open(folder() / "element.db", migrations));
    must(before_there_were_guards->transact([](Transaction& transaction) -> Result<void> {
      for (const std::string_view owner : {"alice", "bob", "carol"}) {
        for (std::int64_t number = 0; number < 3000; ++number) {
          TRY(transaction.run("INSERT INTO coin (owner, number, value) VALUES (?, ?, 10)", {owner, number}));
        }
      }
      return {};
    }));
  }
  must(open()->close());
  must(open()->close());  // every row has its MAC
  edit("UPDATE coin SET value = 11 WHERE owner = 'bob' AND number = 1500");
  EXPECT_TRUE(refused().contains("coin owner=bob, number=1500: was changed"));
}

TEST_F(GuardTest, TheOperatorMayTakeADatabaseAsItIs) {
  filled();
  edit("UPDATE coin SET value = 1000 WHERE owner = 'bob' AND number = 1");
  edit("DELETE FROM purse WHERE owner = 'carol'");
  adopted_before_ = true;
  EXPECT_FALSE(refused().empty());
  {
    const auto store = must(Store::open(folder() / "element.db", migrations));
    const auto findings = must(GuardedStore::accept(*store, settings(folder())));
    ASSERT_EQ(findings.size(), 1U) << "a table's first, and what is left of the others";
    EXPECT_TRUE(findings[0].contains("coin owner=bob, number=1: was changed")) << findings[0];
  }
  const auto store = open();
  EXPECT_TRUE(store->after_crash()) << "what is live in it may have been used";
  EXPECT_TRUE(run(*store, "UPDATE coin SET value = 1 WHERE owner = 'bob'"));
  must(store->close());
}

TEST_F(GuardTest, WhatGoesBeforeTheRowsAreTakenIsNotTaken) {
  filled();
  {
    const auto store = must(Store::open(folder() / "element.db", migrations));
    const auto findings = must(GuardedStore::accept(*store, settings(folder()), [](Transaction& transaction) -> Result<void> {
      TRY(transaction.run("DELETE FROM coin WHERE owner = 'bob'", {}));
      TRY(transaction.run("INSERT INTO coin (owner, number, value) VALUES ('dave', 0, 1)", {}));
      return {};
    }));
    EXPECT_TRUE(findings.empty()) << findings[0] << ": what was there before it is looked at";
    const auto failed = GuardedStore::accept(*store, settings(folder()), [](Transaction&) -> Result<void> { return fail(ErrorCode::conflict, "not now"); });
    EXPECT_FALSE(failed);
  }
  const auto store = open();
  EXPECT_EQ(must(run(*store, "UPDATE coin SET value = 2")), 7);
  must(store->close());
}

TEST_F(GuardTest, AnOlderCopyThatTheOperatorTookIsBeyondAllEpochsThatWere) {
  filled();
  copy(folder(), directory_ / "before");
  std::int64_t last = 0;
  {
    const auto store = open();
    EXPECT_TRUE(run(*store, "UPDATE coin SET value = 3"));
    last = store->epoch();
    must(store->close());
  }
  copy(folder(), directory_ / "later");
  std::filesystem::copy(directory_ / "before" / "element.db", folder() / "element.db", std::filesystem::copy_options::overwrite_existing);
  {
    const auto store = must(Store::open(folder() / "element.db", migrations));
    const auto findings = must(GuardedStore::accept(*store, settings(folder())));
    ASSERT_EQ(findings.size(), 1U);
    EXPECT_TRUE(findings[0].contains("and was at " + std::to_string(last))) << findings[0];
  }
  {
    const auto store = open();
    EXPECT_GT(store->epoch(), last);
  }
  std::filesystem::copy(directory_ / "later" / "element.db", folder() / "element.db", std::filesystem::copy_options::overwrite_existing);
  EXPECT_FALSE(refused().empty()) << "the copy that was put away does not come back";
}

TEST(GuardAnchorTest, SaysTheSameToWhoHasTheKey) {
  const auto rng = crypto::open_rng();
  ASSERT_TRUE(rng);
  const Secret key = (*rng)->secret(32);
  const Secret other = (*rng)->secret(32);
  const Anchor anchor{.floor = 17, .ceiling = 70000};
  const std::string text = write_anchor(anchor, "0", crypto::Hash::sm3, key);
  const auto parsed = parse_anchor(text, "0", crypto::Hash::sm3, key);
  ASSERT_TRUE(parsed);
  EXPECT_EQ(*parsed, anchor);
  EXPECT_FALSE(parse_anchor(text, "1", crypto::Hash::sm3, key)) << "another process's";
  EXPECT_FALSE(parse_anchor(text, "0", crypto::Hash::sm3, other));
  EXPECT_FALSE(parse_anchor(text, "0", crypto::Hash::sha256, key));
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string changed = text;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    EXPECT_FALSE(parse_anchor(changed, "0", crypto::Hash::sm3, key)) << i;
    EXPECT_FALSE(parse_anchor(text.substr(0, i), "0", crypto::Hash::sm3, key)) << i;
  }
  EXPECT_FALSE(parse_anchor(text + "x", "0", crypto::Hash::sm3, key));
  EXPECT_FALSE(parse_anchor("qanat-anchor 1 0 -1 5 00\n", "0", crypto::Hash::sm3, key));
}

}  // namespace
}  // namespace qanat::store
