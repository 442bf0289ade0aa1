#include "quantum/qkd/keyrate/gllp.hpp"

#include <algorithm>
#include <cmath>

#include "quantum/qkd/keyrate/statistics.hpp"

namespace qanat::qkd {
namespace {

constexpr double vacuum_error_rate = 0.5;

/// `sent`: pulses with both sides in this basis. The counts are exact (worst_case refuses ranges for this bound).
Gains gains_of(const Evidence& input, const CountRanges& n, const CountRanges& m, double sent) {
  const auto rate = [](double part, double whole) { return whole > 0.0 ? part / whole : 0.0; };
  return {.Q_mu = n[0].high / (sent * input.p[0]),
          .E_mu = rate(m[0].high, n[0].high),
          .Q_nu = n[1].high / (sent * input.p[1]),
          .E_nu = rate(m[1].high, n[1].high),
          .Y0 = n[2].high / (sent * input.p[2])};
}

}  // namespace

SinglePhoton vacuum_weak(double mu, double nu, const Gains& g) {
  SinglePhoton out;
  const double square = nu * nu / (mu * mu);
  out.Y1 = std::max(0.0, mu / (mu * nu - nu * nu) * (g.Q_nu * std::exp(nu) - g.Q_mu * std::exp(mu) * square - (1.0 - square) * g.Y0));
  if (out.Y1 > 0.0) out.e1 = std::clamp((g.E_nu * g.Q_nu * std::exp(nu) - vacuum_error_rate * g.Y0) / (out.Y1 * nu), 0.0, 0.5);
  return out;
}

double gllp_rate(double mu, const Gains& gains, const SinglePhoton& single, double f_EC, double q) {
  return q * (-gains.Q_mu * f_EC * binary_entropy(gains.E_mu) + single.Y1 * mu * std::exp(-mu) * (1.0 - binary_entropy(single.e1)));
}

BoundOutput gllp(const Evidence& input) {
  const double q = input.key_basis_probability;
  const double sent_key = input.pulses * q * q;
  const double sent_check = input.pulses * (1.0 - q) * (1.0 - q);
  const double tau1 = photon_number_probability(input.mu, input.p, 1);
  const SinglePhoton key = vacuum_weak(input.mu[0], input.mu[1], gains_of(input, input.n_key, input.m_key, sent_key));
  const SinglePhoton check = vacuum_weak(input.mu[0], input.mu[1], gains_of(input, input.n_check, input.m_check, sent_check));
  BoundOutput out;
  out.single = sent_key * tau1 * key.Y1;
  out.single_check = sent_check * tau1 * check.Y1;
  out.single_errors = out.single_check * check.e1;
  out.phase_error = check.e1;
  out.length = out.single * (1.0 - binary_entropy(out.phase_error)) - input.lambda_EC;
  return out;
}

}  // namespace qanat::qkd
