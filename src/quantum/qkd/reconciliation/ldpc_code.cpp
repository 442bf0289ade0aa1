#include "quantum/qkd/reconciliation/ldpc_code.hpp"

#include <algorithm>
#include <bit>

#include "base/check.hpp"

namespace qanat::qkd {
namespace {

constexpr std::array<std::uint8_t, 4> degree_of_class = {2, 3, 6, 13};

/// How many of 10,000 columns have each degree, by rows per 1,000 columns. Found by differential evolution over the density evolution of
/// ldpc_evolution.cpp (24 iterations), for the largest error rate that converges.
struct DegreeShares {
  std::uint32_t rows_per_mille;
  std::array<std::uint32_t, 4> shares;
};
constexpr std::array<DegreeShares, 7> degree_table = {{
    {.rows_per_mille = 55, .shares = {520, 5470, 1160, 2850}},
    {.rows_per_mille = 90, .shares = {700, 5840, 670, 2790}},
    {.rows_per_mille = 170, .shares = {920, 6410, 70, 2600}},
    {.rows_per_mille = 250, .shares = {1300, 6400, 0, 2300}},
    {.rows_per_mille = 350, .shares = {1800, 6200, 0, 2000}},
    {.rows_per_mille = 500, .shares = {2270, 6150, 0, 1580}},
    {.rows_per_mille = 620, .shares = {2650, 6130, 0, 1220}},
}};

/// SplitMix64 (Steele, Lea, Flood 2014).
class Sequence {
 public:
  explicit Sequence(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15U;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9U;
    z = (z ^ z >> 27) * 0x94d049bb133111ebU;
    return z ^ z >> 31;
  }
  std::size_t below(std::size_t bound) { return static_cast<std::size_t>((next() >> 32) * bound >> 32); }

 private:
  std::uint64_t state_;
};

std::array<std::uint32_t, 4> shares_for(std::size_t columns, std::size_t rows) {
  const auto wanted = static_cast<std::uint32_t>(rows * 1000 / columns);
  if (wanted <= degree_table.front().rows_per_mille) return degree_table.front().shares;
  for (std::size_t i = 1; i < degree_table.size(); ++i) {
    const DegreeShares& low = degree_table[i - 1];
    const DegreeShares& high = degree_table[i];
    if (wanted > high.rows_per_mille) continue;
    const std::uint32_t span = high.rows_per_mille - low.rows_per_mille;
    const std::uint32_t part = wanted - low.rows_per_mille;
    std::array<std::uint32_t, 4> shares{};
    for (std::size_t k = 0; k < shares.size(); ++k) shares[k] = (low.shares[k] * (span - part) + high.shares[k] * part) / span;
    return shares;
  }
  return degree_table.back().shares;
}

/// Degrees in the order of the columns, the classes mixed evenly.
std::vector<std::uint8_t> degrees_for(std::size_t columns, std::size_t rows, Sequence& sequence) {
  const std::array<std::uint32_t, 4> shares = shares_for(columns, rows);
  std::vector<std::uint8_t> degrees;
  for (const std::size_t k : {std::size_t{0}, std::size_t{2}, std::size_t{3}}) {
    std::size_t count = (shares[k] * columns + 5'000) / 10'000;
    if (k == 0) count = std::min(count, rows - 1);  // a path visits each row once
    // A row holds a column once; what has fewer rows than its degree asks for leaves room.
    const auto degree = static_cast<std::uint8_t>(std::min<std::size_t>(degree_of_class[k], std::max<std::size_t>(3, rows / 2)));
    degrees.insert(degrees.end(), std::min(count, columns - degrees.size()), k == 0 ? std::uint8_t{2} : degree);
  }
  degrees.resize(columns, 3);
  for (std::size_t i = columns; i > 1; --i) std::swap(degrees[i - 1], degrees[sequence.below(i)]);
  return degrees;
}

void set_bit(Circulant& set, unsigned bit) noexcept { set[bit / 64 % 2] |= std::uint64_t{1} << (bit % 64); }

/// A bit that is clear in `taken`, the first at or behind `from`; `from` when all are set.
unsigned free_shift(const Circulant& taken, unsigned from) noexcept {
  const Circulant turned = rotated(taken, from);
  for (unsigned half = 0; half < 2; ++half)
    if (~turned[half] != 0) return (from + half * 64 + static_cast<unsigned>(std::countr_zero(~turned[half]))) % circulant_bits;
  return from;
}

/// Puts edges into rows while keeping account of which shift differences each pair of rows has used: a difference used twice is a cycle of length four.
class Placement {
 public:
  Placement(std::vector<LdpcRow>& rows, Sequence& sequence) : rows_(rows), sequence_(sequence), used_(rows.size() * rows.size()) {}

  void begin_column(std::size_t column) {
    column_ = column;
    own_.clear();
  }
  void connect(std::size_t row) {
    Circulant taken{};
    for (const auto& [other, shift] : own_) {
      // Shift s is taken when s - shift is a used difference of (row, other).
      const Circulant mask = rotated(used_[row * rows_.size() + other], static_cast<unsigned>(circulant_bits - shift) % circulant_bits);
      taken[0] |= mask[0];
      taken[1] |= mask[1];
    }
    const unsigned shift = free_shift(taken, static_cast<unsigned>(sequence_.below(circulant_bits)));
    for (const auto& [other, theirs] : own_) {
      set_bit(used_[row * rows_.size() + other], (shift + circulant_bits - theirs) % circulant_bits);
      set_bit(used_[other * rows_.size() + row], (theirs + circulant_bits - shift) % circulant_bits);
    }
    own_.emplace_back(row, shift);
    rows_[row].push_back({.column = static_cast<std::uint16_t>(column_), .shift = static_cast<std::uint8_t>(shift)});
  }
  /// The emptiest row that the column is not in yet; among equals one at random.
  std::size_t emptiest() {
    std::size_t best = rows_.size();
    std::size_t equals = 0;
    for (std::size_t row = 0; row < rows_.size(); ++row) {
      if (std::ranges::any_of(own_, [&](const auto& edge) { return edge.first == row; })) continue;
      if (best == rows_.size() || rows_[row].size() < rows_[best].size()) {
        best = row;
        equals = 1;
      } else if (rows_[row].size() == rows_[best].size() && sequence_.below(++equals) == 0) {
        best = row;
      }
    }
    return best;
  }

 private:
  std::vector<LdpcRow>& rows_;
  Sequence& sequence_;
  std::vector<Circulant> used_;
  std::vector<std::pair<std::size_t, unsigned>> own_;
  std::size_t column_ = 0;
};

}  // namespace

Circulant row_parities(const LdpcRow& row, std::span<const Circulant> frame) noexcept {
  Circulant sum{};
  for (const LdpcEdge& edge : row) {
    const Circulant turned = rotated(frame[edge.column], edge.shift);
    sum[0] ^= turned[0];
    sum[1] ^= turned[1];
  }
  return sum;
}

LdpcCode::LdpcCode(std::size_t columns, std::size_t rows) : base_(rows) {
  CHECK(columns >= ldpc_columns_min && columns <= ldpc_columns_max && rows >= rows_min(columns) && rows <= rows_max(columns));
  column_degree_.resize(columns);
  place_edges();
  plan_extensions();
}

void LdpcCode::place_edges() {
  Sequence sequence(0x716b642d6c647063U ^ (columns() << 16) ^ base_.size());
  column_degree_ = degrees_for(columns(), base_.size(), sequence);
  Placement placement(base_, sequence);
  std::vector<std::size_t> order(columns());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::ranges::sort(order, {}, [&](std::size_t column) { return std::pair(column_degree_[column], column); });
  std::vector<std::size_t> path(base_.size());
  for (std::size_t i = 0; i < path.size(); ++i) path[i] = i;
  for (std::size_t i = path.size(); i > 1; --i) std::swap(path[i - 1], path[sequence.below(i)]);
  std::size_t step = 0;
  for (const std::size_t column : order) {
    placement.begin_column(column);
    if (column_degree_[column] == 2) {
      placement.connect(path[step]);
      placement.connect(path[++step]);
      continue;
    }
    for (std::size_t edge = 0; edge < column_degree_[column]; ++edge) placement.connect(placement.emptiest());
  }
  for (LdpcRow& row : base_) std::ranges::sort(row, {}, &LdpcEdge::column);
}

void LdpcCode::plan_extensions() {
  std::vector<LdpcRow> now = base_;
  const std::size_t most = columns() * 7 / 8;
  Sequence sequence(columns() << 16 ^ base_.size());
  while (now.size() < most) {
    // The longest row; among equals one at random, so that any number of extensions is spread over the code.
    std::size_t parent = 0;
    std::size_t equals = 1;
    for (std::size_t row = 1; row < now.size(); ++row) {
      if (now[row].size() > now[parent].size()) {
        parent = row;
        equals = 1;
      } else if (now[row].size() == now[parent].size() && sequence.below(++equals) == 0) {
        parent = row;
      }
    }
    if (now[parent].size() < 6) break;
    // By degree and then alternately, so that both halves have columns of every degree.
    LdpcRow sorted = now[parent];
    std::ranges::sort(sorted, {}, [&](const LdpcEdge& edge) { return std::pair(column_degree_[edge.column], edge.column); });
    std::array<LdpcRow, 2> halves;
    for (std::size_t i = 0; i < sorted.size(); ++i) halves[(i + 1) / 2 % 2].push_back(sorted[i]);
    for (LdpcRow& half : halves) std::ranges::sort(half, {}, &LdpcEdge::column);
    now[parent] = halves[0];
    now.push_back(halves[1]);
    extensions_.push_back({.parent = parent, .taken = halves[1]});
  }
}

std::vector<LdpcRow> LdpcCode::rows(std::size_t count) const {
  CHECK(count >= base_rows() && count <= total_rows());
  std::vector<LdpcRow> out = base_;
  for (std::size_t row = base_rows(); row < count; ++row) {
    const Extension& extension = extensions_[row - base_rows()];
    std::erase_if(out[extension.parent], [&](const LdpcEdge& edge) { return std::ranges::binary_search(extension.taken, edge.column, {}, &LdpcEdge::column); });
    out.push_back(extension.taken);
  }
  return out;
}

Circulant LdpcCode::parities(std::size_t row, std::span<const Circulant> frame) const {
  return row_parities(row < base_rows() ? base_[row] : extensions_[row - base_rows()].taken, frame);
}

}  // namespace qanat::qkd
