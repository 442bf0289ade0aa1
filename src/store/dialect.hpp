// SQL as the elements write it, SQLite's, as PostgreSQL wants it. Not a translator of SQL: a few words are exchanged, and what would mean something else
// there is refused with the way to write it for both. Private to store.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace qanat::store {

struct PostgresqlStatement {
  std::string sql;
  std::size_t places = 0;  // parameters $1 … $places
  std::string verb;        // the first word, in capitals
};

/// One statement. `?` becomes $1, $2 … (`?3` becomes $3; one statement has either), x'00' a bytea, INTEGER BIGINT, BLOB BYTEA, REAL DOUBLE PRECISION, and
/// `INTEGER PRIMARY KEY` a number that the database gives; STRICT, which CREATE TABLE must have, is left out: PostgreSQL's columns are always so.
/// `internal`, with the SQL, for several statements or none, for a statement about transactions (but for savepoints) or settings, and for what SQLite alone has (rowid,
/// INSERT OR …, PRAGMA …).
Result<PostgresqlStatement> postgresql_statement(std::string_view sql);

/// The statements of a script, cut at their semicolons, not translated; comments and texts may contain semicolons.
Result<std::vector<std::string>> statements_of(std::string_view script);

}  // namespace qanat::store
