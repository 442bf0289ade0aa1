#include "store/connection.hpp"

#include <array>
#include <utility>

#include "store/store.hpp"

namespace qanat::store {
namespace {

/// What every connection is set to, and what SQLite must answer when asked: a build without the feature ignores the pragma silently.
struct Setting {
  std::string_view set;
  std::string_view ask;
  std::string_view answer;
};
constexpr std::array settings{
    Setting{"PRAGMA journal_mode = WAL", "PRAGMA journal_mode", "wal"},
    Setting{"PRAGMA synchronous = FULL", "PRAGMA synchronous", "2"},  // the log is fsynced at each commit
    Setting{"PRAGMA foreign_keys = ON", "PRAGMA foreign_keys", "1"},
    Setting{"PRAGMA secure_delete = ON", "PRAGMA secure_delete", "1"},     // deleted rows are overwritten with zeros
    Setting{"PRAGMA trusted_schema = OFF", "PRAGMA trusted_schema", "0"},  // an altered schema cannot call functions with side effects
    Setting{"PRAGMA cell_size_check = ON", "PRAGMA cell_size_check", "1"},
    Setting{"PRAGMA cache_size = -32768", "PRAGMA cache_size", "-32768"},  // KiB: the rows in use stay in memory
    Setting{"PRAGMA wal_autocheckpoint = 4000", "PRAGMA wal_autocheckpoint", "4000"},  // pages: what is written again and again goes into the file once
    Setting{"PRAGMA temp_store = MEMORY", "PRAGMA temp_store", "2"},  // nothing spills into files outside our directory
};

constexpr int primary_code(int code) { return code & 0xFF; }

bool is_blank(std::string_view text) { return text.find_first_not_of(" \t\r\n;") == std::string_view::npos; }

class StatementRow final : public Row {
 public:
  explicit StatementRow(sqlite3_stmt* statement) : statement_(statement) {}
  [[nodiscard]] int columns() const override { return sqlite3_column_count(statement_); }
  [[nodiscard]] std::string name(int column) const override { return sqlite3_column_name(statement_, column); }
  [[nodiscard]] ColumnType type(int column) const override {
    switch (sqlite3_column_type(statement_, column)) {
      case SQLITE_INTEGER:
        return ColumnType::integer;
      case SQLITE_TEXT:
        return ColumnType::text;
      case SQLITE_NULL:
        return ColumnType::null;
      default:
        return ColumnType::blob;  // no column of a STRICT table of ours is REAL
    }
  }
  [[nodiscard]] std::int64_t integer(int column) const override { return sqlite3_column_int64(statement_, column); }
  [[nodiscard]] std::string text(int column) const override {
    const unsigned char* start = sqlite3_column_text(statement_, column);
    return start == nullptr ? std::string() : std::string(reinterpret_cast<const char*>(start), size(column));
  }
  [[nodiscard]] Bytes blob(int column) const override {
    const auto* start = static_cast<const std::uint8_t*>(sqlite3_column_blob(statement_, column));
    return start == nullptr ? Bytes() : Bytes(start, start + size(column));
  }
  [[nodiscard]] bool is_null(int column) const override { return sqlite3_column_type(statement_, column) == SQLITE_NULL; }

 private:
  [[nodiscard]] std::size_t size(int column) const { return static_cast<std::size_t>(sqlite3_column_bytes(statement_, column)); }
  sqlite3_stmt* statement_;
};

int bind_value(sqlite3_stmt* statement, int at, const Value& value) {
  if (std::holds_alternative<std::monostate>(value)) return sqlite3_bind_null(statement, at);
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return sqlite3_bind_int64(statement, at, *integer);
  // SQLITE_STATIC: the values outlive the call and the bindings are cleared before it returns, so that no second copy of them is made.
  if (const auto* text = std::get_if<std::string_view>(&value)) {
    return sqlite3_bind_text64(statement, at, text->data() == nullptr ? "" : text->data(), text->size(), SQLITE_STATIC, SQLITE_UTF8);
  }
  const ByteView octets = std::get<ByteView>(value);
  if (octets.empty()) return sqlite3_bind_zeroblob(statement, at, 0);  // a null pointer would bind NULL
  return sqlite3_bind_blob64(statement, at, octets.data(), octets.size(), SQLITE_STATIC);
}

}  // namespace

/// A statement in use: given back reset and without values, whichever way its user leaves. A statement that is lent already (a query whose
/// row callback runs the same SQL) is prepared a second time and dropped afterwards.
class Connection::Lease {
 public:
  explicit Lease(Prepared* cached) : cached_(cached), statement_(cached->statement.get()) { cached_->lent = true; }
  explicit Lease(StatementPointer owned) : owned_(std::move(owned)), statement_(owned_.get()) {}
  Lease(Lease&& other) noexcept
      : cached_(std::exchange(other.cached_, nullptr)), owned_(std::move(other.owned_)), statement_(std::exchange(other.statement_, nullptr)) {}
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  Lease& operator=(Lease&&) = delete;
  ~Lease() {
    if (cached_ == nullptr) return;
    (void)sqlite3_reset(statement_);
    (void)sqlite3_clear_bindings(statement_);
    cached_->lent = false;
  }
  [[nodiscard]] sqlite3_stmt* get() const noexcept { return statement_; }

 private:
  Prepared* cached_ = nullptr;
  StatementPointer owned_;
  sqlite3_stmt* statement_;
};

Result<std::unique_ptr<Connection>> Connection::open_as_set(const std::filesystem::path& file) {
  sqlite3* database = nullptr;
  constexpr int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_EXRESCODE;
  const int code = sqlite3_open_v2(file.c_str(), &database, flags, nullptr);
  std::unique_ptr<Connection> connection(new Connection(database));  // also after a failure SQLite hands out what must be closed
  if (code != SQLITE_OK) return fail(ErrorCode::internal, std::string("open: ") + sqlite3_errstr(code));
  (void)sqlite3_busy_timeout(database, busy_wait_ms);
  (void)sqlite3_db_config(database, SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  (void)sqlite3_db_config(database, SQLITE_DBCONFIG_DQS_DML, 0, nullptr);
  (void)sqlite3_db_config(database, SQLITE_DBCONFIG_DQS_DDL, 0, nullptr);
  (void)sqlite3_limit(database, SQLITE_LIMIT_ATTACHED, 0);
  TRY(connection->apply_settings());
  return Result<std::unique_ptr<Connection>>(std::move(connection));
}

Result<std::unique_ptr<Connection>> Connection::open(const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(std::unique_ptr<Connection> connection, open_as_set(file));
  TRY(connection->check_integrity());
  return Result<std::unique_ptr<Connection>>(std::move(connection));
}

Result<std::unique_ptr<Connection>> Connection::open_to_look(const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(std::unique_ptr<Connection> connection, open_as_set(file));
  TRY(connection->run_script("PRAGMA query_only = ON"));
  TRY(connection->run_script("PRAGMA cache_size = -2048"));  // KiB; it lasts until the next commit of the other connection
  return Result<std::unique_ptr<Connection>>(std::move(connection));
}

Result<void> Connection::apply_settings() {
  for (const Setting& setting : settings) {
    TRY(run_script(setting.set));
    std::string answer;
    TRY(query(setting.ask, {}, [&](const Row& row) { answer = row.text(0); }));
    if (answer != setting.answer) {
      return fail(ErrorCode::internal, std::string(setting.set) + ": SQLite stays at '" + answer + "'");
    }
  }
  return {};
}

Result<void> Connection::check_integrity() {
  std::string findings;
  TRY(query("PRAGMA quick_check(1)", {}, [&](const Row& row) { findings = row.text(0); }));
  if (findings != "ok") return fail(ErrorCode::internal, "damaged database: " + findings);
  return {};
}

std::unexpected<Error> Connection::failure(int code, std::string_view sql) const {
  if (primary_code(code) == SQLITE_CONSTRAINT) {
    // SQLite names the constraint and its columns here, never the values.
    return fail(ErrorCode::conflict, std::string(sqlite3_errmsg(database_.get())) + " in: " + std::string(sql));
  }
  return fail(ErrorCode::internal, std::string(sqlite3_errstr(code)) + " (" + std::to_string(code) + ") in: " + std::string(sql));
}

Result<Connection::StatementPointer> Connection::prepare(std::string_view sql) {
  if (sql.size() > sql_octets_max) return fail(ErrorCode::internal, "SQL of " + std::to_string(sql.size()) + " octets is over the limit");
  sqlite3_stmt* statement = nullptr;
  const char* rest = nullptr;
  const int code = sqlite3_prepare_v3(database_.get(), sql.data(), static_cast<int>(sql.size()), SQLITE_PREPARE_PERSISTENT, &statement, &rest);
  StatementPointer owned(statement);
  if (code != SQLITE_OK) return fail(ErrorCode::internal, std::string(sqlite3_errmsg(database_.get())) + " in: " + std::string(sql));
  if (statement == nullptr || !is_blank({rest, sql.data() + sql.size()})) {
    return fail(ErrorCode::internal, "not exactly one statement: " + std::string(sql));
  }
  return Result<StatementPointer>(std::move(owned));
}

Result<Connection::Lease> Connection::borrow(std::string_view sql) {
  const auto found = prepared_.find(sql);
  if (found != prepared_.end() && !found->second.lent) return Lease(&found->second);
  ASSIGN_OR_RETURN(StatementPointer statement, prepare(sql));
  if (found != prepared_.end()) return Lease(std::move(statement));
  if (prepared_.size() >= statements_cached_max) std::erase_if(prepared_, [](const auto& entry) { return !entry.second.lent; });
  const auto [entry, added] = prepared_.emplace(std::string(sql), Prepared{.statement = std::move(statement), .lent = false});
  return Lease(&entry->second);
}

Result<void> Connection::bind(sqlite3_stmt* statement, std::string_view sql, std::span<const Value> values) {
  const auto places = static_cast<std::size_t>(sqlite3_bind_parameter_count(statement));
  if (places != values.size()) {
    return fail(ErrorCode::internal, std::to_string(values.size()) + " values for " + std::to_string(places) + " places in: " + std::string(sql));
  }
  int at = 1;
  for (const Value& value : values) {
    if (const int code = bind_value(statement, at++, value); code != SQLITE_OK) return failure(code, sql);
  }
  return {};
}

Result<void> Connection::copy_to(const std::filesystem::path& file) {
  const std::string path = file.string();
  const std::array values{Value(std::string_view(path))};
  // SQLite attaches the copy while it writes it: the one time that this connection may attach anything.
  (void)sqlite3_limit(database_.get(), SQLITE_LIMIT_ATTACHED, 1);
  const auto copied = run("VACUUM INTO ?", values);
  (void)sqlite3_limit(database_.get(), SQLITE_LIMIT_ATTACHED, 0);
  if (!copied) return fail(copied.error());
  return {};
}

Result<std::int64_t> Connection::run(std::string_view sql, std::span<const Value> values) {
  ASSIGN_OR_RETURN(const Lease lease, borrow(sql));
  TRY(bind(lease.get(), sql, values));
  const sqlite3_int64 total_before = sqlite3_total_changes64(database_.get());
  int code = SQLITE_ROW;
  while (code == SQLITE_ROW) code = sqlite3_step(lease.get());
  if (code != SQLITE_DONE) return failure(code, sql);
  // changes64() keeps the count of an earlier statement when this one changes no rows by its nature (CREATE, SELECT, COMMIT).
  if (sqlite3_total_changes64(database_.get()) == total_before) return std::int64_t{0};
  return std::int64_t{sqlite3_changes64(database_.get())};
}

Result<void> Connection::query(std::string_view sql, std::span<const Value> values, const std::function<void(const Row&)>& each) {
  ASSIGN_OR_RETURN(const Lease lease, borrow(sql));
  TRY(bind(lease.get(), sql, values));
  const StatementRow row(lease.get());
  while (true) {
    const int code = sqlite3_step(lease.get());
    if (code == SQLITE_DONE) return {};
    if (code != SQLITE_ROW) return failure(code, sql);
    each(row);
  }
}

Result<void> Connection::run_script(std::string_view sql) {
  const std::string terminated(sql);
  const int code = sqlite3_exec(database_.get(), terminated.c_str(), nullptr, nullptr, nullptr);
  if (code == SQLITE_OK) return {};
  if (primary_code(code) == SQLITE_ERROR) return fail(ErrorCode::internal, std::string(sqlite3_errmsg(database_.get())) + " in: " + terminated);
  return failure(code, sql);
}

Result<void> Connection::begin() {
  TRY(run("BEGIN IMMEDIATE", {}));
  return {};
}

Result<void> Connection::commit() {
  TRY(run("COMMIT", {}));
  return {};
}

void Connection::roll_back() {
  if (in_transaction()) (void)run("ROLLBACK", {});
}

/// STRICT makes SQLite hold to the declared column types: a text in an integer column is a constraint violation.
Result<void> Connection::check_strict() {
  std::string loose;
  TRY(query("SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND strict = 0 AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'", {},
            [&](const Row& row) { loose = row.text(0); }));
  if (!loose.empty()) return fail(ErrorCode::internal, "table " + loose + " is not STRICT");
  return {};
}

std::int64_t sqlite_octets_in_use() noexcept { return sqlite3_memory_used(); }

}  // namespace qanat::store
