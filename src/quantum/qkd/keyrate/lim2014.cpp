#include "quantum/qkd/keyrate/lim2014.hpp"

#include <algorithm>
#include <cmath>

namespace qanat::qkd {
namespace {

// eps_sec is spent in 21 equal parts (paper, appendix B4); the constant stands in (1), in the deviations and in gamma.
constexpr double error_terms = 21.0;

/// n^±_k = (e^k / p_k) (n_k ± sqrt((n/2) ln(21/eps_sec))), Hoeffding.
struct Corrected {
  Counts low{};
  Counts high{};
};

Corrected corrected(const CountRanges& counts, const Evidence& input) {
  const double deviation = hoeffding_deviation(total_high(counts), input.eps_sec / error_terms);
  Corrected out;
  for (std::size_t k = 0; k < intensity_count; ++k) {
    const double weight = std::exp(input.mu[k]) / input.p[k];
    out.low[k] = weight * (counts[k].low - deviation);
    out.high[k] = weight * (counts[k].high + deviation);
  }
  return out;
}

/// Equation (2).
double vacuum_events(const Corrected& n, const Evidence& input, double tau0) {
  const auto& mu = input.mu;
  return std::max(0.0, tau0 * (mu[1] * n.low[2] - mu[2] * n.high[1]) / (mu[1] - mu[2]));
}

/// Equation (3).
double single_photon_events(const Corrected& n, const Evidence& input, double tau0, double tau1, double vacuum) {
  const auto& mu = input.mu;
  const double multi_photon = (mu[1] * mu[1] - mu[2] * mu[2]) / (mu[0] * mu[0]) * (n.high[0] - vacuum / tau0);
  const double denominator = mu[0] * (mu[1] - mu[2]) - mu[1] * mu[1] + mu[2] * mu[2];
  return std::max(0.0, tau1 * mu[0] * (n.low[1] - n.high[2] - multi_photon) / denominator);
}

}  // namespace

double lim_gamma(double a, double b, double c, double d) { return fung_deviation(a, b, c, d, error_terms); }

LimBound lim2014(const Evidence& input) {
  LimBound out;
  out.tau0 = photon_number_probability(input.mu, input.p, 0);
  out.tau1 = photon_number_probability(input.mu, input.p, 1);
  const Corrected key = corrected(input.n_key, input);
  const Corrected check = corrected(input.n_check, input);
  const Corrected errors = corrected(input.m_check, input);
  out.s_X0 = vacuum_events(key, input, out.tau0);
  out.s_X1 = single_photon_events(key, input, out.tau0, out.tau1, out.s_X0);
  out.s_Z1 = single_photon_events(check, input, out.tau0, out.tau1, vacuum_events(check, input, out.tau0));
  out.v_Z1 = std::max(0.0, out.tau1 * (errors.high[1] - errors.low[2]) / (input.mu[1] - input.mu[2]));  // (4)
  if (out.s_X1 > 0.0 && out.s_Z1 > 0.0) {
    // Without a single error gamma would vanish; a ratio below one event per sample is not evidence, so one event is assumed.
    const double ratio = std::max(out.v_Z1, 1.0) / out.s_Z1;
    if (ratio < 0.5) out.phi_X = std::min(0.5, ratio + lim_gamma(input.eps_sec, ratio, out.s_Z1, out.s_X1));  // (5)
  }
  out.l = out.s_X0 + out.s_X1 - out.s_X1 * binary_entropy(out.phi_X) - input.lambda_EC - 6.0 * std::log2(error_terms / input.eps_sec) -
          std::log2(2.0 / input.eps_cor);  // (1)
  return out;
}

LimBound lim2014(const LimInput& input) {
  return lim2014(exactly({.bound = Bound::lim_2014,
                          .mu = input.mu,
                          .p = input.p,
                          .n_key = input.n_X,
                          .m_key = {},
                          .n_check = input.n_Z,
                          .m_check = input.m_Z,
                          .lambda_EC = input.lambda_EC,
                          .eps_sec = input.eps_sec,
                          .eps_cor = input.eps_cor}));
}

}  // namespace qanat::qkd
