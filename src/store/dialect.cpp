#include "store/dialect.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <span>

namespace qanat::store {
namespace {

constexpr std::size_t places_max = 999;

enum class Kind : std::uint8_t { space, word, text, octets, place, mark };
struct Token {
  Kind kind{};
  std::string_view text;
};

template <class Range>
bool has(const Range& range, std::string_view word) {
  return std::ranges::find(range, word) != std::ranges::end(range);
}

constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_word(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || is_digit(c); }
constexpr bool is_space(char c) { return c == ' ' || c == '\n' || c == '\t' || c == '\r'; }

std::string capitals(std::string_view word) {
  std::string out(word);
  std::ranges::transform(out, out.begin(), [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  return out;
}

/// The end of a text that begins at `from` with its quote; a doubled quote is part of it.
std::optional<std::size_t> end_of_text(std::string_view sql, std::size_t from) {
  for (std::size_t i = from + 1; i < sql.size(); ++i) {
    if (sql[i] != sql[from]) continue;
    if (i + 1 == sql.size() || sql[i + 1] != sql[from]) return i + 1;
    ++i;
  }
  return std::nullopt;
}

std::size_t end_of(std::string_view sql, std::size_t from, bool (*belongs)(char)) {
  while (from < sql.size() && belongs(sql[from])) ++from;
  return from;
}

Result<std::vector<Token>> tokens_of(std::string_view sql) {
  std::vector<Token> out;
  for (std::size_t at = 0; at < sql.size();) {
    const char c = sql[at];
    const char next = at + 1 < sql.size() ? sql[at + 1] : '\0';
    Kind kind = Kind::mark;
    std::optional<std::size_t> end = at + 1;
    if (is_space(c)) {
      kind = Kind::space;
      end = end_of(sql, at, is_space);
    } else if (c == '-' && next == '-') {
      kind = Kind::space;
      end = std::min(sql.find('\n', at), sql.size());
    } else if ((c == 'x' || c == 'X') && next == '\'') {
      kind = Kind::octets;
      end = end_of_text(sql, at + 1);
    } else if (is_word(c)) {
      kind = Kind::word;
      end = end_of(sql, at, is_word);
    } else if (c == '\'' || c == '"') {
      kind = Kind::text;
      end = end_of_text(sql, at);
    } else if (c == '?') {
      kind = Kind::place;
      end = end_of(sql, at + 1, is_digit);
    }
    const bool foreign =
        c == '$' || c == '\\' || c == '`' || c == '[' || c == '@' || c == '#' || static_cast<unsigned char>(c) < ' ' || (c == '/' && next == '*');
    const bool escapes = c == '\'' && !out.empty() && out.back().kind == Kind::word;  // E'…' and the like
    if (!end || escapes || (foreign && kind == Kind::mark))
      return fail(ErrorCode::internal, "SQL that is not for both databases at '" + std::string(sql.substr(at, 20)) + "' in: " + std::string(sql));
    out.push_back({kind, sql.substr(at, *end - at)});
    at = *end;
  }
  return out;
}

struct Foreign {
  std::string_view word;
  std::string_view mend;
};
constexpr std::array foreign_words{
    Foreign{"ROWID", "order and choose by a column"}, Foreign{"AUTOINCREMENT", "INTEGER PRIMARY KEY gives numbers"},
    Foreign{"UNIXEPOCH", "give the time as a value"}, Foreign{"LAST_INSERT_ROWID", "INSERT … RETURNING gives the number"},
    Foreign{"NOCASE", "store a folded column"},       Foreign{"GLOB", "compare, or LIKE"},
    Foreign{"PRAGMA", "settings are the store's"},};
constexpr std::array<std::string_view, 9> transaction_words{"BEGIN", "START", "COMMIT", "END", "ROLLBACK", "ABORT", "SAVEPOINT", "RELEASE", "PREPARE"};
constexpr std::array<std::string_view, 11> session_words{"SET", "RESET", "SHOW", "COPY", "DO", "CALL", "DISCARD", "DEALLOCATE", "LISTEN", "NOTIFY", "LOCK"};

/// The words of a statement in capitals, without what is between them.
std::vector<std::string> words_of(std::span<const Token> tokens) {
  std::vector<std::string> out;
  for (const Token& token : tokens) {
    if (token.kind == Kind::word) out.push_back(capitals(token.text));
  }
  return out;
}

/// How SQLite stores a table is nothing to PostgreSQL.
std::vector<std::string> without_storage(std::vector<std::string> words) {
  const std::size_t count = words.size();
  if (count > 3 && words[0] == "CREATE" && words[count - 2] == "WITHOUT" && words[count - 1] == "ROWID") words.resize(count - 2);
  return words;
}

/// A part of a work that it may undo by itself: SAVEPOINT name, RELEASE name, ROLLBACK TO name. The store's own is called "statement".
bool is_part(const std::vector<std::string>& words) {
  const bool named = (words.size() == 2 && (words[0] == "SAVEPOINT" || words[0] == "RELEASE")) || (words.size() == 3 && words[0] == "ROLLBACK" && words[1] == "TO");
  return named && words.back() != "STATEMENT";
}

Result<void> check_words(const std::vector<std::string>& words, std::string_view sql) {
  const auto refused = [&](const std::string& why) { return fail(ErrorCode::internal, why + " in: " + std::string(sql)); };
  if (words.empty()) return refused("no statement");
  if (is_part(words)) return {};
  if (has(transaction_words, words.front())) return refused("a work or migration that ended its own transaction: " + words.front());
  if (has(session_words, words.front())) return refused(words.front() + " is the store's own");
  for (const Foreign& foreign : foreign_words) {
    if (has(words, foreign.word)) return refused(std::string(foreign.word) + " is SQLite's alone (" + std::string(foreign.mend) + ")");
  }
  if (words.front() == "REPLACE" || (words.size() > 1 && words.front() == "INSERT" && words[1] == "OR")) {
    return refused("INSERT OR … is SQLite's alone (INSERT … ON CONFLICT (column) DO NOTHING, or DO UPDATE SET column = excluded.column)");
  }
  const bool table = words.size() > 2 && words[0] == "CREATE" && words[1] == "TABLE";
  if (table && words.back() != "STRICT") {
    const std::size_t name = words[2] == "IF" && words.size() > 5 ? 5 : 2;
    std::string lower = words[name];
    std::ranges::transform(lower, lower.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    return refused("table " + lower + " is not STRICT");
  }
  return {};
}

/// Words that follow a token, up to `count`.
bool followed_by(std::span<const Token> rest, std::initializer_list<std::string_view> words) {
  auto wanted = words.begin();
  for (const Token& token : rest) {
    if (token.kind == Kind::space) continue;
    if (token.kind != Kind::word || capitals(token.text) != *wanted) return false;
    if (++wanted == words.end()) return true;
  }
  return false;
}

std::string word_of(const Token& token, std::span<const Token> rest) {
  const std::string word = capitals(token.text);
  if (word == "INTEGER") return followed_by(rest, {"PRIMARY", "KEY"}) ? "BIGINT GENERATED BY DEFAULT AS IDENTITY" : "BIGINT";
  if (word == "BLOB") return "BYTEA";
  if (word == "REAL") return "DOUBLE PRECISION";
  return std::string(token.text);
}

/// Numbers the places of one statement.
class Places {
 public:
  Result<std::string> take(std::string_view place, std::string_view sql) {
    const bool numbered = place.size() > 1;
    std::size_t number = count_ + 1;
    const bool sound = !numbered || std::from_chars(place.data() + 1, place.data() + place.size(), number).ec == std::errc();
    if (!sound || (count_ > 0 && numbered != numbered_) || number == 0 || number > places_max) {
      return fail(ErrorCode::internal, "places are '?' or '?1' up to '?" + std::to_string(places_max) + "', not both, in: " + std::string(sql));
    }
    numbered_ = numbered;
    count_ = std::max(count_, number);
    return "$" + std::to_string(number);
  }
  [[nodiscard]] std::size_t count() const { return count_; }

 private:
  std::size_t count_ = 0;
  bool numbered_ = false;
};

Result<std::string> octets_of(std::string_view literal, std::string_view sql) {
  const std::string_view hex = literal.substr(2, literal.size() - 3);
  const bool sound = hex.size() % 2 == 0 && std::ranges::all_of(hex, [](char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); });
  if (!sound) return fail(ErrorCode::internal, "no octets: " + std::string(literal) + " in: " + std::string(sql));
  return "'\\x" + std::string(hex) + "'::bytea";
}

}  // namespace

Result<PostgresqlStatement> postgresql_statement(std::string_view sql) {
  ASSIGN_OR_RETURN(std::vector<Token> tokens, tokens_of(sql));
  const auto is_end = [](const Token& token) { return token.kind == Kind::space || token.text == ";"; };
  while (!tokens.empty() && is_end(tokens.back())) tokens.pop_back();
  if (std::ranges::find(tokens, ";", &Token::text) != tokens.end()) return fail(ErrorCode::internal, "not exactly one statement: " + std::string(sql));
  const std::vector<std::string> words = without_storage(words_of(tokens));
  TRY(check_words(words, sql));
  PostgresqlStatement out{.sql = {}, .places = 0, .verb = words.front()};
  Places places;
  const std::span<const Token> all(tokens);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const Token& token = all[i];
    if (words.front() == "CREATE" && token.kind == Kind::word && capitals(token.text) == "STRICT") break;  // the last that means something
    switch (token.kind) {
      case Kind::space:
        out.sql += ' ';
        break;
      case Kind::word:
        out.sql += word_of(token, all.subspan(i + 1));
        break;
      case Kind::octets: {
        ASSIGN_OR_RETURN(const std::string octets, octets_of(token.text, sql));
        out.sql += octets;
        break;
      }
      case Kind::place: {
        ASSIGN_OR_RETURN(const std::string place, places.take(token.text, sql));
        out.sql += place;
        break;
      }
      case Kind::text:
      case Kind::mark:
        out.sql += token.text;
        break;
    }
  }
  out.places = places.count();
  return out;
}

Result<std::vector<std::string>> statements_of(std::string_view script) {
  ASSIGN_OR_RETURN(const std::vector<Token> tokens, tokens_of(script));
  std::vector<std::string> out;
  std::string statement;
  bool blank = true;
  const auto end = [&] {
    if (!blank) out.push_back(std::move(statement));
    statement.clear();
    blank = true;
  };
  for (const Token& token : tokens) {
    if (token.text == ";") {
      end();
      continue;
    }
    blank = blank && token.kind == Kind::space;
    statement += token.text;
  }
  end();
  return out;
}

}  // namespace qanat::store
