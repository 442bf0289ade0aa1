#include "store/guard_rows.hpp"

#include <algorithm>

#include "base/check.hpp"
#include "crypto/aead.hpp"
#include "crypto/kdf.hpp"
#include "wire/reader.hpp"
#include "wire/writer.hpp"

namespace qanat::store {
namespace {

constexpr std::string_view savepoint_word = "SAVEPOINT ";
constexpr std::string_view rollback_words = "ROLLBACK TO ";
constexpr std::string_view release_word = "RELEASE ";
constexpr std::size_t tables_max = 64;
constexpr wire::Bounds name_bounds{.min = 1, .max = 64};
constexpr wire::Bounds hash_bounds{.min = 0, .max = 64};

Secret derived(const crypto::Suite& suite, const Secret& prk, std::string_view use) {
  return crypto::hkdf_expand(suite.hash, prk, {as_bytes("qanat guarded store: "), as_bytes(use)}, crypto::digest_size(suite.hash));
}

void append_number(Bytes& out, std::uint64_t number) {
  for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<std::uint8_t>(number >> shift));
}
void append_part(Bytes& out, ByteView octets) {
  append_number(out, octets.size());
  append(out, octets);
}

std::string shown_value(const Stored& value) {
  constexpr std::size_t shown_max = 64;
  if (const auto* number = std::get_if<std::int64_t>(&value)) return std::to_string(*number);
  if (const auto* text = std::get_if<std::string>(&value)) return text->substr(0, shown_max);
  return to_hex(std::get<Bytes>(value)).substr(0, shown_max);
}

void exclusive_or(Bytes& into, ByteView other) {
  if (into.empty()) into.resize(other.size());
  for (std::size_t i = 0; i < into.size() && i < other.size(); ++i) into[i] ^= other[i];
}

Secret state_key(const GuardKeys& keys, std::string_view shard, std::int64_t epoch) {
  Bytes info;
  append_part(info, as_bytes(shard));
  append_number(info, static_cast<std::uint64_t>(epoch));
  return crypto::hkdf_expand(keys.suite.hash, keys.state, {info}, keys.suite.aead_key);
}

}  // namespace

GuardKeys::GuardKeys(const crypto::Suite& suite_, const Secret& key)
    : suite(suite_),
      row(derived(suite_, key, "row")),
      element(derived(suite_, key, "element")),
      state(derived(suite_, key, "state")),
      anchor(derived(suite_, key, "anchor")) {}

void GuardState::add(const GuardState& other) {
  for (const auto& [name, sum] : other.tables) {
    TableSum& own = tables[name];
    own.rows += sum.rows;
    exclusive_or(own.hash, sum.hash);
  }
}

bool GuardState::operator==(const GuardState& other) const {
  const auto is_in = [](const GuardState& one, const GuardState& another) {
    return std::ranges::all_of(one.tables, [&](const auto& entry) {
      const auto found = another.tables.find(entry.first);
      const TableSum& sum = entry.second;
      const bool none = sum.rows == 0 && std::ranges::all_of(sum.hash, [](std::uint8_t octet) { return octet == 0; });
      return found == another.tables.end() ? none : sum.rows == found->second.rows && (none || equal_constant_time(sum.hash, found->second.hash));
    });
  };
  return is_in(*this, other) && is_in(other, *this);
}

Result<GuardedRow> read_row(const GuardedTable& table, const Row& row) {
  GuardedRow out;
  out.columns.reserve(static_cast<std::size_t>(row.columns()));
  bool has_mac = false;
  for (int i = 0; i < row.columns(); ++i) {
    const ColumnType type = row.type(i);
    std::string name = row.name(i);
    if (name == mac_column) {
      has_mac = true;
      if (type != ColumnType::null) out.row_mac = row.blob(i);
    } else if (type == ColumnType::integer) {
      out.columns.push_back({.name = std::move(name), .value = row.integer(i)});
    } else if (type == ColumnType::text) {
      out.columns.push_back({.name = std::move(name), .value = row.text(i)});
    } else if (type == ColumnType::blob) {
      out.columns.push_back({.name = std::move(name), .value = row.blob(i)});
    }
  }
  // By name: the order of the columns is the database's business.
  std::ranges::sort(out.columns, {}, &GuardedColumn::name);
  if (!has_mac) return fail(ErrorCode::internal, "table " + std::string(table.name) + " has no column row_mac");
  for (const std::string_view key : table.key) {
    if (key.empty()) continue;
    const auto found = std::ranges::find(out.columns, key, &GuardedColumn::name);
    if (found == out.columns.end()) return fail(ErrorCode::internal, "table " + std::string(table.name) + " has no key " + std::string(key));
    out.key.push_back(found->value);
  }
  return out;
}

namespace {

/// Of a statement that has as many values as it assigns, at least.
Value assigned_value(const Assigned& one, std::span<const Value> values) {
  return std::visit(
      [&](const auto& what) -> Value {
        if constexpr (std::is_same_v<std::decay_t<decltype(what)>, GivenValue>) {
          return values[what.index];
        } else {
          return what;
        }
      },
      one.what);
}

}  // namespace

std::optional<GuardedRow> foretold(const Statement& statement, std::span<const Value> values, std::span<const GuardedRow> before) {
  const bool one_row = statement.verb == Verb::insert || before.size() == 1;
  if (statement.assigned.empty() || !one_row || values.size() < statement.assigned_values) return std::nullopt;
  GuardedRow out;
  if (!before.empty()) out.columns = before.front().columns;
  for (const Assigned& one : statement.assigned) {
    std::erase_if(out.columns, [&](const GuardedColumn& column) { return column.name == one.column; });
    const Value value = assigned_value(one, values);
    if (const auto* number = std::get_if<std::int64_t>(&value)) {
      out.columns.push_back({.name = std::string(one.column), .value = *number});
    } else if (const auto* text = std::get_if<std::string_view>(&value)) {
      out.columns.push_back({.name = std::string(one.column), .value = std::string(*text)});
    } else if (const auto* octets = std::get_if<ByteView>(&value)) {
      out.columns.push_back({.name = std::string(one.column), .value = to_bytes(*octets)});
    }
  }
  std::ranges::sort(out.columns, {}, &GuardedColumn::name);
  return out;
}

std::string describe(const GuardedTable& table, const GuardedRow& row) {
  std::string out(table.name);
  for (std::size_t i = 0; i < row.key.size(); ++i) out += (i == 0 ? " " : ", ") + std::string(table.key[i]) + "=" + shown_value(row.key[i]);
  return out;
}

bool is_certain(const TableShape& shape, const Statement& statement, std::span<const Value> values) {
  const auto fits = [&](const Assigned& one) {
    const auto column = std::ranges::find(shape.columns, one.column, &ColumnShape::name);
    const Value value = assigned_value(one, values);
    if (column == shape.columns.end()) return false;
    if (std::holds_alternative<std::int64_t>(value)) return column->type == ColumnType::integer;
    if (std::holds_alternative<std::string_view>(value)) return column->type == ColumnType::text;
    if (std::holds_alternative<ByteView>(value)) return column->type == ColumnType::blob;
    return !column->gives;  // NULL: nothing for a column that may have nothing
  };
  if (!std::ranges::all_of(statement.assigned, fits)) return false;
  return statement.verb != Verb::insert || std::ranges::all_of(shape.columns, [&](const ColumnShape& column) {
           return !column.gives || std::ranges::find(statement.assigned, column.name, &Assigned::column) != statement.assigned.end();
         });
}

std::vector<TableShape> shapes_of(Store& store, std::span<const GuardedTable> tables) {
  std::vector<TableShape> out;
  for (const GuardedTable& table : tables) {
    TableShape shape{.name = std::string(table.name), .columns = {}};
    bool plain = true;
    const auto told = store.look([&](Transaction& transaction) {
      shape.columns.clear();
      return transaction.query("SELECT name, type, dflt_value IS NOT NULL OR pk > 0 FROM pragma_table_info(?)", {table.name}, [&](const Row& row) {
        const std::string type = row.text(1);
        plain = plain && (type == "INTEGER" || type == "TEXT" || type == "BLOB");
        shape.columns.push_back({.name = row.text(0),
                                 .type = type == "INTEGER" ? ColumnType::integer : (type == "TEXT" ? ColumnType::text : ColumnType::blob),
                                 .gives = row.integer(2) != 0});
      });
    });
    if (!told) return {};
    if (plain) out.push_back(std::move(shape));
  }
  return out;
}

Bytes mac_of(const GuardKeys& keys, const GuardedTable& table, const GuardedRow& row) {
  const auto append_type = [](Bytes& out, ColumnType type) { out.push_back(static_cast<std::uint8_t>(type)); };
  Bytes octets;
  append_part(octets, as_bytes(table.name));
  for (const GuardedColumn& column : row.columns) {
    append_part(octets, as_bytes(column.name));
    if (const auto* number = std::get_if<std::int64_t>(&column.value)) {
      append_type(octets, ColumnType::integer);
      append_number(octets, static_cast<std::uint64_t>(*number));
    } else if (const auto* text = std::get_if<std::string>(&column.value)) {
      append_type(octets, ColumnType::text);
      append_part(octets, as_bytes(*text));
    } else {
      append_type(octets, ColumnType::blob);
      append_part(octets, std::get<Bytes>(column.value));
    }
  }
  return crypto::hmac(keys.suite.hash, keys.row, {octets});
}

Bytes element_of(const GuardKeys& keys, ByteView row_mac) { return crypto::hmac(keys.suite.hash, keys.element, {row_mac}); }

Result<void> check_row(const GuardKeys& keys, const GuardedTable& table, const GuardedRow& row) {
  if (row.row_mac.empty()) return fail(ErrorCode::denied, describe(table, row) + ": was put in by another program");
  if (equal_constant_time(row.row_mac, mac_of(keys, table, row))) return {};
  return fail(ErrorCode::denied, describe(table, row) + ": was changed, or put there, by another program");
}

void add_row(const GuardKeys& keys, GuardState& state, std::string_view table, ByteView row_mac) {
  TableSum& sum = state.tables[std::string(table)];
  ++sum.rows;
  exclusive_or(sum.hash, element_of(keys, row_mac));
}

void take_row(const GuardKeys& keys, GuardState& state, std::string_view table, ByteView row_mac) {
  TableSum& sum = state.tables[std::string(table)];
  --sum.rows;
  exclusive_or(sum.hash, element_of(keys, row_mac));
}

Bytes seal_state(const GuardKeys& keys, std::string_view shard, std::int64_t epoch, const GuardState& state, crypto::Rng& rng) {
  wire::Writer writer;
  writer.u8(static_cast<std::uint8_t>(state.tables.size()));
  for (const auto& [name, sum] : state.tables) {
    writer.opaque("table", name, name_bounds);
    writer.u64(static_cast<std::uint64_t>(sum.rows));
    writer.opaque("hash", sum.hash, hash_bounds);
  }
  const auto plain = std::move(writer).finish();
  CHECK(plain.has_value() && state.tables.size() <= tables_max);  // the names are those of this program
  Bytes out = rng.bytes(crypto::aead_iv);
  append(out, crypto::seal(keys.suite.aead, state_key(keys, shard, epoch), Bytes(out), as_bytes(shard), *plain));
  return out;
}

Result<GuardState> open_state(const GuardKeys& keys, std::string_view shard, std::int64_t epoch, ByteView sealed) {
  const auto refused = [&] { return fail(ErrorCode::denied, "guard_state shard=" + std::string(shard) + ": was changed by another program"); };
  if (sealed.size() < crypto::aead_iv) return refused();
  const auto plain = crypto::open(keys.suite.aead, state_key(keys, shard, epoch), sealed.first(crypto::aead_iv), as_bytes(shard), sealed.subspan(crypto::aead_iv));
  if (!plain) return refused();
  wire::Reader reader(plain->reveal());
  GuardState out;
  ASSIGN_OR_RETURN(const std::uint8_t tables, reader.u8("tables"));
  for (std::uint8_t i = 0; i < tables; ++i) {
    ASSIGN_OR_RETURN(const std::string name, reader.text("table", name_bounds));
    ASSIGN_OR_RETURN(const std::uint64_t rows, reader.u64("rows"));
    ASSIGN_OR_RETURN(const ByteView hash, reader.opaque("hash", hash_bounds));
    out.tables[name] = {.rows = static_cast<std::int64_t>(rows), .hash = to_bytes(hash)};
  }
  TRY(reader.finish());
  return out;
}

std::vector<Value> key_values(const GuardedRow& row) {
  std::vector<Value> out;
  for (const auto& part : row.key) {
    if (const auto* number = std::get_if<std::int64_t>(&part)) {
      out.emplace_back(*number);
    } else if (const auto* text = std::get_if<std::string>(&part)) {
      out.emplace_back(std::string_view(*text));
    } else {
      out.emplace_back(ByteView(std::get<Bytes>(part)));
    }
  }
  return out;
}

Result<void> put_mac(Transaction& transaction, const GuardedTable& table, const GuardedRow& row, ByteView mac) {
  std::string sql = "UPDATE " + std::string(table.name) + " SET row_mac = ? WHERE ";
  for (std::size_t i = 0; i < row.key.size(); ++i) sql += (i == 0 ? "" : " AND ") + std::string(table.key[i]) + " = ?";
  std::vector<Value> values{mac};
  for (const Value& part : key_values(row)) values.push_back(part);
  ASSIGN_OR_RETURN(const std::int64_t changed, transaction.run(sql, std::span<const Value>(values)));
  if (changed != 1) return fail(ErrorCode::internal, describe(table, row) + ": is there " + std::to_string(changed) + " times");
  return {};
}

Result<std::vector<GuardedRow>> GuardedTransaction::rows(const GuardedTable& table, std::string_view sql, std::span<const Value> values) {
  std::vector<GuardedRow> out;
  std::optional<Error> failure;
  TRY(inner_.query(sql, values, [&](const Row& row) {
    auto one = read_row(table, row);
    if (one) {
      out.push_back(*std::move(one));
    } else {
      failure = one.error();
    }
  }));
  if (failure) return fail(*failure);
  return out;
}

Result<void> GuardedTransaction::admit(const GuardedTable& table, const GuardedRow& row, ByteView written) {
  const Bytes mac = written.empty() ? mac_of(keys_, table, row) : to_bytes(written);
  if (written.empty()) TRY(put_mac(inner_, table, row, mac));
  add_row(keys_, change_, table.name, mac);
  changed_ = true;
  return {};
}

Result<void> GuardedTransaction::dismiss(const GuardedTable& table, const GuardedRow& row) {
  TRY(check_row(keys_, table, row));
  take_row(keys_, change_, table.name, row.row_mac);
  changed_ = true;
  return {};
}

Result<std::int64_t> GuardedTransaction::run_savepoint(std::string_view sql) {
  ASSIGN_OR_RETURN(const std::int64_t done, inner_.run(sql, std::span<const Value>()));
  const std::string name(sql.substr(sql.rfind(' ') + 1));
  if (sql.starts_with(savepoint_word)) {
    savepoints_.push_back({.name = name, .change = change_, .changed = changed_});
    return done;
  }
  const auto found = std::ranges::find(savepoints_.rbegin(), savepoints_.rend(), name, &Savepoint::name);
  if (found == savepoints_.rend()) return fail(ErrorCode::internal, "a guarded store knows no savepoint of this name: " + std::string(sql));
  const bool back = sql.starts_with(rollback_words);
  if (back) {
    change_ = found->change;
    changed_ = found->changed;
  }
  // Gone back to, it is still there; released, it is not; those that were made after it are gone either way.
  savepoints_.erase(back ? found.base() : found.base() - 1, savepoints_.end());
  return done;
}

Result<std::int64_t> GuardedTransaction::run(std::string_view sql, std::span<const Value> values) {
  for (const std::string_view words : {savepoint_word, rollback_words, release_word}) {
    if (sql.starts_with(words) && values.empty()) return run_savepoint(sql);
  }
  ASSIGN_OR_RETURN(const Statement statement, read_statement(sql));
  const auto table = std::ranges::find(tables_, statement.table, &GuardedTable::name);
  if (table == tables_.end()) return inner_.run(sql, values);
  const auto not_followed = [&](std::string_view why) { return fail(ErrorCode::internal, std::string(why) + " in a guarded table: " + std::string(sql)); };
  if (statement.may_replace) return not_followed("rows replaced without being named");
  if (sql.contains(mac_column)) return not_followed("row_mac");
  if (statement.verb == Verb::update && statement.has_numbered_values) return not_followed("numbered values");
  std::vector<GuardedRow> before;
  if (statement.verb == Verb::update) {
    if (statement.where_values > values.size()) return not_followed("too few values");
    // What stands there is looked at before it is gone: a column that was changed underneath must not get a new MAC.
    ASSIGN_OR_RETURN(before, rows(*table, "SELECT * FROM " + std::string(table->name) + std::string(statement.where), values.last(statement.where_values)));
    if (before.empty()) return std::int64_t{0};
  }
  const std::optional<GuardedRow> expected = foretold(statement, values, before);
  const Bytes mac = expected ? mac_of(keys_, *table, *expected) : Bytes();
  std::vector<Value> with_it(values.begin(), values.end());
  if (expected) with_it.insert(with_it.begin() + static_cast<std::ptrdiff_t>(statement.assigned_values), ByteView(mac));
  const auto shape = std::ranges::find(shapes_, statement.table, &TableShape::name);
  if (expected && shape != shapes_.end() && is_certain(*shape, statement, values)) {
    ASSIGN_OR_RETURN(const std::int64_t changed, inner_.run(with_mac(sql, statement), with_it));
    if (changed == 0 && statement.verb == Verb::insert) return std::int64_t{0};  // it is there: OR IGNORE, DO NOTHING
    if (changed != 1) return not_followed("other rows than the condition names");
    for (const GuardedRow& row : before) TRY(dismiss(*table, row));
    TRY(admit(*table, *expected, mac));
    return changed;
  }
  ASSIGN_OR_RETURN(const std::vector<GuardedRow> touched, rows(*table, (expected ? with_mac(sql, statement) : std::string(sql)) + " RETURNING *", with_it));
  if (statement.verb == Verb::update && touched.size() != before.size()) return not_followed("other rows than the condition names");
  for (const GuardedRow& row : statement.verb == Verb::remove ? touched : before) TRY(dismiss(*table, row));
  if (statement.verb == Verb::remove) return static_cast<std::int64_t>(touched.size());
  // The MAC is of what is stored, not of what should have been.
  for (const GuardedRow& row : touched) TRY(admit(*table, row, expected && row.columns == expected->columns && row.row_mac == mac ? ByteView(mac) : ByteView()));
  return static_cast<std::int64_t>(touched.size());
}

Result<void> GuardedTransaction::query(std::string_view sql, std::span<const Value> values, const std::function<void(const Row&)>& each) {
  if (only_reads(sql)) return inner_.query(sql, values, each);
  ASSIGN_OR_RETURN(const Statement statement, read_statement(sql));
  if (std::ranges::find(tables_, statement.table, &GuardedTable::name) == tables_.end()) return inner_.query(sql, values, each);
  return fail(ErrorCode::internal, "a guarded table is changed by run() alone: " + std::string(sql));
}

}  // namespace qanat::store
