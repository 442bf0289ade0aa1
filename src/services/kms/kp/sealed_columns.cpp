#include "services/kms/kp/sealed_columns.hpp"

#include <algorithm>

#include "kme/stock/assignments.hpp"
#include "kme/stock/key_stock.hpp"
#include "services/kms/csa/key_sealer.hpp"
#include "services/kms/kim/stock.hpp"

namespace qanat::kms {
namespace {

/// Those of the row's key first, then those of its context that are not the key.
std::string selected_of(const SealedColumn& column) {
  std::string out;
  for (const std::string_view name : column.key) out += name.empty() ? "" : ", " + std::string(name);
  for (const std::string_view name : column.context_columns) out += name.empty() ? "" : ", " + std::string(name);
  return out;
}
std::size_t keys_of(const SealedColumn& column) { return static_cast<std::size_t>(std::ranges::count_if(column.key, [](std::string_view name) { return !name.empty(); })); }

CellPart part_of(const store::Row& row, int at) {
  if (row.type(at) == store::ColumnType::integer) return row.integer(at);
  if (row.type(at) == store::ColumnType::text) return row.text(at);
  return row.blob(at);
}

/// As the column's context has it: a number (a leg) is one octet.
void append_part(Bytes& out, const CellPart& part) {
  if (const auto* number = std::get_if<std::int64_t>(&part)) {
    out.push_back(static_cast<std::uint8_t>(*number));
  } else if (const auto* text = std::get_if<std::string>(&part)) {
    append(out, as_bytes(*text));
  } else {
    append(out, std::get<Bytes>(part));
  }
}

store::Value value_of(const CellPart& part) {
  if (const auto* number = std::get_if<std::int64_t>(&part)) return *number;
  if (const auto* text = std::get_if<std::string>(&part)) return std::string_view(*text);
  return ByteView(std::get<Bytes>(part));
}

}  // namespace

// Columns of STRICT tables: the types are those of the schema.
Bytes csa_version_context(std::span<const CellPart> parts) {
  return csa::KeySealer::context(csa::CsaKeyId(std::get<Bytes>(parts[0])), static_cast<std::uint32_t>(std::get<std::int64_t>(parts[1])));
}
Bytes charged_key_context_of(std::span<const CellPart> parts) {
  return charged_key_context(wire::MediumId(std::get<Bytes>(parts[0])), static_cast<wire::KeySet>(std::get<std::int64_t>(parts[1])),
                             static_cast<std::uint32_t>(std::get<std::int64_t>(parts[2])));
}
Bytes key_chunk_context(std::span<const CellPart> parts) { return kme::chunk_context(BatchId(std::get<Bytes>(parts[0])), std::get<Bytes>(parts[1])); }
Bytes sae_key_context(std::span<const CellPart> parts) {
  return kme::assignment_context({.batch = BatchId(std::get<Bytes>(parts[0])), .first = static_cast<std::uint32_t>(std::get<std::int64_t>(parts[1]))});
}

Bytes context_of(std::string_view table, std::string_view column, ByteView key) {
  return store::column_context(std::string(table) + "." + std::string(column), key);
}

Result<std::vector<SealedCell>> cells_not_under(store::Transaction& transaction, const SealedColumn& column, ByteView header, std::size_t most) {
  std::vector<SealedCell> out;
  const std::string sealed(column.column);
  const std::string sql = "SELECT " + sealed + selected_of(column) + " FROM " + std::string(column.table) + " WHERE " + sealed + " IS NOT NULL AND substr(" +
                          sealed + ", 1, CAST(? AS SMALLINT)) <> ? LIMIT ?";
  TRY(transaction.query(sql, {store::column(header.size()), header, store::column(most)}, [&](const store::Row& row) {
    SealedCell cell{.key = {}, .context = {}, .sealed = row.blob(0)};
    std::vector<CellPart> parts;
    for (int i = 1; i < row.columns(); ++i) parts.push_back(part_of(row, i));
    const auto key_end = parts.begin() + static_cast<std::ptrdiff_t>(keys_of(column));
    cell.key.assign(parts.begin(), key_end);
    if (column.context != nullptr) {
      const std::span<const CellPart> all(parts);
      cell.context = column.context(column.context_columns[0].empty() ? all : all.subspan(cell.key.size()));
    } else {
      Bytes key;
      for (const CellPart& part : cell.key) append_part(key, part);
      cell.context = context_of(column.table, column.column, key);
    }
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
  std::string sql = "UPDATE " + std::string(column.table) + " SET " + std::string(column.column) + " = ?";
  std::vector<store::Value> values{sealed};
  for (std::size_t i = 0; i < cell.key.size(); ++i) {
    sql += (i == 0 ? " WHERE " : " AND ") + std::string(column.key[i]) + " = ?";
    values.push_back(value_of(cell.key[i]));
  }
  ASSIGN_OR_RETURN(const std::int64_t changed, transaction.run(sql, std::span<const store::Value>(values)));
  if (changed != 1) return fail(ErrorCode::internal, std::string(column.table) + ": a row is there " + std::to_string(changed) + " times");
  return {};
}

}  // namespace qanat::kms
