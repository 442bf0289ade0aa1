// SP 800-90B, 4.4: health tests of a noise source whose samples are octets.
#include <cmath>

#include "base/check.hpp"
#include "crypto/random.hpp"

namespace qanat::crypto {
namespace {

constexpr double false_positive_log2 = 20;      // alpha = 2^-20
constexpr std::size_t proportion_window = 512;  // 4.4.2: W of a source that is not binary

// 4.4.1: C = 1 + ceil(-log2(alpha) / H)
std::size_t repetition_cutoff(double h) { return 1 + static_cast<std::size_t>(std::ceil(false_positive_log2 / h)); }

// 4.4.2: C = 1 + critbinom(W, 2^-H, 1 - alpha): one more than the smallest k with P[X <= k] >= 1 - alpha.
std::size_t proportion_cutoff(double h) {
  const double p = std::exp2(-h);
  const double enough = 1 - std::exp2(-false_positive_log2);
  const auto window = static_cast<double>(proportion_window);
  double term = std::exp(window * std::log1p(-p));  // P[X = 0]
  double sum = term;
  std::size_t k = 0;
  while (sum < enough && k < proportion_window) {
    term *= (window - static_cast<double>(k)) / static_cast<double>(k + 1) * p / (1 - p);
    sum += term;
    ++k;
  }
  return 1 + k;
}

}  // namespace

HealthTests::HealthTests(double h) : repetition_cutoff_(0), proportion_cutoff_(0) {
  CHECK(h > 0 && h <= 8);
  repetition_cutoff_ = repetition_cutoff(h);
  proportion_cutoff_ = proportion_cutoff(h);
}

bool HealthTests::feed(ByteView samples) {
  for (const std::uint8_t sample : samples) {
    if (repetitions_ > 0 && sample == repeated_) {
      ++repetitions_;
    } else {
      repeated_ = sample;
      repetitions_ = 1;
    }
    if (repetitions_ >= repetition_cutoff_) failed_ = true;

    if (window_seen_ == 0) {
      window_first_ = sample;
      window_count_ = 0;
    }
    if (sample == window_first_) ++window_count_;
    if (window_count_ >= proportion_cutoff_) failed_ = true;
    if (++window_seen_ == proportion_window) window_seen_ = 0;
  }
  return !failed_;
}

}  // namespace qanat::crypto
