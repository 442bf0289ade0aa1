#include "quantum/qkd/keyrate/statistics.hpp"

#include <algorithm>
#include <cmath>

namespace qanat::qkd {

double binary_entropy(double x) {
  if (x <= 0.0 || x >= 1.0) return 0.0;
  return -x * std::log2(x) - (1.0 - x) * std::log2(1.0 - x);
}

double hoeffding_deviation(double n, double eps) { return std::sqrt(n * std::log(1.0 / eps) / 2.0); }

double photon_number_probability(const std::array<double, intensity_count>& mu, const std::array<double, intensity_count>& p, unsigned n) {
  double sum = 0.0;
  for (std::size_t k = 0; k < intensity_count; ++k) sum += p[k] * std::exp(-mu[k]) * (n == 0 ? 1.0 : mu[k]);
  return sum;
}

double serfling_deviation(double c, double d, double eps) { return std::sqrt((c + d) / (c * d) * ((d + 1.0) / d) * std::log(1.0 / eps)); }

double fung_deviation(double eps, double b, double c, double d, double terms) {
  const double spread = (1.0 - b) * b;
  const double argument = (c + d) / (c * d * spread) * terms * terms / (eps * eps);
  return std::sqrt((c + d) * spread / (c * d * std::log(2.0)) * std::max(0.0, std::log2(argument)));  // 0 beyond some 1e24 events
}

}  // namespace qanat::qkd
