// Values and rows as PostgreSQL's protocol has them, in binary. Private to store.
#pragma once

#include <libpq-fe.h>

#include <array>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "store/store.hpp"

namespace qanat::store {

/// Values of one statement.
class PostgresqlValues {
 public:
  /// Texts and octets that stay where they are must outlive this.
  enum class Octets : std::uint8_t { stay, are_copied };
  /// `invalid_argument` for a text with a zero octet, which PostgreSQL does not keep (and which no element has).
  static Result<PostgresqlValues> of(std::span<const Value> values, std::string_view sql, Octets octets);
  /// One letter per value, its type: statements are prepared for types.
  [[nodiscard]] const std::string& signature() const noexcept { return signature_; }
  [[nodiscard]] int count() const noexcept { return static_cast<int>(types_.size()); }
  [[nodiscard]] const Oid* types() const noexcept { return types_.data(); }
  [[nodiscard]] const char* const* octets() const noexcept { return octets_.data(); }
  [[nodiscard]] const int* lengths() const noexcept { return lengths_.data(); }
  [[nodiscard]] const int* formats() const noexcept { return formats_.data(); }

 private:
  void add(char letter, Oid type, const char* octets, std::size_t length);
  /// Where they are from now on.
  const char* kept(const char* octets, std::size_t length, Octets how);
  std::string signature_;
  std::deque<std::array<char, 8>> integers_;                // does not move
  std::vector<std::unique_ptr<const std::string>> copies_;  // nor do these; and nobody copies this, which would point into the other
  std::vector<Oid> types_;
  std::vector<const char*> octets_;
  std::vector<int> lengths_;
  std::vector<int> formats_;
};

/// `internal` unless every column is of a type that a Row can give: integers, truth values, whole numerics, texts, octets.
Result<void> check_columns(const PGresult& result, std::string_view sql);

class PostgresqlRow final : public Row {
 public:
  PostgresqlRow(const PGresult& result, int row) : result_(result), row_(row) {}
  [[nodiscard]] int columns() const override { return PQnfields(&result_); }
  [[nodiscard]] std::string name(int column) const override { return PQfname(&result_, column); }
  [[nodiscard]] ColumnType type(int column) const override;
  /// As SQLite gives it: 0 for NULL and for what is no number.
  [[nodiscard]] std::int64_t integer(int column) const override;
  [[nodiscard]] std::string text(int column) const override;
  [[nodiscard]] Bytes blob(int column) const override;
  [[nodiscard]] bool is_null(int column) const override { return PQgetisnull(&result_, row_, column) != 0; }

 private:
  [[nodiscard]] ByteView octets(int column) const;
  const PGresult& result_;
  int row_;
};

}  // namespace qanat::store
