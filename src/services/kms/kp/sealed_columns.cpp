#include "services/kms/kp/sealed_columns.hpp"

namespace qanat::kms {
namespace {

std::string keys_of(const SealedColumn& column) {
  return std::string(column.key[0]) + (column.key[1].empty() ? "" : ", " + std::string(column.key[1]));
}

using KeyPart = std::variant<std::int64_t, std::string, Bytes>;

KeyPart part_of(const store::Row& row, int at) {
  if (row.type(at) == store::ColumnType::integer) return row.integer(at);
  if (row.type(at) == store::ColumnType::text) return row.text(at);
  return row.blob(at);
}

/// As the column's context has it: a number (a leg) is one octet.
void append_part(Bytes& out, const KeyPart& part) {
  if (const auto* number = std::get_if<std::int64_t>(&part)) {
    out.push_back(static_cast<std::uint8_t>(*number));
  } else if (const auto* text = std::get_if<std::string>(&part)) {
    append(out, as_bytes(*text));
  } else {
    append(out, std::get<Bytes>(part));
  }
}

store::Value value_of(const KeyPart& part) {
  if (const auto* number = std::get_if<std::int64_t>(&part)) return *number;
  if (const auto* text = std::get_if<std::string>(&part)) return std::string_view(*text);
  return ByteView(std::get<Bytes>(part));
}

}  // namespace

Bytes context_of(std::string_view table, std::string_view column, ByteView key) {
  return store::column_context(std::string(table) + "." + std::string(column), key);
}

Result<std::vector<SealedCell>> cells_not_under(store::Transaction& transaction, const SealedColumn& column, ByteView header, std::size_t most) {
  std::vector<SealedCell> out;
  const std::string sealed(column.column);
  const std::string sql = "SELECT " + sealed + ", " + keys_of(column) + " FROM " + std::string(column.table) + " WHERE " + sealed + " IS NOT NULL AND substr(" +
                          sealed + ", 1, CAST(? AS SMALLINT)) <> ? LIMIT ?";
  TRY(transaction.query(sql, {store::column(header.size()), header, store::column(most)}, [&](const store::Row& row) {
    SealedCell cell{.key = {}, .context = {}, .sealed = row.blob(0)};
    Bytes key;
    for (int i = 1; i < row.columns(); ++i) {
      cell.key.push_back(part_of(row, i));
      append_part(key, cell.key.back());
    }
    cell.context = context_of(column.table, column.column, key);
    out.push_back(std::move(cell));
  }));
  return out;
}

Result<bool> any_under(store::Transaction& transaction, const SealedColumn& column, ByteView header) {
  bool out = false;
  const std::string sealed(column.column);
  TRY(transaction.query("SELECT 1 FROM " + std::string(column.table) + " WHERE substr(" + sealed + ", 1, CAST(? AS SMALLINT)) = ? LIMIT 1", {store::column(header.size()), header},
                        [&](const store::Row&) { out = true; }));
  return out;
}

Result<void> put_cell(store::Transaction& transaction, const SealedColumn& column, const SealedCell& cell, ByteView sealed) {
  std::string sql = "UPDATE " + std::string(column.table) + " SET " + std::string(column.column) + " = ? WHERE " + std::string(column.key[0]) + " = ?";
  std::vector<store::Value> values{sealed, value_of(cell.key[0])};
  if (!column.key[1].empty()) {
    sql += " AND " + std::string(column.key[1]) + " = ?";
    values.push_back(value_of(cell.key[1]));
  }
  ASSIGN_OR_RETURN(const std::int64_t changed, transaction.run(sql, std::span<const store::Value>(values)));
  if (changed != 1) return fail(ErrorCode::internal, std::string(column.table) + ": a row is there " + std::to_string(changed) + " times");
  return {};
}

}  // namespace qanat::kms
