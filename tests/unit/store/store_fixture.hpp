// What the store's tests share: a file in a directory of its own, or a schema of a PostgreSQL server, and a small schema of tables.
#pragma once

#include <gtest/gtest.h>

#include <array>

#include "store/store.hpp"
#include "store_kinds.hpp"
#include "temporary_directory.hpp"

namespace qanat::store {

inline constexpr std::array schema{
    Migration{1, "CREATE TABLE entry (id INTEGER PRIMARY KEY, label TEXT UNIQUE, octets BLOB) STRICT"},
    Migration{2, "CREATE TABLE note (entry INTEGER NOT NULL REFERENCES entry (id), text TEXT NOT NULL) STRICT"},
};

/// What holds of files alone.
class StoreFixture : public testing::Test {
 protected:
  [[nodiscard]] std::filesystem::path file() const { return directory_ / "element.db"; }
  [[nodiscard]] std::unique_ptr<Store> open() const {
    auto store = Store::open(file(), schema);
    EXPECT_TRUE(store) << store.error().message;
    return store ? std::move(*store) : nullptr;
  }
  test::TemporaryDirectory directory_;
};

/// What holds of every store.
class StoresFixture : public testing::TestWithParam<test::StoreKind> {
 protected:
  [[nodiscard]] std::filesystem::path file() const { return directory_ / "element.db"; }
  [[nodiscard]] std::unique_ptr<Store> open() {
    auto store = stores_.open(file(), schema);
    EXPECT_TRUE(store) << store.error().message;
    return store ? std::move(*store) : nullptr;
  }
  test::TemporaryDirectory directory_;
  test::TestStores stores_{GetParam()};
};

inline Result<void> insert(Store& store, std::int64_t id) {
  return store.transact([&](Transaction& transaction) -> Result<void> {
    TRY(transaction.run("INSERT INTO entry (id) VALUES (?)", {id}));
    return {};
  });
}

inline std::vector<std::int64_t> ids(Store& store) {
  std::vector<std::int64_t> out;
  const auto done = store.transact([&](Transaction& transaction) {
    out.clear();
    return transaction.query("SELECT id FROM entry ORDER BY id", {}, [&](const Row& row) { out.push_back(row.integer(0)); });
  });
  EXPECT_TRUE(done) << done.error().message;
  return out;
}

}  // namespace qanat::store
