// The codes of one-way error correction: quasi-cyclic low-density parity checks, one code for every number of checks, each with more
// checks to follow. An own construction; no security rests on it, only how little is disclosed.
//
// A frame is cut into columns of 128 bits, the checks into rows of 128. An edge (column, shift) puts bit (z + shift) mod 128 of the column
// into check z of the row. Column degrees follow a table that density evolution of our decoder gave (ldpc_code.cpp); degree-2 columns form one
// path, so they close no cycle among themselves; the other edges go to the emptiest rows, with shifts that close no cycle of length four
// as long as there is one. Everything is drawn from a generator in integers, so both ends build the same code.
//
// More checks come by splitting (as in LDPCA; Varodayan, Aaron, Girod 2006): extension k takes half of the edges out of a row into a new row.
// Its parities are disclosed; those of the other half follow. So no parity that was given out is ever wasted.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/bytes.hpp"

namespace qanat::qkd {

inline constexpr std::size_t circulant_bits = 128;
inline constexpr std::size_t circulant_octets = circulant_bits / 8;
inline constexpr std::size_t ldpc_columns_max = 512;  // frame_bits / circulant_bits
inline constexpr std::size_t ldpc_columns_min = 16;   // below there is no code worth the name

inline constexpr std::size_t ldpc_degree_max = 255;  // edges of a row

/// 128 bits; bit z is bit (z mod 64) of word z/64.
using Circulant = std::array<std::uint64_t, 2>;

/// Bit z of the result is bit (z + shift) mod 128.
constexpr Circulant rotated(const Circulant& in, unsigned shift) noexcept {
  const unsigned half = shift / 64 & 1U;
  const unsigned by = shift % 64;
  const std::uint64_t low = in[half];
  const std::uint64_t high = in[half ^ 1U];
  if (by == 0) return {low, high};
  return {low >> by | high << (64 - by), high >> by | low << (64 - by)};
}

struct LdpcEdge {
  std::uint16_t column = 0;
  std::uint8_t shift = 0;
  bool operator==(const LdpcEdge&) const = default;
};
using LdpcRow = std::vector<LdpcEdge>;

class LdpcCode {
 public:
  /// columns: ldpc_columns_min .. ldpc_columns_max; rows: rows_min(columns) .. rows_max(columns).
  LdpcCode(std::size_t columns, std::size_t rows);

  /// As few, and as many, rows as a code may begin with. Fewer would be longer than ldpc_degree_max.
  static std::size_t rows_min(std::size_t columns) noexcept { return columns <= 256 ? 4 : (columns + 63) / 64; }
  static std::size_t rows_max(std::size_t columns) noexcept { return columns * 5 / 8; }

  [[nodiscard]] std::size_t columns() const noexcept { return column_degree_.size(); }
  [[nodiscard]] std::size_t base_rows() const noexcept { return base_.size(); }
  /// The most rows, after every extension.
  [[nodiscard]] std::size_t total_rows() const noexcept { return base_.size() + extensions_.size(); }
  [[nodiscard]] std::span<const std::uint8_t> column_degrees() const noexcept { return column_degree_; }
  /// The rows as they stand with the first `rows` of them disclosed, base_rows() .. total_rows().
  [[nodiscard]] std::vector<LdpcRow> rows(std::size_t rows) const;
  /// The row that row number `row` >= base_rows() was split from.
  [[nodiscard]] std::size_t parent(std::size_t row) const { return extensions_[row - base_.size()].parent; }
  /// How many edges row number `row` >= base_rows() began with.
  [[nodiscard]] std::size_t taken_degree(std::size_t row) const { return extensions_[row - base_.size()].taken.size(); }
  /// The parities that Alice discloses as number `row`, of a frame given by its columns.
  [[nodiscard]] Circulant parities(std::size_t row, std::span<const Circulant> frame) const;

 private:
  struct Extension {
    std::size_t parent = 0;
    LdpcRow taken;
  };
  void place_edges();
  void plan_extensions();

  std::vector<std::uint8_t> column_degree_;
  std::vector<LdpcRow> base_;
  std::vector<Extension> extensions_;
};

/// The exclusive or over the row's edges.
Circulant row_parities(const LdpcRow& row, std::span<const Circulant> frame) noexcept;

}  // namespace qanat::qkd
