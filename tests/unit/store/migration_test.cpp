#include <fstream>

#include "store_fixture.hpp"

namespace qanat::store {
namespace {

class FileMigrationTest : public StoreFixture {
 protected:
  [[nodiscard]] Error refusal(std::span<const Migration> migrations) const {
    const auto store = Store::open(file(), migrations);
    EXPECT_FALSE(store);
    return store ? Error{} : store.error();
  }
};

class MigrationTest : public StoresFixture {
 protected:
  [[nodiscard]] Error refusal(std::span<const Migration> migrations) {
    const auto store = stores_.open(file(), migrations);
    EXPECT_FALSE(store);
    return store ? Error{} : store.error();
  }
  /// What a message calls the database.
  [[nodiscard]] std::string where() { return GetParam() == test::StoreKind::postgresql ? stores_.place(file()).schema : file().string(); }
};
INSTANTIATE_TEST_SUITE_P(Stores, MigrationTest, testing::Values(test::StoreKind::sqlite, test::StoreKind::postgresql), test::name_of);

std::vector<std::int64_t> applied(Store& store) {
  std::vector<std::int64_t> out;
  EXPECT_TRUE(store.transact([&](Transaction& transaction) {
    return transaction.query("SELECT version FROM schema_version ORDER BY version", {}, [&](const Row& row) { out.push_back(row.integer(0)); });
  }));
  return out;
}

TEST_P(MigrationTest, EachRunsOnceAndInOrder) {
  // The second needs the table of the first; running either twice would fail because the table exists.
  EXPECT_EQ(applied(*open()), (std::vector<std::int64_t>{1, 2}));
  EXPECT_EQ(applied(*open()), (std::vector<std::int64_t>{1, 2}));
}

TEST_P(MigrationTest, OnlyThoseThatAreMissingRun) {
  ASSERT_TRUE(stores_.open(file(), std::span(schema).first(1)));
  EXPECT_EQ(applied(*open()), (std::vector<std::int64_t>{1, 2}));
}

TEST_P(MigrationTest, LaterVersionIsRefusedAndLeftAlone) {
  ASSERT_TRUE(open());
  const Error error = refusal(std::span(schema).first(1));
  EXPECT_EQ(error.code, ErrorCode::conflict);
  EXPECT_TRUE(error.message.contains("version 2")) << error.message;
  EXPECT_TRUE(error.message.contains(where())) << error.message;
  EXPECT_TRUE(open());
}

TEST_P(MigrationTest, FailedMigrationLeavesNothingAndNamesItself) {
  constexpr std::array broken{schema[0], Migration{2, "CREATE TABLE half (id INTEGER) STRICT; CREATE TABLE entry (id INTEGER) STRICT"}};
  const Error error = refusal(broken);
  EXPECT_EQ(error.code, ErrorCode::internal);
  EXPECT_TRUE(error.message.contains("migration 2")) << error.message;
  EXPECT_EQ(applied(*open()), (std::vector<std::int64_t>{1, 2})) << "the sound migration 2 runs afterwards";
  constexpr std::array again{schema[0], schema[1], Migration{3, "CREATE TABLE half (id INTEGER) STRICT"}};
  EXPECT_TRUE(stores_.open(file(), again)) << "table half stayed behind";
}

TEST_P(MigrationTest, TableThatIsNotStrictIsRefused) {
  constexpr std::array loose{Migration{1, "CREATE TABLE loose (id INTEGER)"}};
  EXPECT_TRUE(refusal(loose).message.contains("loose is not STRICT"));
}

TEST_P(MigrationTest, MigrationThatEndsItsTransactionIsRefused) {
  constexpr std::array ends{Migration{1, "CREATE TABLE a (id INTEGER) STRICT; COMMIT"}};
  EXPECT_TRUE(refusal(ends).message.contains("ended its own transaction"));
}

TEST_P(MigrationTest, NumbersWithAGapAreRefused) {
  constexpr std::array gap{schema[0], Migration{3, "SELECT 1"}};
  EXPECT_EQ(refusal(gap).code, ErrorCode::invalid_argument);
  constexpr std::array from_two{Migration{2, "SELECT 1"}};
  EXPECT_EQ(refusal(from_two).code, ErrorCode::invalid_argument);
}

TEST_F(FileMigrationTest, DirectoryThatDoesNotExistIsRefused) {
  const auto store = Store::open(directory_ / "missing/element.db", schema);
  ASSERT_FALSE(store);
  EXPECT_EQ(store.error().code, ErrorCode::internal);
}

TEST_F(FileMigrationTest, FileThatIsNoDatabaseIsRefused) {
  std::ofstream(file()) << std::string(8192, 'x');
  const Error error = refusal(schema);
  EXPECT_EQ(error.code, ErrorCode::internal);
  EXPECT_TRUE(error.message.contains(file().string())) << error.message;
}

TEST_F(FileMigrationTest, DamagedDatabaseIsRefused) {
  {
    const auto store = open();
    const Bytes octets(1000, 5);
    for (std::int64_t id = 0; id < 100; ++id) {
      ASSERT_TRUE(store->transact([&](Transaction& transaction) {
        return transaction.run("INSERT INTO entry (id, octets) VALUES (?, ?)", {id, ByteView(octets)});
      }));
    }
  }
  constexpr std::streamoff page = 4096;
  {
    std::fstream stream(file(), std::ios::in | std::ios::out | std::ios::binary);
    stream.seekp(12 * page);
    stream << std::string(64, '\x5a');
    ASSERT_TRUE(stream.good());
  }
  EXPECT_EQ(refusal(schema).code, ErrorCode::internal);
}

TEST_F(FileMigrationTest, SymbolicLinkIsRefused) {
  std::ofstream(directory_ / "elsewhere").close();
  std::filesystem::create_symlink(directory_ / "elsewhere", file());
  EXPECT_EQ(refusal(schema).code, ErrorCode::internal);
}

}  // namespace
}  // namespace qanat::store
