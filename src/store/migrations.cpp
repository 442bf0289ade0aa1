#include "store/migrations.hpp"

#include <array>
#include <string>

#include "base/clock.hpp"

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

Result<std::int64_t> current_version(Database& database) {
  std::int64_t version = 0;
  TRY(database.query("SELECT coalesce(max(version), 0) FROM schema_version", {}, [&](const Row& row) { version = row.integer(0); }));
  return version;
}

Result<void> apply(Database& database, const Migration& migration) {
  TRY(database.run_script(migration.sql));
  if (!database.in_transaction()) return fail(ErrorCode::internal, "the migration ended its own transaction");
  TRY(database.check_strict());
  const std::array values{Value(std::int64_t{migration.version}), Value(column(SystemClock().now_ms() / 1000))};
  TRY(database.run("INSERT INTO schema_version (version, applied_s) VALUES (?, ?)", values));
  return database.commit();
}

}  // namespace

Result<void> migrate(Database& database, std::span<const Migration> migrations) {
  TRY(check_numbering(migrations));
  TRY(database.run_script(create_schema_version));
  ASSIGN_OR_RETURN(const std::int64_t version, current_version(database));
  if (version > std::ssize(migrations)) {
    return fail(ErrorCode::conflict, "the database is of version " + std::to_string(version) + ", this program knows up to " +
                                         std::to_string(migrations.size()) + ": start the newer program");
  }
  for (const Migration& migration : migrations.subspan(static_cast<std::size_t>(version))) {
    TRY(database.begin());
    if (const Result<void> done = apply(database, migration); !done) {
      database.roll_back();  // the migration's own failure is the one to report
      return fail_in("migration " + std::to_string(migration.version), done.error());
    }
  }
  return {};
}

}  // namespace qanat::store
