// The databases that a test of a store runs on. A fixture derives from testing::TestWithParam<StoreKind>, has a TestStores, and its tests are TEST_P.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <memory>
#include <ostream>

#include "postgresql.hpp"
#include "store/store.hpp"

namespace qanat::test {

enum class StoreKind : std::uint8_t {
  sqlite,
  postgresql,
  repeated,  // SQLite, each work undone and run again: what PostgreSQL does where works meet
};
inline void PrintTo(StoreKind kind, std::ostream* out) {
  *out << (kind == StoreKind::sqlite ? "SQLite" : kind == StoreKind::postgresql ? "PostgreSQL" : "SQLite with every work run twice");
}
inline std::string name_of(const testing::TestParamInfo<StoreKind>& info) {
  return info.param == StoreKind::sqlite ? "Sqlite" : info.param == StoreKind::postgresql ? "Postgresql" : "Repeated";
}

/// For tests that take long and have nothing to do twice.
inline const auto both_databases = testing::Values(StoreKind::sqlite, StoreKind::postgresql);
inline const auto every_store_kind = testing::Values(StoreKind::sqlite, StoreKind::postgresql, StoreKind::repeated);

/// Runs every work once in vain. A work that fails is not run again.
class RepeatingStore final : public store::Store {
 public:
  explicit RepeatingStore(std::unique_ptr<store::Store> store) : store_(std::move(store)) {}
  [[nodiscard]] bool side_by_side() const noexcept override { return store_->side_by_side(); }
  [[nodiscard]] std::size_t queued() const noexcept override { return store_->queued(); }
  void announce(std::string_view channel) override { store_->announce(channel); }
  std::unique_ptr<store::Watch> watch(std::string_view channel) override { return store_->watch(channel); }
  Result<std::unique_ptr<Lock>> lock(std::string_view name, Deadline deadline) override { return store_->lock(name, deadline); }
  Result<void> copy_to(const std::filesystem::path& file) override { return store_->copy_to(file); }

 protected:
  Result<void> transact_erased(const std::function<Result<void>(store::Transaction&)>& work) override {
    constexpr std::string_view in_vain = "in vain";
    const auto first = store_->transact([&](store::Transaction& transaction) -> Result<void> {
      TRY(work(transaction));
      return fail(ErrorCode::internal, std::string(in_vain));
    });
    if (first.error().message != in_vain) return first;
    return store_->transact(work);
  }

 private:
  std::unique_ptr<store::Store> store_;
};

/// One database per file name, of one kind, for one test.
class TestStores {
 public:
  explicit TestStores(StoreKind kind) : kind_(kind) {}
  Result<std::unique_ptr<store::Store>> open(const std::filesystem::path& file, std::span<const store::Migration> migrations) {
    if (kind_ == StoreKind::postgresql) return store::Store::open(place(file), migrations);
    auto made = store::Store::open(file, migrations);
    if (made && kind_ == StoreKind::repeated) return std::unique_ptr<store::Store>(std::make_unique<RepeatingStore>(*std::move(made)));
    return made;
  }
  /// Of this file's stand-in.
  const store::PostgresqlPlace& place(const std::filesystem::path& file) {
    const auto found = places_.find(file);
    return found != places_.end() ? found->second : places_.emplace(file, PostgresqlCluster::instance().new_place()).first->second;
  }
  [[nodiscard]] StoreKind kind() const { return kind_; }

 private:
  StoreKind kind_;
  std::map<std::filesystem::path, store::PostgresqlPlace> places_;
};

}  // namespace qanat::test
