#include "store/postgresql_values.hpp"

#include <algorithm>

namespace qanat::store {
namespace {

// Numbers of PostgreSQL's built-in types (src/include/catalog/pg_type.dat of its source); they never change.
constexpr Oid type_bool = 16;
constexpr Oid type_bytea = 17;
constexpr Oid type_name = 19;
constexpr Oid type_int8 = 20;
constexpr Oid type_int2 = 21;
constexpr Oid type_int4 = 23;
constexpr Oid type_text = 25;
constexpr Oid type_unknown = 705;
constexpr Oid type_varchar = 1043;
constexpr Oid type_numeric = 1700;
constexpr Oid type_xid8 = 5069;
constexpr std::array known_types{type_bool, type_bytea,   type_name,    type_int8,    type_int2, type_int4,
                                 type_text, type_unknown, type_varchar, type_numeric, type_xid8};

std::int64_t big_endian(ByteView octets) {
  std::uint64_t out = octets.empty() || octets[0] < 0x80 ? 0 : ~std::uint64_t{0};
  for (const std::uint8_t octet : octets) out = out << 8U | octet;
  return static_cast<std::int64_t>(out);
}

/// sum() of whole numbers: digits of base 10000, the first of weight `weight`; 0 for what does not fit or is not whole.
std::int64_t whole_numeric(ByteView octets) {
  constexpr std::size_t head = 8;
  if (octets.size() < head) return 0;
  const std::int64_t digits = big_endian(octets.first(2));
  const std::int64_t weight = big_endian(octets.subspan(2, 2));
  const std::int64_t sign = big_endian(octets.subspan(4, 2));
  if (digits < 0 || octets.size() != head + 2 * static_cast<std::size_t>(digits) || digits > weight + 1 || weight > 4 || (sign != 0 && sign != 0x4000))
    return 0;
  std::int64_t out = 0;
  for (std::int64_t i = 0; i <= weight; ++i) {
    const std::int64_t digit = i < digits ? big_endian(octets.subspan(head + 2 * static_cast<std::size_t>(i), 2)) : 0;
    if (__builtin_mul_overflow(out, 10000, &out) || __builtin_add_overflow(out, digit, &out)) return 0;
  }
  return sign == 0 ? out : -out;
}

}  // namespace

void PostgresqlValues::add(char letter, Oid type, const char* octets, std::size_t length) {
  signature_ += letter;
  types_.push_back(type);
  octets_.push_back(octets);
  lengths_.push_back(static_cast<int>(length));
  formats_.push_back(1);
}

const char* PostgresqlValues::kept(const char* octets, std::size_t length, Octets how) {
  if (length == 0) return "";
  if (how == Octets::stay) return octets;
  return copies_.emplace_back(std::make_unique<const std::string>(octets, length))->data();
}

Result<PostgresqlValues> PostgresqlValues::of(std::span<const Value> values, std::string_view sql, Octets how) {
  constexpr std::size_t value_octets_max = 1U << 28U;
  PostgresqlValues out;
  for (const Value& value : values) {
    if (const auto* integer = std::get_if<std::int64_t>(&value)) {
      std::array<char, 8>& octets = out.integers_.emplace_back();
      for (std::size_t i = 0; i < octets.size(); ++i) octets[i] = static_cast<char>(static_cast<std::uint64_t>(*integer) >> (8 * (octets.size() - 1 - i)));
      out.add('i', type_int8, octets.data(), octets.size());
    } else if (const auto* text = std::get_if<std::string_view>(&value)) {
      if (text->contains('\0')) return fail(ErrorCode::invalid_argument, "a text with a zero octet in: " + std::string(sql));
      if (text->size() > value_octets_max) return fail(ErrorCode::invalid_argument, "a value too large in: " + std::string(sql));
      out.add('t', type_text, out.kept(text->data(), text->size(), how), text->size());
    } else if (const auto* octets = std::get_if<ByteView>(&value)) {
      if (octets->size() > value_octets_max) return fail(ErrorCode::invalid_argument, "a value too large in: " + std::string(sql));
      out.add('o', type_bytea, out.kept(reinterpret_cast<const char*>(octets->data()), octets->size(), how), octets->size());
    } else {
      out.add('n', 0, nullptr, 0);  // of whatever type its place has
    }
  }
  return Result<PostgresqlValues>(std::move(out));
}

Result<void> check_columns(const PGresult& result, std::string_view sql) {
  for (int column = 0; column < PQnfields(&result); ++column) {
    const Oid type = PQftype(&result, column);
    if (std::ranges::find(known_types, type) != known_types.end()) continue;
    return fail(ErrorCode::internal, "column " + std::to_string(column) + " is of type " + std::to_string(type) + ", cast it, in: " + std::string(sql));
  }
  return {};
}

ByteView PostgresqlRow::octets(int column) const {
  const char* start = PQgetvalue(&result_, row_, column);
  return {reinterpret_cast<const std::uint8_t*>(start), static_cast<std::size_t>(PQgetlength(&result_, row_, column))};
}

ColumnType PostgresqlRow::type(int column) const {
  if (is_null(column)) return ColumnType::null;
  switch (PQftype(&result_, column)) {
    case type_bytea:
      return ColumnType::blob;
    case type_bool:
    case type_int2:
    case type_int4:
    case type_int8:
    case type_xid8:
    case type_numeric:
      return ColumnType::integer;
    default:
      return ColumnType::text;
  }
}

std::int64_t PostgresqlRow::integer(int column) const {
  if (is_null(column)) return 0;
  switch (PQftype(&result_, column)) {
    case type_bool:
      return octets(column)[0];
    case type_int2:
    case type_int4:
    case type_int8:
    case type_xid8:
      return big_endian(octets(column));
    case type_numeric:
      return whole_numeric(octets(column));
    default:
      return 0;
  }
}

std::string PostgresqlRow::text(int column) const {
  if (is_null(column)) return {};
  const Oid type = PQftype(&result_, column);
  if (type == type_text || type == type_varchar || type == type_name || type == type_unknown || type == type_bytea) return std::string(as_text(octets(column)));
  return std::to_string(integer(column));
}

Bytes PostgresqlRow::blob(int column) const { return is_null(column) ? Bytes() : Bytes(octets(column).begin(), octets(column).end()); }

}  // namespace qanat::store
