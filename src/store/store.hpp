// Durable state: transactions over SQLite (WAL, synchronous FULL), migrations, sealed columns. SQL stands in the element's own files,
// next to the function that runs it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.hpp"
#include "base/id.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "crypto/device.hpp"

namespace qanat::store {

/// A bound parameter. Text and blobs are copied by the database.
using Value = std::variant<std::monostate, std::int64_t, std::string_view, ByteView>;

/// A time or a count as a column's value: integers of the database are signed.
constexpr std::int64_t column(std::uint64_t value) noexcept { return static_cast<std::int64_t>(value); }

/// What a column of a row holds.
enum class ColumnType : std::uint8_t { null = 0, integer = 1, text = 2, blob = 3 };

class Row {
 public:
  virtual ~Row() = default;
  /// What a reader needs who does not know the table (guard.hpp): how many columns, and each one's name and type.
  [[nodiscard]] virtual int columns() const = 0;
  [[nodiscard]] virtual std::string name(int column) const = 0;
  [[nodiscard]] virtual ColumnType type(int column) const = 0;
  [[nodiscard]] virtual std::int64_t integer(int column) const = 0;
  [[nodiscard]] virtual std::string text(int column) const = 0;
  [[nodiscard]] virtual Bytes blob(int column) const = 0;
  [[nodiscard]] virtual bool is_null(int column) const = 0;
};

/// Inside a transaction: statements are prepared once and cached.
class Transaction {
 public:
  virtual ~Transaction() = default;
  /// Number of rows changed. `conflict` on a constraint violation, `internal` otherwise (message has the SQL, never the values).
  virtual Result<std::int64_t> run(std::string_view sql, std::span<const Value> values) = 0;
  virtual Result<void> query(std::string_view sql, std::span<const Value> values, const std::function<void(const Row&)>& each) = 0;

  Result<std::int64_t> run(std::string_view sql, std::initializer_list<Value> values) { return run(sql, std::span(values.begin(), values.size())); }
  Result<void> query(std::string_view sql, std::initializer_list<Value> values, const std::function<void(const Row&)>& each) {
    return query(sql, std::span(values.begin(), values.size()), each);
  }
};

struct Migration {
  int version;  // 1, 2, 3 …
  std::string_view sql;
};

class Store {
 public:
  /// Opens or creates, takes an exclusive process lock (a second process gets `conflict`), and runs the migrations that are missing, each in
  /// its own transaction. A database of a later version is refused.
  static Result<std::unique_ptr<Store>> open(const std::filesystem::path& file, std::span<const Migration> migrations);
  virtual ~Store() = default;

  /// Runs `work` in one transaction: committed and durable (fsync) when it returns a value, rolled back when it returns a failure.
  /// One work at a time per Store; callers queue, and those that stand in the queue become durable with one commit: each is undone by itself if it fails,
  /// and none returns before all that it may have seen is on the disk. Never call transact() from inside `work`, and never wait there for another caller.
  template <class Work>
  auto transact(Work&& work) -> decltype(work(std::declval<Transaction&>())) {
    using R = decltype(work(std::declval<Transaction&>()));
    std::optional<R> out;
    const Result<void> done = transact_erased([&](Transaction& transaction) -> Result<void> {
      out.emplace(work(transaction));
      if (!*out) return fail(out->error());
      return {};
    });
    if (!done) return fail(done.error());
    return std::move(*out);
  }
  /// What is committed by now cannot be undone by putting back an older copy of the database, once this returns. Nothing for a store without a guard (guard.hpp).
  virtual Result<void> settle() { return {}; }
  /// Callers whose work has not begun.
  [[nodiscard]] virtual std::size_t queued() const noexcept = 0;

 protected:
  virtual Result<void> transact_erased(const std::function<Result<void>(Transaction&)>& work) = 0;
};

/// The context string that binds a sealed column to its place, "kms.wk.key/<id hex>".
Bytes column_context(std::string_view table_column, ByteView row_key);

}  // namespace qanat::store
