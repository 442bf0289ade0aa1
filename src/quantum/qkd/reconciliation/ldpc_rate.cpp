#include "quantum/qkd/reconciliation/ldpc_rate.hpp"

#include <algorithm>
#include <cmath>

#include "quantum/qkd/reconciliation/ldpc_code.hpp"

namespace qanat::qkd {

namespace {

/// Measured: the multiple of Shannon's limit at which seven (at 1 %) to nine in ten frames decode. Codes with few parities, and short ones, are farther from
/// it.
double efficiency(std::size_t columns, double entropy) noexcept {
  return 1.164 + 0.0044 / entropy + 0.04 * (std::sqrt(static_cast<double>(ldpc_columns_max) / static_cast<double>(columns)) - 1);
}

}  // namespace

double entropy_of_error_rate(double error_rate) noexcept {
  if (error_rate <= 0 || error_rate >= 1) return 0;
  return -error_rate * std::log2(error_rate) - (1 - error_rate) * std::log2(1 - error_rate);
}

double error_rate_of_entropy(double entropy) noexcept {
  double low = 0;
  double high = 0.5;
  for (int turn = 0; turn < 50; ++turn) {
    const double middle = (low + high) / 2;
    (entropy_of_error_rate(middle) < entropy ? low : high) = middle;
  }
  return high;
}

std::size_t first_rows(std::size_t columns, double error_rate) noexcept {
  return std::clamp(needed_rows(columns, std::min(error_rate, 0.15)), LdpcCode::rows_min(columns), LdpcCode::rows_max(columns));
}

std::size_t needed_rows(std::size_t columns, double error_rate) noexcept {
  const double entropy = entropy_of_error_rate(std::clamp(error_rate, 0.001, 0.25));
  return static_cast<std::size_t>(std::lround(efficiency(columns, entropy) * entropy * static_cast<double>(columns)));
}

std::size_t hopeless_rows(std::size_t columns, double error_rate) noexcept {
  return static_cast<std::size_t>(1.03 * entropy_of_error_rate(error_rate) * static_cast<double>(columns));
}

}  // namespace qanat::qkd
