#include "quantum/qkd/reconciliation/ldpc_rate.hpp"

#include <algorithm>
#include <cmath>

#include "quantum/qkd/reconciliation/ldpc_code.hpp"

namespace qanat::qkd {

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
  const double rows = 1.2 * entropy_of_error_rate(std::clamp(error_rate, 0.001, 0.15)) * static_cast<double>(columns);
  return std::clamp(static_cast<std::size_t>(std::ceil(rows)), ldpc_rows_min, LdpcCode::rows_max(columns));
}

std::size_t needed_rows(std::size_t columns, double error_rate) noexcept {
  const double rows = 1.15 * entropy_of_error_rate(std::clamp(error_rate, 0.001, 0.25)) * static_cast<double>(columns);
  return static_cast<std::size_t>(std::ceil(rows));
}

std::size_t hopeless_rows(std::size_t columns, double error_rate) noexcept {
  return static_cast<std::size_t>(1.03 * entropy_of_error_rate(error_rate) * static_cast<double>(columns));
}

}  // namespace qanat::qkd
