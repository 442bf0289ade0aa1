#include "quantum/qkd/photonics/eavesdropper.hpp"

#include <algorithm>
#include <cmath>

namespace qanat::qkd {
namespace {

constexpr int bisections = 60;

double mean_gain(const LinkParameters& link, const SplittingPlan& plan) {
  double sum = 0.0;
  for (std::size_t k = 0; k < intensity_count; ++k) sum += link.intensity_probability[k] * plan.gain(link.intensity[k]);
  return sum;
}

}  // namespace

std::array<double, photons_max + 1> poisson_weights(double mean) {
  std::array<double, photons_max + 1> weights{};
  weights[0] = std::exp(-mean);
  for (unsigned n = 1; n <= photons_max; ++n) weights[n] = weights[n - 1] * mean / n;
  return weights;
}

double SplittingPlan::yield(unsigned photons) const {
  if (photons == 0) return 0.0;
  if (photons == 1) return single_pass * receiver;
  return -std::expm1((photons - 1) * std::log1p(-forwarded));  // 1 - (1 - forwarded)^(photons - 1), also where forwarded is minute
}

double SplittingPlan::gain(double mean) const {
  const auto weights = poisson_weights(mean);
  double sum = 0.0;
  for (unsigned n = 1; n <= photons_max; ++n) sum += weights[n] * yield(n);
  return sum;
}

SplittingPlan plan_splitting(const LinkParameters& link) {
  double wanted = 0.0;
  for (std::size_t k = 0; k < intensity_count; ++k) wanted -= link.intensity_probability[k] * std::expm1(-link.transmittance() * link.intensity[k]);
  SplittingPlan plan{.single_pass = 0.0, .forwarded = link.receiver_transmittance(), .receiver = link.receiver_transmittance()};
  const double from_several = mean_gain(link, plan);
  if (from_several < wanted) {
    // Too few pulses of several photons for this loss: some single photons must pass.
    plan.single_pass = 1.0;
    const double from_single = mean_gain(link, plan) - from_several;
    plan.single_pass = from_single > 0.0 ? std::min(1.0, (wanted - from_several) / from_single) : 0.0;
    return plan;
  }
  double low = 0.0;
  double high = plan.receiver;
  for (int i = 0; i < bisections; ++i) {
    plan.forwarded = (low + high) / 2.0;
    (mean_gain(link, plan) < wanted ? low : high) = plan.forwarded;
  }
  return plan;
}

}  // namespace qanat::qkd
