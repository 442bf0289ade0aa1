#include "quantum/qkd/keyrate/one_decoy.hpp"

#include <algorithm>
#include <cmath>

#include "quantum/qkd/keyrate/statistics.hpp"

namespace qanat::qkd {
namespace {

constexpr double wiesemann_terms = 15.0;
constexpr double rusca_terms = 19.0;

/// What one basis is known to hold.
struct PhotonEvents {
  double vacuum = 0.0;         // at least
  double single = 0.0;         // at least
  double single_errors = 0.0;  // at most
};

/// Both papers' estimates; `eps` is the probability with which each single deviation may fail. Corrected counts stay between none and all,
/// as in the authors' program: what they bound, a sum of probabilities, does.
PhotonEvents photon_events(const Evidence& input, const CountRanges& n, const CountRanges& m, double eps) {
  const double mu1 = input.mu[0];
  const double mu2 = input.mu[1];
  const double weight1 = std::exp(mu1) / input.p[0];
  const double weight2 = std::exp(mu2) / input.p[1];
  const double tau0 = photon_number_probability(input.mu, input.p, 0);
  const double tau1 = photon_number_probability(input.mu, input.p, 1);
  const double all = total_high(n);
  const double all_errors = total_high(m);
  const double deviation = hoeffding_deviation(all, eps);
  const double error_deviation = hoeffding_deviation(all_errors, eps);

  const double n1_high = std::min(all, n[0].high + deviation);
  const double n2_low = std::max(0.0, n[1].low - deviation);
  const double m1_high = std::min(all_errors, m[0].high + error_deviation);
  const double m2_high = std::min(all_errors, m[1].high + error_deviation);
  const double m2_low = std::max(0.0, m[1].low - error_deviation);

  PhotonEvents out;
  out.vacuum = std::clamp(tau0 / (mu1 - mu2) * (mu1 * weight2 * n2_low - mu2 * weight1 * n1_high), 0.0, all);
  // An empty pulse gives a random bit: half of the vacuum events are errors, so the errors limit them.
  const double vacuum_high = std::min(all, 2.0 * (tau0 * std::min(weight1 * m1_high, weight2 * m2_high) + deviation));
  const double ratio = mu2 / mu1;
  out.single = std::clamp(
      tau1 * mu1 / (mu2 * (mu1 - mu2)) * (weight2 * n2_low - ratio * ratio * weight1 * n1_high - (1.0 - ratio * ratio) / tau0 * vacuum_high), 0.0, all);
  out.single_errors = std::clamp(tau1 / (mu1 - mu2) * (weight1 * m1_high - weight2 * m2_low), 0.0, all);
  return out;
}

BoundOutput estimate(const Evidence& input, double eps) {
  const PhotonEvents key = photon_events(input, input.n_key, input.m_key, eps);
  const PhotonEvents check = photon_events(input, input.n_check, input.m_check, eps);
  BoundOutput out;
  out.vacuum = key.vacuum;
  out.single = key.single;
  out.single_check = check.single;
  out.single_errors = check.single_errors;
  return out;
}

}  // namespace

BoundOutput wiesemann2026(const Evidence& input) {
  const double eps = input.eps_sec / wiesemann_terms;
  BoundOutput out = estimate(input, eps);
  out.vacuum = 0.0;  // left out, the authors' default
  if (out.single > 0.0 && out.single_check > 0.0) {
    out.phase_error = std::min(0.5, out.single_errors / out.single_check + serfling_deviation(out.single, out.single_check, eps));
  }
  out.length = out.single * (1.0 - binary_entropy(out.phase_error)) - input.lambda_EC - std::log2(2.0 / input.eps_cor) -
               4.0 * std::log2(wiesemann_terms / (input.eps_sec * std::pow(2.0, 0.25)));
  return out;
}

BoundOutput rusca2018(const Evidence& input) {
  BoundOutput out = estimate(input, input.eps_sec / rusca_terms);
  if (out.single > 0.0 && out.single_check > 0.0) {
    // As in lim2014: no error at all is taken for one.
    const double ratio = std::max(out.single_errors, 1.0) / out.single_check;
    if (ratio < 0.5) out.phase_error = std::min(0.5, ratio + fung_deviation(input.eps_sec, ratio, out.single, out.single_check, rusca_terms));
  }
  out.length = out.vacuum + out.single * (1.0 - binary_entropy(out.phase_error)) - input.lambda_EC - 6.0 * std::log2(rusca_terms / input.eps_sec) -
               std::log2(2.0 / input.eps_cor);
  return out;
}

}  // namespace qanat::qkd
