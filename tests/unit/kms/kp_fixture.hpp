// What KP's tests share: a node, its database as KP keeps it, and pool keys.
#pragma once

#include <fstream>

#include "kms_core.hpp"
#include "services/kms/kp/database.hpp"
#include "services/kms/kp/encryption_pairs.hpp"
#include "services/kms/schema.hpp"
#include "store_kinds.hpp"

namespace qanat::kms {

class KpFixture : public testing::Test {
 protected:
  void SetUp() override { open(); }
  /// SQLite: guarded, as KP keeps it. Others: as they are.
  [[nodiscard]] virtual test::StoreKind kind() const { return test::StoreKind::sqlite; }
  /// As after a restart in order.
  void open() {
    close();
    open_after_kill();
  }
  /// As after kill -9.
  void open_after_kill() {
    forget_database();
    node_.reset();
    node_ = network_.open_node(kms_id, {});
    if (kind() == test::StoreKind::sqlite) {
      take(must(open_database(*node_)));
    } else {
      if (!stores_) stores_.emplace(kind());
      store_ = must(stores_->open(state() / "kms.db", migrations));
    }
    open_keys();
  }
  void take(std::unique_ptr<store::GuardedStore> guarded) {
    guard_ = guarded.get();
    store_ = std::move(guarded);
  }
  void forget_database() {
    pairs_.reset();
    keys_.reset();
    guard_ = nullptr;
    store_.reset();
  }
  void open_keys() {
    keys_ = must(PoolKeys::open({.store = *store_, .device = node_->device(), .suite = node_->suite(), .lifetime = lifetime}, now()));
    pairs_.emplace(*node_, *store_, *keys_, [this] { return policy_; });
  }
  void close() {
    if (guard_ != nullptr) must(guard_->close());
  }
  [[nodiscard]] UnixMs now() const { return node_->clock().now_ms(); }
  [[nodiscard]] std::filesystem::path state() const { return network_.state_of(kms_id); }

  Result<std::int64_t> run(std::string_view sql, std::initializer_list<store::Value> values = {}) {
    return store_->transact([&](store::Transaction& transaction) { return transaction.run(sql, values); });
  }
  std::int64_t number(std::string_view sql) {
    std::int64_t out = -1;
    must(store_->transact([&](store::Transaction& transaction) {
      return transaction.query(sql, {}, [&](const store::Row& row) { out = row.integer(0); });
    }));
    return out;
  }
  Bytes blob(std::string_view sql) {
    Bytes out;
    must(store_->transact([&](store::Transaction& transaction) {
      return transaction.query(sql, {}, [&](const store::Row& row) {
        if (!row.is_null(0)) out = row.blob(0);
      });
    }));
    return out;
  }
  /// What another program does with the file while the KMS is down.
  void edit(std::string_view sql) {
    close();
    forget_database();
    const auto raw = must(store::Store::open(state() / "kms.db", migrations));
    EXPECT_TRUE(raw->transact([&](store::Transaction& transaction) { return transaction.run(sql, {}); })) << sql;
  }

  static constexpr std::chrono::milliseconds lifetime = std::chrono::hours(24);
  HistoryPolicy policy_ = HistoryPolicy::none;
  test::TrustedNetwork network_;
  std::unique_ptr<node::Node> node_;
  std::optional<test::TestStores> stores_;
  std::unique_ptr<store::Store> store_;
  store::GuardedStore* guard_ = nullptr;  // the same, where it is guarded
  std::unique_ptr<PoolKeys> keys_;
  std::optional<EncryptionPairs> pairs_;
};

/// As KP keeps the database, and with the way that another program has to it while the KMS runs.
class UnderneathFixture : public KpFixture {
 protected:
  void SetUp() override {
    KpFixture::SetUp();
    close();
    forget_database();
    auto plain = must(store::Store::open(state() / "kms.db", migrations));
    underneath_ = plain.get();
    take(must(store::GuardedStore::open(
        std::move(plain),
        {.anchor = state() / "kms.anchor", .tables = guarded_tables, .suite = &node_->suite(), .device = &node_->device(), .may_adopt = {}})));
    open_keys();
  }
  std::int64_t run_underneath(std::string_view sql, std::initializer_list<store::Value> values = {}) {
    return must(underneath_->transact([&](store::Transaction& transaction) { return transaction.run(sql, values); }));
  }
  /// Lines of the audit record that have both.
  int recorded(std::string_view action, std::string_view what) {
    std::ifstream in(state() / "audit.jsonl");
    int out = 0;
    for (std::string line; std::getline(in, line);) out += line.contains(action) && line.contains(what) ? 1 : 0;
    return out;
  }

  store::Store* underneath_ = nullptr;
};

/// The same on every database.
class KpStoresFixture : public KpFixture, public testing::WithParamInterface<test::StoreKind> {
 protected:
  [[nodiscard]] test::StoreKind kind() const override { return GetParam(); }
};

}  // namespace qanat::kms
