#include "store/store.hpp"

#include <sqlite3.h>
#include <sys/stat.h>

#include <atomic>
#include <fstream>
#include <stdexcept>
#include <thread>

#include "base/clock.hpp"
#include "file_size_limit.hpp"
#include "store_fixture.hpp"

namespace qanat::store {
namespace {

using SqliteStoreTest = StoreFixture;
class StoreTest : public StoresFixture {};
INSTANTIATE_TEST_SUITE_P(Stores, StoreTest, test::every_store_kind, test::name_of);
using Ids = std::vector<std::int64_t>;

TEST_P(StoreTest, KeepsWhatWasCommittedAcrossReopening) {
  ASSERT_TRUE(insert(*open(), 7));
  EXPECT_EQ(ids(*open()), Ids{7});
}

TEST_P(StoreTest, ReturnsTheValueOfTheWork) {
  const auto store = open();
  const auto one = store->transact([](Transaction& transaction) -> Result<std::unique_ptr<int>> {
    TRY(transaction.run("INSERT INTO entry (id) VALUES (1)", {}));
    return Result<std::unique_ptr<int>>(std::make_unique<int>(42));
  });
  ASSERT_TRUE(one);
  EXPECT_EQ(**one, 42);
}

TEST_P(StoreTest, RollsBackWhenTheWorkFailsAndReturnsItsFailure) {
  const auto store = open();
  const auto refused = store->transact([](Transaction& transaction) -> Result<int> {
    TRY(transaction.run("INSERT INTO entry (id) VALUES (1)", {}));
    return fail(ErrorCode::denied, "not today");
  });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error(), (Error{ErrorCode::denied, "not today"}));
  EXPECT_EQ(ids(*store), Ids{});
}

TEST_P(StoreTest, RollsBackWhenTheWorkThrowsAndLetsTheExceptionThrough) {
  const auto store = open();
  const auto throwing = [](Transaction& transaction) -> Result<void> {
    TRY(transaction.run("INSERT INTO entry (id) VALUES (1)", {}));
    throw std::runtime_error("broken work");
  };
  EXPECT_THROW((void)store->transact(throwing), std::runtime_error);
  EXPECT_EQ(ids(*store), Ids{});
  EXPECT_TRUE(insert(*store, 2));
}

TEST_P(StoreTest, SurvivesAnExceptionThrownByARowCallback) {
  const auto store = open();
  ASSERT_TRUE(insert(*store, 1));
  const auto throwing = [](Transaction& transaction) -> Result<void> {
    return transaction.query("SELECT id FROM entry", {}, [](const Row&) { throw std::runtime_error("broken callback"); });
  };
  EXPECT_THROW((void)store->transact(throwing), std::runtime_error);
  EXPECT_EQ(ids(*store), Ids{1});
}

TEST_P(StoreTest, StoresEveryKindOfValueAndReadsItBack) {
  const Bytes octets{0, 1, 255};
  const std::string label = "a'b\\\"\xc3\xa9";
  const auto done = open()->transact([&](Transaction& transaction) -> Result<void> {
    TRY(transaction.run("INSERT INTO entry (id, label, octets) VALUES (?, ?, ?)", {std::int64_t{INT64_MIN}, std::string_view(label), ByteView(octets)}));
    TRY(transaction.run("INSERT INTO entry (id, label, octets) VALUES (?, ?, ?)", {std::int64_t{1}, std::monostate{}, std::monostate{}}));
    TRY(transaction.run("INSERT INTO entry (id, label, octets) VALUES (?, ?, ?)", {std::int64_t{2}, std::string_view(), ByteView()}));
    int seen = 0;
    TRY(transaction.query("SELECT id, label, octets FROM entry ORDER BY id", {}, [&](const Row& row) {
      EXPECT_EQ(row.integer(0), seen == 0 ? INT64_MIN : seen);
      EXPECT_EQ(row.is_null(1), seen == 1);
      EXPECT_EQ(row.is_null(2), seen == 1);
      EXPECT_EQ(row.text(1), seen == 0 ? label : "");
      EXPECT_EQ(row.blob(2), seen == 0 ? octets : Bytes());
      ++seen;
    }));
    EXPECT_EQ(seen, 3);
    return {};
  });
  EXPECT_TRUE(done) << done.error().message;
}

TEST_P(StoreTest, RowTellsItsColumns) {
  const Bytes octets{1};
  const auto done = open()->transact([&](Transaction& transaction) -> Result<void> {
    TRY(transaction.run("INSERT INTO entry (id, label, octets) VALUES (?, ?, ?)", {std::int64_t{1}, std::monostate{}, ByteView(octets)}));
    return transaction.query("SELECT id, label, octets, 'text' AS said FROM entry", {}, [&](const Row& row) {
      ASSERT_EQ(row.columns(), 4);
      EXPECT_EQ(row.name(0), "id");
      EXPECT_EQ(row.name(3), "said");
      const std::array types{ColumnType::integer, ColumnType::null, ColumnType::blob, ColumnType::text};
      for (int column = 0; column < row.columns(); ++column) EXPECT_EQ(row.type(column), types.at(static_cast<std::size_t>(column)));
    });
  });
  EXPECT_TRUE(done) << done.error().message;
}

TEST_P(StoreTest, CountsTheRowsThatAStatementChanged) {
  const auto store = open();
  for (const std::int64_t id : {1, 2, 3}) ASSERT_TRUE(insert(*store, id));
  const auto counted = store->transact([](Transaction& transaction) -> Result<void> {
    EXPECT_EQ(transaction.run("UPDATE entry SET octets = x'00' WHERE id > ?", {std::int64_t{1}}).value_or(-1), 2);
    EXPECT_EQ(transaction.run("UPDATE entry SET octets = x'00' WHERE id > ?", {std::int64_t{3}}).value_or(-1), 0);
    EXPECT_EQ(transaction.run("SELECT id FROM entry", {}).value_or(-1), 0);
    return {};
  });
  EXPECT_TRUE(counted);
}

TEST_P(StoreTest, ViolatedConstraintIsAConflictThatHasTheSqlAndNoValue) {
  const auto store = open();
  constexpr std::string_view sql = "INSERT INTO entry (label) VALUES (?)";
  const auto labelled = [&](Transaction& transaction) { return transaction.run(sql, {std::string_view("private-value")}); };
  ASSERT_TRUE(store->transact(labelled));
  const auto twice = store->transact(labelled);
  ASSERT_FALSE(twice);
  EXPECT_EQ(twice.error().code, ErrorCode::conflict);
  EXPECT_TRUE(twice.error().message.contains(sql)) << twice.error().message;
  EXPECT_FALSE(twice.error().message.contains("private-value")) << twice.error().message;

  const auto orphan = store->transact([](Transaction& transaction) { return transaction.run("INSERT INTO note (entry, text) VALUES (99, '')", {}); });
  ASSERT_FALSE(orphan) << "foreign keys are off";
  EXPECT_EQ(orphan.error().code, ErrorCode::conflict);
  const auto wrong_type = store->transact([](Transaction& transaction) {
    return transaction.run("INSERT INTO entry (octets) VALUES (?)", {std::string_view("text")});
  });
  ASSERT_FALSE(wrong_type) << "the table is not STRICT";
}

TEST_P(StoreTest, WorkMayGoOnAfterAConflict) {
  const auto store = open();
  ASSERT_TRUE(insert(*store, 1));
  const auto done = store->transact([](Transaction& transaction) -> Result<void> {
    EXPECT_FALSE(transaction.run("INSERT INTO entry (id) VALUES (?)", {std::int64_t{1}}));
    TRY(transaction.run("INSERT INTO entry (id) VALUES (?)", {std::int64_t{2}}));
    return {};
  });
  EXPECT_TRUE(done);
  EXPECT_EQ(ids(*store), (Ids{1, 2}));
}

TEST_P(StoreTest, WorkMayUndoAPartOfItself) {
  const auto store = open();
  const auto done = store->transact([](Transaction& transaction) -> Result<void> {
    TRY(transaction.run("INSERT INTO entry (id) VALUES (1)", {}));
    TRY(transaction.run("SAVEPOINT part", {}));
    TRY(transaction.run("INSERT INTO entry (id) VALUES (2)", {}));
    EXPECT_FALSE(transaction.run("INSERT INTO entry (id) VALUES (1)", {}));
    TRY(transaction.run("ROLLBACK TO part", {}));
    TRY(transaction.run("RELEASE part", {}));
    TRY(transaction.run("INSERT INTO entry (id) VALUES (3)", {}));
    return {};
  });
  EXPECT_TRUE(done) << done.error().message;
  EXPECT_EQ(ids(*store), (Ids{1, 3}));
}

TEST_P(StoreTest, WrongSqlIsInternalAndHasTheSql) {
  const auto store = open();
  for (const std::string_view sql : {"SELEC 1", "SELECT nothing FROM nowhere", "SELECT 1; SELECT 2", "", "SELECT ?"}) {
    const auto refused = store->transact([&](Transaction& transaction) { return transaction.run(sql, {}); });
    ASSERT_FALSE(refused) << sql;
    EXPECT_EQ(refused.error().code, ErrorCode::internal);
    EXPECT_TRUE(refused.error().message.contains(sql));
  }
}

TEST_P(StoreTest, StatementThatEndsTheTransactionIsNotTakenForACommit) {
  const auto store = open();
  const auto refused = store->transact([](Transaction& transaction) -> Result<void> {
    TRY(transaction.run("ROLLBACK", {}));
    EXPECT_FALSE(transaction.run("INSERT INTO entry (id) VALUES (1)", {}));
    return {};
  });
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::internal);
  EXPECT_EQ(ids(*store), Ids{});
}

TEST_P(StoreTest, RowCallbackMayRunTheSameSql) {
  const auto store = open();
  for (const std::int64_t id : {1, 2, 3}) ASSERT_TRUE(insert(*store, id));
  int pairs = 0;
  const auto done = store->transact([&](Transaction& transaction) {
    pairs = 0;
    constexpr std::string_view sql = "SELECT id FROM entry";
    return transaction.query(sql, {}, [&](const Row&) { EXPECT_TRUE(transaction.query(sql, {}, [&](const Row&) { ++pairs; })); });
  });
  EXPECT_TRUE(done);
  EXPECT_EQ(pairs, 9);
}

TEST_P(StoreTest, ManyDistinctStatementsDoNotGrowTheCacheWithoutBound) {
  const auto store = open();
  const auto done = store->transact([](Transaction& transaction) -> Result<void> {
    for (int i = 0; i < 1000; ++i) {
      std::int64_t seen = -1;
      TRY(transaction.query("SELECT " + std::to_string(i), {}, [&](const Row& row) { seen = row.integer(0); }));
      EXPECT_EQ(seen, i);
    }
    return {};
  });
  EXPECT_TRUE(done);
}

TEST_P(StoreTest, EightThreadsLoseNoUpdate) {
  const auto store = open();
  ASSERT_TRUE(store->transact([](Transaction& transaction) { return transaction.run("INSERT INTO entry (id, label) VALUES (1, '0')", {}); }));
  constexpr int threads = 8;
  constexpr int rounds = 25;
  const auto count_up = [&] {
    for (int i = 0; i < rounds; ++i) {
      const auto done = store->transact([](Transaction& transaction) -> Result<void> {
        std::int64_t before = 0;
        TRY(transaction.query("SELECT CAST(label AS INTEGER) FROM entry WHERE id = 1", {}, [&](const Row& row) { before = row.integer(0); }));
        TRY(transaction.run("UPDATE entry SET label = CAST(? AS TEXT) WHERE id = 1", {before + 1}));
        return {};
      });
      EXPECT_TRUE(done);
    }
  };
  {
    std::vector<std::jthread> running;
    for (int i = 0; i < threads; ++i) running.emplace_back(count_up);
  }
  std::string label;
  ASSERT_TRUE(store->transact(
      [&](Transaction& transaction) { return transaction.query("SELECT label FROM entry", {}, [&](const Row& row) { label = row.text(0); }); }));
  EXPECT_EQ(label, std::to_string(threads * rounds));
}

/// Waits in its work until `others` more callers stand in the queue: they and it are committed together.
void await_queue(const Store& store, std::size_t others) {
  const Deadline deadline = Deadline::after(std::chrono::seconds(30));
  while (store.queued() < others) {
    ASSERT_FALSE(deadline.passed()) << "nobody came";
    std::this_thread::yield();
  }
}

TEST_F(SqliteStoreTest, WorksOfAQueueAreUndoneOneByOneAndNoneReturnsBeforeAllAreDurable) {
  auto store = open();
  std::atomic<bool> one_returned = false;
  const auto inserting = [&](std::int64_t id) {
    return [&, id](Transaction& transaction) -> Result<void> {
      EXPECT_FALSE(one_returned) << id;
      TRY(transaction.run("INSERT INTO entry (id) VALUES (?)", {id}));
      return {};
    };
  };
  std::vector<std::jthread> others;
  const auto first = store->transact([&](Transaction& transaction) -> Result<void> {
    others.emplace_back([&] {
      EXPECT_TRUE(store->transact(inserting(2)));
      one_returned = true;
    });
    others.emplace_back([&] {
      const auto refused = store->transact([&](Transaction& within) -> Result<void> {
        TRY(inserting(3)(within));
        return fail(ErrorCode::denied, "not today");
      });
      one_returned = true;
      EXPECT_EQ(refused.error(), (Error{ErrorCode::denied, "not today"}));
    });
    others.emplace_back([&] {
      const auto throwing = [&](Transaction& within) -> Result<void> {
        TRY(inserting(4)(within));
        throw std::runtime_error("broken work");
      };
      EXPECT_THROW((void)store->transact(throwing), std::runtime_error);
    });
    others.emplace_back([&] {
      // A constraint that an earlier work of the group may have met: refused by itself, the others stand.
      EXPECT_EQ(store->transact(inserting(1)).error().code, ErrorCode::conflict);
      one_returned = true;
    });
    await_queue(*store, 4);
    return inserting(1)(transaction);
  });
  one_returned = true;
  EXPECT_TRUE(first);
  others.clear();
  EXPECT_EQ(ids(*store), (Ids{1, 2}));
  store.reset();
  EXPECT_EQ(ids(*open()), (Ids{1, 2}));
}

TEST_F(SqliteStoreTest, WorksOfAQueueAreAllRefusedWhereTheirCommitFails) {
  auto store = open();
  ASSERT_TRUE(insert(*store, 1));
  const Bytes large(256 * 1024, 1);
  {
    const test::FileSizeLimit full(64 * 1024);
    std::jthread other;
    const auto first = store->transact([&](Transaction& transaction) -> Result<void> {
      other = std::jthread([&] {
        EXPECT_FALSE(store->transact([&](Transaction& within) { return within.run("INSERT INTO entry (id, octets) VALUES (3, ?)", {ByteView(large)}); }));
      });
      await_queue(*store, 1);
      TRY(transaction.run("INSERT INTO entry (id) VALUES (2)", {}));
      return {};
    });
    ASSERT_FALSE(first);
    EXPECT_EQ(first.error().code, ErrorCode::internal);
  }
  EXPECT_EQ(ids(*store), Ids{1});
  EXPECT_TRUE(insert(*store, 4));
  store.reset();
  EXPECT_EQ(ids(*open()), (Ids{1, 4}));
}

TEST_F(SqliteStoreTest, ALookIsOneQueryChangesNothingAndWaitsForNoWork) {
  const auto store = open();
  ASSERT_TRUE(insert(*store, 1));
  const auto looked = [&] {
    Ids out;
    EXPECT_TRUE(store->look([&](Transaction& transaction) {
      return transaction.query("SELECT id FROM entry ORDER BY id", {}, [&](const Row& row) { out.push_back(row.integer(0)); });
    }));
    return out;
  };
  ASSERT_TRUE(store->transact([&](Transaction& transaction) -> Result<void> {
    TRY(transaction.run("INSERT INTO entry (id) VALUES (2)", {}));
    Ids meanwhile;
    std::jthread([&] { meanwhile = looked(); }).join();
    EXPECT_EQ(meanwhile, Ids{1}) << "what is not committed is nobody's";
    return {};
  }));
  EXPECT_EQ(looked(), (Ids{1, 2}));
  const auto ask_twice = store->look([](Transaction& transaction) -> Result<void> {
    TRY(transaction.query("SELECT id FROM entry", {}, [](const Row&) {}));
    return transaction.query("SELECT id FROM entry", {}, [](const Row&) {});
  });
  const auto change = store->look([](Transaction& transaction) { return transaction.run("INSERT INTO entry (id) VALUES (3)", {}); });
  const auto change_later = store->look([](Transaction& transaction) { return transaction.change("INSERT INTO entry (id) VALUES (4)", {}); });
  const auto change_asked = store->look([](Transaction& transaction) { return transaction.query("INSERT INTO entry (id) VALUES (5) RETURNING id", {}, [](const Row&) {}); });
  ASSERT_FALSE(ask_twice || change || change_later || change_asked);
  for (const Error& error : {ask_twice.error(), change.error(), change_later.error(), change_asked.error()}) EXPECT_EQ(error.code, ErrorCode::internal) << error.message;
  EXPECT_EQ(looked(), (Ids{1, 2}));
  EXPECT_EQ(ids(*store), (Ids{1, 2}));
}

TEST_F(SqliteStoreTest, ReadingSeesOneStateFromItsFirstQueryOn) {
  const auto store = open();
  ASSERT_TRUE(insert(*store, 1));
  std::int64_t next = 2;
  const auto read = store->read([&](Transaction& transaction) -> Result<std::vector<Ids>> {
    std::vector<Ids> out(2);
    for (Ids& one : out) {
      TRY(transaction.query("SELECT id FROM entry ORDER BY id", {}, [&](const Row& row) { one.push_back(row.integer(0)); }));
      EXPECT_TRUE(insert(*store, next++)) << "nobody waits for who reads";
    }
    EXPECT_FALSE(transaction.run("DELETE FROM entry", {}));
    return out;
  });
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, (std::vector<Ids>{{1}, {1}}));
  EXPECT_EQ(ids(*store), (Ids{1, 2, 3}));
}

TEST_F(SqliteStoreTest, RunsWithTheSettingsThatMakeACommitDurable) {
  const auto done = open()->transact([](Transaction& transaction) -> Result<void> {
    const auto setting = [&](std::string_view pragma) {
      std::string answer;
      EXPECT_TRUE(transaction.query(pragma, {}, [&](const Row& row) { answer = row.text(0); }));
      return answer;
    };
    EXPECT_EQ(setting("PRAGMA journal_mode"), "wal");
    EXPECT_EQ(setting("PRAGMA synchronous"), "2");
    EXPECT_EQ(setting("PRAGMA foreign_keys"), "1");
    EXPECT_EQ(setting("PRAGMA secure_delete"), "1");
    return {};
  });
  EXPECT_TRUE(done);
}

TEST_F(SqliteStoreTest, IsCopiedWholeIntoANewFile) {
  const std::filesystem::path copy = directory_ / "copy.db";
  {
    const auto store = open();
    ASSERT_TRUE(insert(*store, 7));
    const auto copied = store->copy_to(copy);
    ASSERT_TRUE(copied) << copied.error().message;
    ASSERT_TRUE(insert(*store, 8)) << "it serves as before";
    const auto again = store->copy_to(copy);
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().code, ErrorCode::conflict) << "nothing is written over";
  }
  const auto opened = Store::open(copy, schema);
  ASSERT_TRUE(opened) << opened.error().message;
  EXPECT_EQ(ids(**opened), Ids{7});
  EXPECT_EQ(std::filesystem::status(copy).permissions(), std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

TEST_F(SqliteStoreTest, FilesAreReadableByTheirOwnerAlone) {
  std::ofstream(file()).close();
  ASSERT_EQ(::chmod(file().c_str(), 0644), 0);
  const auto store = open();
  ASSERT_TRUE(insert(*store, 1));
  for (const std::string_view suffix : {"", "-wal", "-shm", ".lock"}) {
    struct stat status {};
    ASSERT_EQ(::stat((file().string() + std::string(suffix)).c_str(), &status), 0) << suffix;
    EXPECT_EQ(status.st_mode & 07777U, 0600U) << suffix;
  }
}

TEST_F(SqliteStoreTest, FullDiskRefusesTheCommitAndKeepsWhatWasThere) {
  auto store = open();
  ASSERT_TRUE(insert(*store, 1));
  const Bytes large(256 * 1024, 1);
  {
    const test::FileSizeLimit full(64 * 1024);
    const auto refused =
        store->transact([&](Transaction& transaction) { return transaction.run("INSERT INTO entry (id, octets) VALUES (2, ?)", {ByteView(large)}); });
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::internal);
  }
  EXPECT_EQ(ids(*store), Ids{1});
  EXPECT_TRUE(insert(*store, 3)) << "goes on when there is room again";
  store.reset();
  EXPECT_EQ(ids(*open()), (Ids{1, 3}));
}

TEST_F(SqliteStoreTest, DeletedOctetsAreNotInTheFile) {
  const std::string marker = "marker-of-a-sealed-key-0123456789";
  auto store = open();
  ASSERT_TRUE(
      store->transact([&](Transaction& transaction) { return transaction.run("INSERT INTO entry (id, label) VALUES (1, ?)", {std::string_view(marker)}); }));
  ASSERT_TRUE(store->transact([&](Transaction& transaction) { return transaction.run("DELETE FROM entry", {}); }));
  store.reset();  // closing moves the log into the file and removes it
  std::ifstream stream(file(), std::ios::binary);
  const std::string content((std::istreambuf_iterator<char>(stream)), {});
  EXPECT_GT(content.size(), 0U);
  EXPECT_FALSE(content.contains(marker));
  EXPECT_FALSE(std::filesystem::exists(file().string() + "-wal"));
}

TEST_P(StoreTest, WatchIsToldWhatWasAnnouncedSinceItWasMade) {
  const auto store = open();
  const auto watch = store->watch("leg/1");
  store->announce("leg/1");
  store->announce("leg/2");
  EXPECT_TRUE(watch->wait(Deadline::after(std::chrono::seconds(5))));
  if (GetParam() != test::StoreKind::postgresql) EXPECT_FALSE(watch->wait(Deadline::after(std::chrono::milliseconds(1)))) << "told twice";
  std::jthread other([&] { store->announce("leg/1"); });
  EXPECT_TRUE(watch->wait(Deadline::after(std::chrono::seconds(5))));
  if (GetParam() != test::StoreKind::postgresql) EXPECT_FALSE(watch->wait(Deadline::after(std::chrono::milliseconds(0))));
}

TEST_P(StoreTest, ChangesThatMayWaitAreSeenByWhatFollowsAndStayWithTheCommit) {
  const auto store = open();
  std::vector<std::int64_t> seen;
  const auto done = store->transact([&](Transaction& transaction) -> Result<void> {
    seen.clear();
    {
      const std::string label = "gone by the time that it is sent";
      const Bytes octets{1, 2, 3};
      TRY(transaction.change("INSERT INTO entry (id, label, octets) VALUES (?, ?, ?)", {std::int64_t{1}, std::string_view(label), ByteView(octets)}));
      TRY(transaction.change("INSERT INTO entry (id, label, octets) VALUES (?, ?, ?)", {std::int64_t{2}, std::string_view(), ByteView()}));
    }
    TRY(transaction.query("SELECT id FROM entry ORDER BY id", {}, [&](const Row& row) { seen.push_back(row.integer(0)); }));
    TRY(transaction.change_one("UPDATE entry SET id = ? WHERE id = ?", {std::int64_t{3}, std::int64_t{2}}));
    TRY(transaction.change("UPDATE entry SET label = NULL WHERE id > ?", {std::int64_t{1000}}));
    return {};
  });
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(seen, (Ids{1, 2}));
  std::vector<std::string> kept;
  ASSERT_TRUE(store->look([&](Transaction& transaction) {
    kept.clear();
    return transaction.query("SELECT id, label, octets FROM entry ORDER BY id", {},
                             [&](const Row& row) { kept.push_back(std::to_string(row.integer(0)) + " '" + row.text(1) + "' " + to_hex(row.blob(2))); });
  }));
  EXPECT_EQ(kept, (std::vector<std::string>{"1 'gone by the time that it is sent' 010203", "3 '' "}));
}

TEST_P(StoreTest, AChangeThatFailsUndoesTheWholeWorkWhereverItsFailureComesOut) {
  const auto store = open();
  ASSERT_TRUE(insert(*store, 7));
  const auto twice = [](Transaction& transaction) -> Result<void> {
    TRY(transaction.change("INSERT INTO entry (id) VALUES (?)", {std::int64_t{8}}));
    TRY(transaction.change("INSERT INTO entry (id) VALUES (?)", {std::int64_t{7}}));
    return {};
  };
  const auto in_the_middle = [&](Transaction& transaction) -> Result<void> {
    TRY(twice(transaction));
    return transaction.query("SELECT id FROM entry", {}, [](const Row&) {});
  };
  for (const std::function<Result<void>(Transaction&)>& work :
       {std::function<Result<void>(Transaction&)>(twice), std::function<Result<void>(Transaction&)>(in_the_middle)}) {
    const auto refused = store->transact(work);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::conflict);
    EXPECT_TRUE(refused.error().message.contains("INSERT INTO entry")) << refused.error().message;
    EXPECT_EQ(ids(*store), Ids{7});
  }
  EXPECT_TRUE(insert(*store, 9)) << "the store goes on";
}

TEST_P(StoreTest, AChangeOfOneRowIsAConflictWhereAnotherNumberWasChanged) {
  const auto store = open();
  for (const std::int64_t id : {1, 2}) ASSERT_TRUE(insert(*store, id));
  for (const std::int64_t least : {1, 3}) {  // both, and none
    const auto refused = store->transact([&](Transaction& transaction) -> Result<void> {
      TRY(transaction.change("INSERT INTO entry (id) VALUES (?)", {std::int64_t{9}}));
      return transaction.change_one("UPDATE entry SET octets = x'00' WHERE id >= ? AND id < 9", {least});
    });
    ASSERT_FALSE(refused) << least;
    EXPECT_EQ(refused.error().code, ErrorCode::conflict) << refused.error().message;
    EXPECT_EQ(ids(*store), (Ids{1, 2}));
  }
  EXPECT_TRUE(
      store->transact([](Transaction& transaction) { return transaction.change_one("UPDATE entry SET octets = x'00' WHERE id = ?", {std::int64_t{2}}); }));
}

TEST_P(StoreTest, MoreChangesThanCanWaitAllHappen) {
  constexpr std::int64_t many = 100;
  const auto store = open();
  ASSERT_TRUE(store->transact([&](Transaction& transaction) -> Result<void> {
    for (std::int64_t id = 0; id < many; ++id) TRY(transaction.change("INSERT INTO entry (id) VALUES (?)", {id}));
    return {};
  }));
  EXPECT_EQ(ids(*store).size(), static_cast<std::size_t>(many));
}

TEST_P(StoreTest, WhatWaitsIsUndoneWithAWorkThatFails) {
  const auto store = open();
  EXPECT_FALSE(store->transact([](Transaction& transaction) -> Result<void> {
    TRY(transaction.change("INSERT INTO entry (id) VALUES (?)", {std::int64_t{1}}));
    return fail(ErrorCode::denied, "not today");
  }));
  ASSERT_TRUE(insert(*store, 2));
  EXPECT_EQ(ids(*store), Ids{2});
}

class StoreDeathTest : public StoresFixture {};
INSTANTIATE_TEST_SUITE_P(Stores, StoreDeathTest, testing::Values(test::StoreKind::sqlite, test::StoreKind::postgresql), test::name_of);
TEST_P(StoreDeathTest, TransactInsideItsOwnWorkStopsTheProcess) {
  const auto store = open();
  EXPECT_DEATH((void)store->transact([&](Transaction&) { return insert(*store, 1); }), "CHECK");
}

TEST_P(StoreDeathTest, LookingInsideAWorkOrALookStopsTheProcess) {
  const auto store = open();
  const auto nothing = [](Transaction&) -> Result<void> { return {}; };
  EXPECT_DEATH((void)store->transact([&](Transaction&) { return store->read(nothing); }), "CHECK");
  EXPECT_DEATH((void)store->look([&](Transaction&) { return store->look(nothing); }), "CHECK");
  EXPECT_DEATH((void)store->read([&](Transaction&) { return store->look(nothing); }), "CHECK");
}

TEST(ColumnContextTest, NamesTheColumnAndTheRow) {
  const Bytes id{0x0a, 0xff};
  EXPECT_EQ(as_text(column_context("kms.wk.key", id)), "kms.wk.key/0aff");
  EXPECT_NE(column_context("kms.wk.key", Bytes{1}), column_context("kms.wk.key", Bytes{2}));
  EXPECT_NE(column_context("kms.wk.key", Bytes{1}), column_context("qkm.key.octets", Bytes{1}));
}

}  // namespace
}  // namespace qanat::store
