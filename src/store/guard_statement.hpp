// What a statement does to which table, as far as a guarded store must know (guard.hpp). It reads the SQL of this program and refuses what it cannot follow;
// it is no parser of SQL. Private to store.
#pragma once

#include <string_view>

#include "base/result.hpp"

namespace qanat::store {

enum class Verb : std::uint8_t { insert, update, remove };

struct Statement {
  Verb verb{};
  std::string_view table;
  std::string_view where;         // of an UPDATE: from " WHERE " on; empty if it has none
  std::size_t where_values = 0;   // how many of its values stand there: the last ones
  bool may_replace = false;       // INSERT OR REPLACE, ON CONFLICT … DO UPDATE: rows go or change without being named
  bool has_numbered_values = false;
};

/// `internal` for what is neither INSERT INTO, UPDATE nor DELETE FROM a plainly named table.
Result<Statement> read_statement(std::string_view sql);
/// True for a statement that only reads.
bool only_reads(std::string_view sql);

}  // namespace qanat::store
