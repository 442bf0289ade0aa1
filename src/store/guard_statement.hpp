// What a statement does to which table, as far as a guarded store must know (guard.hpp). It reads the SQL of this program and refuses what it cannot follow;
// it is no parser of SQL. Private to store.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.hpp"

namespace qanat::store {

/// The column of a guarded table that has its rows' MACs.
inline constexpr std::string_view mac_column = "row_mac";

enum class Verb : std::uint8_t { insert, update, remove };

/// What a statement gives a column in so many words: one of its values, or a literal (NULL, a number, a text).
struct GivenValue {
  std::size_t index = 0;
};
struct Assigned {
  std::string_view column;
  std::variant<GivenValue, std::monostate, std::int64_t, std::string_view> what;
};

struct Statement {
  Verb verb{};
  std::string_view table;
  std::string_view where;         // of an UPDATE: from " WHERE " on; empty if it has none
  std::size_t where_values = 0;   // how many of its values stand there: the last ones
  bool may_replace = false;       // INSERT OR REPLACE, ON CONFLICT … DO UPDATE: rows go or change without being named
  bool has_numbered_values = false;
  /// Of an INSERT of one row and of an UPDATE: what each named column gets. Empty where that is for the database to work out (an expression, a query, several
  /// rows) or some other form of the statement.
  std::vector<Assigned> assigned;
  std::size_t assigned_values = 0;  // how many of its values stand there: the first ones
  std::size_t columns_end = 0;      // where in the statement the names of an INSERT's columns end
  std::size_t assigned_end = 0;     // where its values end, or what an UPDATE sets
};

/// `internal` for what is neither INSERT INTO, UPDATE nor DELETE FROM a plainly named table.
Result<Statement> read_statement(std::string_view sql);
/// The same statement with one more value, behind those that are assigned: the MAC of its row. For one whose `assigned` is not empty.
std::string with_mac(std::string_view sql, const Statement& statement);
/// True for a statement that only reads.
bool only_reads(std::string_view sql);

}  // namespace qanat::store
