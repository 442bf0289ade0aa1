#include "store/guard_statement.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <string>

namespace qanat::store {
namespace {

constexpr std::string_view blanks = " \t\r\n";

std::string_view without_blanks(std::string_view text) {
  const std::size_t first = text.find_first_not_of(blanks);
  return first == std::string_view::npos ? std::string_view() : text.substr(first);
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

}  // namespace

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
    return out;
  }
  return fail(ErrorCode::internal, "a guarded store does not know what this does: " + std::string(sql));
}

}  // namespace qanat::store
