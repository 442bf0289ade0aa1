#include "store/guard_statement.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace qanat::store {
namespace {

constexpr std::string_view blanks = " \t\r\n";

std::string_view without_blanks(std::string_view text) {
  const std::size_t first = text.find_first_not_of(blanks);
  return first == std::string_view::npos ? std::string_view() : text.substr(first);
}
std::string_view trimmed(std::string_view text) {
  text = without_blanks(text);
  return text.substr(0, text.find_last_not_of(blanks) + 1);
}

/// The rest after the words, if the text begins with them.
std::optional<std::string_view> after(std::string_view text, std::string_view words) {
  if (!text.starts_with(words)) return std::nullopt;
  return without_blanks(text.substr(words.size()));
}

bool is_name(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; }

struct Found {
  std::size_t where = std::string_view::npos;  // of the first WHERE outside of brackets and quotes
  std::size_t values_before = 0;
  std::size_t values = 0;
  bool numbered = false;
};

Found look_through(std::string_view sql) {
  constexpr std::string_view where = " WHERE ";
  Found out;
  int depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < sql.size(); ++i) {
    const char c = sql[i];
    if (c == '\'') quoted = !quoted;
    if (quoted) continue;
    if (c == '(') ++depth;
    if (c == ')') --depth;
    if (c == '?') {
      ++out.values;
      out.numbered = out.numbered || (i + 1 < sql.size() && sql[i + 1] >= '0' && sql[i + 1] <= '9');
    }
    if (depth == 0 && out.where == std::string_view::npos && sql.substr(i).starts_with(where)) {
      out.where = i;
      out.values_before = out.values;
    }
  }
  return out;
}

/// Up to the bracket that closes what is open here, or to the end.
std::string_view within_brackets(std::string_view text) {
  int depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\'') quoted = !quoted;
    if (quoted) continue;
    if (text[i] == '(') ++depth;
    if (text[i] == ')' && depth-- == 0) return text.substr(0, i);
  }
  return text;
}

/// Cut at the commas that stand outside of quotes and brackets.
std::vector<std::string_view> parts_of(std::string_view text) {
  std::vector<std::string_view> out;
  int depth = 0;
  bool quoted = false;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\'') quoted = !quoted;
    if (quoted) continue;
    if (text[i] == '(') ++depth;
    if (text[i] == ')') --depth;
    if (text[i] != ',' || depth != 0) continue;
    out.push_back(trimmed(text.substr(begin, i - begin)));
    begin = i + 1;
  }
  out.push_back(trimmed(text.substr(begin)));
  return out;
}

/// Nothing for what the database would have to work out.
std::optional<Assigned> assigned(std::string_view column, std::string_view what, std::size_t& values) {
  if (column.empty() || !std::ranges::all_of(column, is_name)) return std::nullopt;
  if (what == "?") return Assigned{.column = column, .what = GivenValue{values++}};
  if (what == "NULL") return Assigned{.column = column, .what = std::monostate()};
  if (what.size() >= 2 && what.front() == '\'' && what.find('\'', 1) == what.size() - 1)
    return Assigned{.column = column, .what = what.substr(1, what.size() - 2)};
  std::int64_t number = 0;
  const auto read = std::from_chars(what.data(), what.data() + what.size(), number);
  if (what.empty() || read.ec != std::errc() || read.ptr != what.data() + what.size()) return std::nullopt;
  return Assigned{.column = column, .what = number};
}

/// "(a, b) VALUES (?, 'x')", and nothing after it but what to do with a row that is there.
void read_insert(std::string_view sql, std::string_view rest, Statement& out) {
  rest = without_blanks(rest);
  if (!rest.starts_with('(')) return;
  const std::string_view names = within_brackets(rest.substr(1));
  const auto values = after(without_blanks(rest.substr(std::min(names.size() + 2, rest.size()))), "VALUES (");
  if (!values) return;
  const std::string_view given = within_brackets(*values);
  const std::string_view end = without_blanks(values->substr(std::min(given.size() + 1, values->size())));
  if ((!end.empty() && !end.starts_with("ON CONFLICT ")) || end.contains('?')) return;
  const std::vector<std::string_view> columns = parts_of(names);
  const std::vector<std::string_view> what = parts_of(given);
  if (columns.size() != what.size()) return;
  std::vector<Assigned> all;
  all.reserve(columns.size());
  for (std::size_t i = 0; i < columns.size(); ++i) {
    const auto one = assigned(columns[i], what[i], out.assigned_values);
    if (!one) return;
    all.push_back(*one);
  }
  out.columns_end = static_cast<std::size_t>(names.data() + names.size() - sql.data());
  out.assigned_end = static_cast<std::size_t>(given.data() + given.size() - sql.data());
  out.assigned = std::move(all);
}

/// "SET a = ?, b = NULL WHERE …"
void read_update(std::string_view sql, std::string_view rest, Statement& out) {
  const auto sets = after(without_blanks(rest), "SET ");
  if (!sets) return;
  const std::string_view given = trimmed(out.where.empty() ? *sets : sets->substr(0, static_cast<std::size_t>(out.where.data() - sets->data())));
  const std::vector<std::string_view> parts = parts_of(given);
  std::vector<Assigned> all;
  all.reserve(parts.size());
  for (const std::string_view part : parts) {
    const std::size_t equals = part.find('=');
    if (equals == std::string_view::npos) return;
    const auto one = assigned(trimmed(part.substr(0, equals)), trimmed(part.substr(equals + 1)), out.assigned_values);
    if (!one) return;
    all.push_back(*one);
  }
  out.assigned_end = static_cast<std::size_t>(given.data() + given.size() - sql.data());
  out.assigned = std::move(all);
}

}  // namespace

std::string with_mac(std::string_view sql, const Statement& statement) {
  std::string out(sql.substr(0, statement.assigned_end));
  if (statement.verb == Verb::insert) {
    out.append(", ?").append(sql.substr(statement.assigned_end));
    out.insert(statement.columns_end, ", " + std::string(mac_column));
  } else {
    out.append(", ").append(mac_column).append(" = ?").append(sql.substr(statement.assigned_end));
  }
  return out;
}

bool only_reads(std::string_view sql) { return without_blanks(sql).starts_with("SELECT "); }

Result<Statement> read_statement(std::string_view sql) {
  struct Form {
    std::string_view words;
    Verb verb;
    bool may_replace;
  };
  constexpr std::array forms{Form{"INSERT INTO ", Verb::insert, false}, Form{"INSERT OR IGNORE INTO ", Verb::insert, false},
                             Form{"INSERT OR REPLACE INTO ", Verb::insert, true}, Form{"UPDATE ", Verb::update, false}, Form{"DELETE FROM ", Verb::remove, false}};
  const std::string_view text = without_blanks(sql);
  for (const Form& form : forms) {
    const auto rest = after(text, form.words);
    if (!rest) continue;
    const auto end = std::ranges::find_if_not(*rest, is_name);
    Statement out;
    out.verb = form.verb;
    out.table = rest->substr(0, static_cast<std::size_t>(end - rest->begin()));
    out.may_replace = form.may_replace;
    if (out.table.empty() || (end != rest->end() && !blanks.contains(*end) && *end != '(')) break;
    const Found found = look_through(text);
    out.has_numbered_values = found.numbered;
    if (form.verb == Verb::update && found.where != std::string_view::npos) {
      out.where = text.substr(found.where);
      out.where_values = found.values - found.values_before;
    }
    if (form.verb == Verb::insert && text.contains(" DO UPDATE ")) out.may_replace = true;
    if (out.has_numbered_values) return out;
    if (form.verb == Verb::insert) read_insert(sql, rest->substr(out.table.size()), out);
    if (form.verb == Verb::update) read_update(sql, rest->substr(out.table.size()), out);
    return out;
  }
  return fail(ErrorCode::internal, "a guarded store does not know what this does: " + std::string(sql));
}

}  // namespace qanat::store
