// One SQLite connection with the settings that the store promises. Private to store: elements see Store and Transaction alone.
#pragma once

#include <sqlite3.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/result.hpp"
#include "store/database.hpp"
#include "store/store.hpp"

namespace qanat::store {

/// How long a statement waits for another process that reads the file (a backup) before it fails.
inline constexpr int busy_wait_ms = 5000;
/// Prepared statements kept; an element has far fewer distinct texts of SQL.
inline constexpr std::size_t statements_cached_max = 256;
inline constexpr std::size_t sql_octets_max = 65536;

class Connection final : public Database {
 public:
  /// Opens an existing file and sets and reads back every setting. `internal` if it is no sound database.
  static Result<std::unique_ptr<Connection>> open(const std::filesystem::path& file);
  /// A second one on a file that open() has found sound: it sees what is committed, and changes nothing.
  static Result<std::unique_ptr<Connection>> open_to_look(const std::filesystem::path& file);

  Result<std::int64_t> run(std::string_view sql, std::span<const Value> values) override;
  Result<void> query(std::string_view sql, std::span<const Value> values, const std::function<void(const Row&)>& each) override;
  Result<void> run_script(std::string_view sql) override;
  Result<void> begin() override;
  Result<void> commit() override;
  void roll_back() override;
  Result<void> check_strict() override;
  /// The whole database into this empty file.
  Result<void> copy_to(const std::filesystem::path& file);
  /// False outside BEGIN … COMMIT, and also after an error upon which SQLite itself rolled back (disk full, I/O error).
  [[nodiscard]] bool in_transaction() const noexcept override { return sqlite3_get_autocommit(database_.get()) == 0; }

 private:
  struct Close {
    void operator()(sqlite3* database) const noexcept { (void)sqlite3_close_v2(database); }
  };
  struct Finalize {
    void operator()(sqlite3_stmt* statement) const noexcept { (void)sqlite3_finalize(statement); }
  };
  using StatementPointer = std::unique_ptr<sqlite3_stmt, Finalize>;
  struct Prepared {
    StatementPointer statement;
    bool lent = false;
  };
  struct TextHash {
    using is_transparent = void;
    std::size_t operator()(std::string_view text) const noexcept { return std::hash<std::string_view>()(text); }
  };
  class Lease;

  explicit Connection(sqlite3* database) : database_(database) {}
  static Result<std::unique_ptr<Connection>> open_as_set(const std::filesystem::path& file);
  Result<void> apply_settings();
  Result<void> check_integrity();
  Result<StatementPointer> prepare(std::string_view sql);
  Result<Lease> borrow(std::string_view sql);
  Result<void> bind(sqlite3_stmt* statement, std::string_view sql, std::span<const Value> values);
  [[nodiscard]] std::unexpected<Error> failure(int code, std::string_view sql) const;

  std::unique_ptr<sqlite3, Close> database_;  // before the statements: it is closed after they are finalized
  std::unordered_map<std::string, Prepared, TextHash, std::equal_to<>> prepared_;
};

}  // namespace qanat::store
