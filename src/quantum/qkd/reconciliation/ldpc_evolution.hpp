// Density evolution (Richardson, Urbanke 2001) of our own decoder: how the distribution of its messages changes from iteration to iteration. From it
// comes what plain min-sum lacks: how much the smallest magnitude of a check is worth, given how far the decoding has come. With 17 % checks (60
// iterations, all rows at once, column degrees 2 to 13) the exact worth lowers the threshold from f = 1.24 (constant factor 0.75) to f = 1.15.
//
// Only Bob's decoder uses this. Nothing that both ends must agree on depends on its floating-point arithmetic.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace qanat::qkd {

/// Messages from checks are whole numbers -31 .. 31; the channel says +7 for every bit.
inline constexpr int message_max = 31;
inline constexpr int channel_message = 7;

/// By the smallest magnitude, 0 .. message_max, the magnitude that the check sends.
using CheckTable = std::array<std::uint8_t, message_max + 1>;

/// The state of the decoding at one iteration.
struct EvolutionStep {
  /// Distribution of the messages into checks, the magnitude cut at message_max; [message_max + v] belongs to the value v.
  std::array<float, 2 * message_max + 1> messages{};
  /// Mean of the sign of a message (zero counting half): the parity of a row of degree d is wrong with probability (1 - mean_sign^d)/2.
  double mean_sign = 0;
};

/// share[d]: fraction of the columns that have degree d. row_share[d]: of the rows. error_rate: 0 < q < 1/2.
struct Ensemble {
  std::vector<double> column_share;
  std::vector<double> row_share;
  double error_rate = 0;
};

/// The steps until hardly any message is wrong. Empty when the decoding of this ensemble does not converge.
std::vector<EvolutionStep> evolve(const Ensemble& ensemble, std::size_t iterations_max);

/// What a check of this degree, at this step, should send.
CheckTable check_table(const EvolutionStep& step, std::size_t degree, double error_rate);

}  // namespace qanat::qkd
