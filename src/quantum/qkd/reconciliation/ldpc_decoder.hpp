// Bob's decoder: layered min-sum over whole numbers of eight bits, with the worth of each message from density evolution (ldpc_evolution.hpp). It
// finds the error pattern that explains by how much the two ends' parities differ. One frame at a time; AVX2 where the processor has it,
// with the same result as the portable path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "quantum/qkd/reconciliation/ldpc_code.hpp"
#include "quantum/qkd/reconciliation/ldpc_evolution.hpp"

namespace qanat::qkd {

enum class LdpcKernel : std::uint8_t { portable, avx2 };
/// The fastest that this processor runs.
LdpcKernel best_ldpc_kernel() noexcept;

/// A code with what its decoding needs at any number of disclosed rows. Immutable once made; for one or many decoders.
class LdpcPlan {
 public:
  LdpcPlan(std::size_t columns, std::size_t rows);

  [[nodiscard]] const LdpcCode& code() const noexcept { return code_; }
  [[nodiscard]] std::size_t step_count() const noexcept { return steps_.size(); }
  [[nodiscard]] double mean_sign(std::size_t step) const { return steps_[step].mean_sign; }
  /// By step, for rows of this degree.
  [[nodiscard]] const std::vector<CheckTable>& tables(std::size_t degree) const { return tables_[degree]; }

 private:
  LdpcCode code_;
  std::vector<EvolutionStep> steps_;
  std::vector<std::vector<CheckTable>> tables_;  // by degree, empty for degrees that no row has
};

/// The code at one number of rows, laid out for the kernels.
class LdpcGraph {
 public:
  struct Edge {
    std::uint16_t column = 0;
    std::uint8_t turn = 0;  // from how the column was left by its edge before
  };
  struct Row {
    std::uint32_t first = 0;
    std::uint16_t degree = 0;
  };
  LdpcGraph(const LdpcPlan& plan, std::size_t rows);

  [[nodiscard]] const LdpcPlan& plan() const noexcept { return *plan_; }
  [[nodiscard]] const std::vector<LdpcRow>& shape() const noexcept { return shape_; }
  [[nodiscard]] std::span<const Row> rows() const noexcept { return rows_; }
  [[nodiscard]] std::span<const Edge> edges() const noexcept { return edges_; }
  [[nodiscard]] std::size_t degree_max() const noexcept { return degree_max_; }
  /// The shift that each column is left at by a whole iteration.
  [[nodiscard]] std::span<const std::uint8_t> resting_shift() const noexcept { return resting_shift_; }
  /// How many of the parities are expected not to hold at each step of the plan.
  [[nodiscard]] std::span<const double> unsatisfied() const noexcept { return unsatisfied_; }
  /// The error rate at which `odd` parities that differ are the expectation; 1/4 when it is that or more.
  [[nodiscard]] double error_rate(std::size_t odd) const;

 private:
  const LdpcPlan* plan_;
  std::vector<LdpcRow> shape_;
  std::vector<Row> rows_;
  std::vector<Edge> edges_;
  std::vector<std::uint8_t> resting_shift_;
  std::vector<double> unsatisfied_;
  std::size_t degree_max_ = 0;
};

struct LdpcDecoding {
  bool solved = false;
  std::size_t iterations = 0;
};

/// Buffers of a decoding, kept from frame to frame. They say where Bob's key was wrong, so they are wiped at the end.
class LdpcDecoder {
 public:
  explicit LdpcDecoder(LdpcKernel kernel = best_ldpc_kernel()) : kernel_(kernel) {}
  ~LdpcDecoder();
  LdpcDecoder(const LdpcDecoder&) = delete;
  LdpcDecoder& operator=(const LdpcDecoder&) = delete;

  /// `difference`: by row, the exclusive or of both ends' parities. Bits from `known_from` on are known not to be wrong.
  /// When solved, `errors`, one word per column, explains the difference exactly.
  LdpcDecoding decode(const LdpcGraph& graph, std::span<const Circulant> difference, std::size_t known_from, std::span<Circulant> errors);

 private:
  void begin(const LdpcGraph& graph, std::span<const Circulant> difference, std::size_t known_from);
  void read_errors(const LdpcGraph& graph, std::span<Circulant> errors) const;

  LdpcKernel kernel_;
  std::vector<std::int8_t> beliefs_;   // by column, turned; ldpc_belief_stride apart, the first 32 again behind the last
  std::vector<std::int8_t> messages_;  // by edge
  std::vector<std::uint8_t> parity_;   // by row: 0x80 where the difference is 1
};

}  // namespace qanat::qkd
