#include "quantum/qkd/reconciliation/ldpc_decoder.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/check.hpp"
#include "base/secret.hpp"
#include "quantum/qkd/reconciliation/ldpc_kernel.hpp"
#include "quantum/qkd/reconciliation/ldpc_rate.hpp"

namespace qanat::qkd {
namespace {

constexpr std::size_t iterations_max = 60;
constexpr std::size_t evolution_max = 80;
constexpr double efficiency_max = 8;
constexpr double standstill = 0.97;
constexpr std::int8_t certain = 127;

/// The ensemble that the code is one of, at the error rate for which this many rows are `efficiency` times the Shannon limit.
Ensemble ensemble_of(const LdpcCode& code, double efficiency) {
  Ensemble out;
  const auto columns = static_cast<double>(code.columns());
  for (const std::uint8_t degree : code.column_degrees()) {
    if (out.column_share.size() <= degree) out.column_share.resize(degree + 1U);
    out.column_share[degree] += 1 / columns;
  }
  const auto rows = static_cast<double>(code.base_rows());
  for (const LdpcRow& row : code.rows(code.base_rows())) {
    if (out.row_share.size() <= row.size()) out.row_share.resize(row.size() + 1);
    out.row_share[row.size()] += 1 / rows;
  }
  out.error_rate = error_rate_of_entropy(rows / columns / efficiency);
  return out;
}

static_assert(std::endian::native == std::endian::little, "octet i of a word is lane i");

/// Eight octets, 0x80 where the bit is set.
std::uint64_t signs_of(std::uint8_t bits) noexcept {
  const std::uint64_t apart = bits * 0x0101010101010101U & 0x8040201008040201U;
  return (apart + 0x7f7f7f7f7f7f7f7fU) & 0x8080808080808080U;
}
/// The other way: the uppermost bit of each of eight octets.
std::uint64_t bits_of(std::uint64_t octets) noexcept { return (octets >> 7 & 0x0101010101010101U) * 0x0102040810204080U >> 56; }

}  // namespace

LdpcKernel best_ldpc_kernel() noexcept {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return LdpcKernel::avx2;
#endif
  return LdpcKernel::portable;
}

LdpcPlan::LdpcPlan(std::size_t columns, std::size_t rows) : code_(columns, rows) {
  Ensemble ensemble;
  // Codes with few rows converge only farther from the limit.
  double efficiency = 1.2;
  while (steps_.empty() && efficiency < efficiency_max) {
    ensemble = ensemble_of(code_, efficiency);
    steps_ = evolve(ensemble, evolution_max);
    efficiency *= 1.08;
  }
  // A code that a stranger chose badly is decoded badly, with the constant factor of an empty step.
  if (steps_.empty()) steps_.emplace_back();
  std::vector<bool> occurs(ldpc_degree_max + 1);
  std::vector<std::size_t> degrees;
  for (const LdpcRow& row : code_.rows(code_.base_rows())) {
    CHECK(row.size() <= ldpc_degree_max);
    degrees.push_back(row.size());
    occurs[row.size()] = true;
  }
  for (std::size_t row = code_.base_rows(); row < code_.total_rows(); ++row) {
    const std::size_t taken = code_.taken_degree(row);
    degrees[code_.parent(row)] -= taken;
    degrees.push_back(taken);
    occurs[taken] = occurs[degrees[code_.parent(row)]] = true;
  }
  tables_.resize(ldpc_degree_max + 1);
  for (std::size_t degree = 2; degree < occurs.size(); ++degree) {
    if (!occurs[degree]) continue;
    for (const EvolutionStep& step : steps_) tables_[degree].push_back(check_table(step, degree, ensemble.error_rate));
  }
}

LdpcGraph::LdpcGraph(const LdpcPlan& plan, std::size_t rows) : plan_(&plan), shape_(plan.code().rows(rows)) {
  std::vector<int> shift(plan.code().columns(), -1);
  resting_shift_.resize(shift.size());
  for (const LdpcRow& row : shape_)
    for (const LdpcEdge& edge : row) resting_shift_[edge.column] = edge.shift;
  for (const LdpcRow& row : shape_) {
    rows_.push_back({.first = static_cast<std::uint32_t>(edges_.size()), .degree = static_cast<std::uint16_t>(row.size())});
    degree_max_ = std::max(degree_max_, row.size());
    for (const LdpcEdge& edge : row) {
      const unsigned before = shift[edge.column] < 0 ? resting_shift_[edge.column] : static_cast<unsigned>(shift[edge.column]);
      edges_.push_back({.column = edge.column, .turn = static_cast<std::uint8_t>((edge.shift + circulant_bits - before) % circulant_bits)});
      shift[edge.column] = edge.shift;
    }
  }
  for (std::size_t step = 0; step < plan.step_count(); ++step) {
    double odd = 0;
    for (const Row& row : rows_) odd += (1 - std::pow(plan.mean_sign(step), row.degree)) / 2 * circulant_bits;
    unsatisfied_.push_back(odd);
  }
}

double LdpcGraph::error_rate(std::size_t odd) const {
  double low = 0;
  double high = 0.25;
  for (int turn = 0; turn < 30; ++turn) {
    const double middle = (low + high) / 2;
    double expected = 0;
    for (const Row& row : rows_) expected += (1 - std::pow(1 - 2 * middle, row.degree)) / 2 * circulant_bits;
    (expected < static_cast<double>(odd) ? low : high) = middle;
  }
  return high;
}

LdpcDecoder::~LdpcDecoder() {
  for (std::vector<std::int8_t>* buffer : {&beliefs_, &messages_}) wipe({reinterpret_cast<std::uint8_t*>(buffer->data()), buffer->size()});
  wipe(parity_);
}

void LdpcDecoder::begin(const LdpcGraph& graph, std::span<const Circulant> difference, std::size_t known_from) {
  const std::size_t columns = graph.plan().code().columns();
  beliefs_.resize(std::max(beliefs_.size(), columns * ldpc_belief_stride));
  std::fill_n(beliefs_.begin(), columns * ldpc_belief_stride, static_cast<std::int8_t>(channel_message));
  for (std::size_t column = known_from / circulant_bits; column < columns; ++column) {
    for (std::size_t z = 0; z < ldpc_belief_stride; ++z) {
      const std::size_t bit = column * circulant_bits + (z + graph.resting_shift()[column]) % circulant_bits;
      if (bit >= known_from) beliefs_[column * ldpc_belief_stride + z] = certain;
    }
  }
  const std::size_t messages = graph.edges().size() * circulant_bits;
  messages_.resize(std::max(messages_.size(), messages));
  std::fill_n(messages_.begin(), messages, std::int8_t{0});
  parity_.resize(std::max(parity_.size(), difference.size() * circulant_bits));
  for (std::size_t row = 0; row < difference.size(); ++row) {
    for (std::size_t octet = 0; octet < circulant_octets; ++octet) {
      const std::uint64_t signs = signs_of(static_cast<std::uint8_t>(difference[row][octet / 8] >> (octet % 8 * 8)));
      std::memcpy(parity_.data() + row * circulant_bits + octet * 8, &signs, sizeof signs);
    }
  }
}

void LdpcDecoder::read_errors(const LdpcGraph& graph, std::span<Circulant> errors) const {
  for (std::size_t column = 0; column < errors.size(); ++column) {
    const std::int8_t* belief = beliefs_.data() + column * ldpc_belief_stride;
    Circulant turned{};
    for (std::size_t octet = 0; octet < circulant_octets; ++octet) {
      std::uint64_t eight = 0;
      std::memcpy(&eight, belief + octet * 8, sizeof eight);
      turned[octet / 8] |= bits_of(eight) << (octet % 8 * 8);
    }
    errors[column] = rotated(turned, static_cast<unsigned>(circulant_bits - graph.resting_shift()[column]) % circulant_bits);
  }
}

LdpcDecoding LdpcDecoder::decode(const LdpcGraph& graph, std::span<const Circulant> difference, std::size_t known_from, std::span<Circulant> errors) {
  CHECK(difference.size() == graph.rows().size() && errors.size() == graph.plan().code().columns());
  begin(graph, difference, known_from);
  const std::span<const double> expected = graph.unsatisfied();
  const auto iterate = kernel_ == LdpcKernel::avx2 ? iterate_avx2 : iterate_portable;
  LdpcDecoding out;
  std::array<std::size_t, 8> history{};
  std::size_t step = 0;
  while (out.iterations < iterations_max) {
    const std::size_t unsatisfied = iterate({.graph = graph, .beliefs = beliefs_.data(), .messages = messages_.data(), .parity = parity_.data(), .step = step});
    ++out.iterations;
    if (unsatisfied * 32 <= difference.size() * circulant_bits) {
      read_errors(graph, errors);
      out.solved = true;
      for (std::size_t row = 0; row < difference.size() && out.solved; ++row) out.solved = row_parities(graph.shape()[row], errors) == difference[row];
      if (out.solved) return out;
    }
    // What has come to a standstill is given up: a few more parities help sooner than many more iterations.
    std::size_t& before = history[out.iterations % history.size()];
    if (out.iterations > history.size() && static_cast<double>(unsatisfied) > standstill * static_cast<double>(before)) return out;
    before = unsatisfied;
    // The step whose checks were as often unsatisfied tells where the decoding is; the worth of the next iteration's messages is that of the next step.
    step = std::min<std::size_t>(1, expected.size() - 1);
    while (step + 1 < expected.size() && expected[step] > static_cast<double>(unsatisfied)) ++step;
  }
  return out;
}

}  // namespace qanat::qkd
