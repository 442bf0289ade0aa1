#include "store/migrations.hpp"

#include <array>
#include <string>

namespace qanat::store {
namespace {

constexpr std::string_view create_schema_version =
    "CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY CHECK (version > 0), applied_s INTEGER NOT NULL) STRICT";

Result<void> check_numbering(std::span<const Migration> migrations) {
  int expected = 1;
  for (const Migration& migration : migrations) {
    if (migration.version != expected) {
      return fail(ErrorCode::invalid_argument, "migration " + std::to_string(migration.version) + " stands where " + std::to_string(expected) + " belongs");
    }
    ++expected;
  }
  return {};
}

Result<std::int64_t> current_version(Connection& connection) {
  std::int64_t version = 0;
  TRY(connection.query("SELECT coalesce(max(version), 0) FROM schema_version", {}, [&](const Row& row) { version = row.integer(0); }));
  return version;
}

/// STRICT makes SQLite hold to the declared column types: a text in an integer column is a constraint violation.
Result<void> check_strict(Connection& connection) {
  std::string loose;
  TRY(connection.query("SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND strict = 0 AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
                       {}, [&](const Row& row) { loose = row.text(0); }));
  if (!loose.empty()) return fail(ErrorCode::internal, "table " + loose + " is not STRICT");
  return {};
}

Result<void> apply(Connection& connection, const Migration& migration) {
  TRY(connection.run_script(migration.sql));
  if (!connection.in_transaction()) return fail(ErrorCode::internal, "the migration ended its own transaction");
  TRY(check_strict(connection));
  const std::array values{Value(std::int64_t{migration.version})};
  TRY(connection.run("INSERT INTO schema_version (version, applied_s) VALUES (?, unixepoch())", values));
  TRY(connection.run("COMMIT", {}));
  return {};
}

}  // namespace

Result<void> migrate(Connection& connection, std::span<const Migration> migrations) {
  TRY(check_numbering(migrations));
  TRY(connection.run_script(create_schema_version));
  ASSIGN_OR_RETURN(const std::int64_t version, current_version(connection));
  if (version > std::ssize(migrations)) {
    return fail(ErrorCode::conflict, "the database is of version " + std::to_string(version) + ", this program knows up to " +
                                         std::to_string(migrations.size()) + ": start the newer program");
  }
  for (const Migration& migration : migrations.subspan(static_cast<std::size_t>(version))) {
    TRY(connection.run("BEGIN IMMEDIATE", {}));
    if (const Result<void> done = apply(connection, migration); !done) {
      if (connection.in_transaction()) (void)connection.run("ROLLBACK", {});  // the migration's own failure is the one to report
      return fail_in("migration " + std::to_string(migration.version), done.error());
    }
  }
  return {};
}

}  // namespace qanat::store
