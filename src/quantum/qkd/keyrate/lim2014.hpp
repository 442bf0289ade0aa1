// Finite-key length of decoy-state BB84 with two decoys: Lim, Curty, Walenta, Xu, Zbinden, "Concise security bounds for practical
// decoy-state quantum key distribution", PRA 89, 022307 (2014), equations (1)-(5). Names are the paper's.
#pragma once

#include <array>
#include <cstdint>

#include "base/result.hpp"
#include "quantum/qkd/keyrate/evidence.hpp"
#include "quantum/qkd/keyrate/statistics.hpp"

namespace qanat::qkd {

/// Events of one basis by intensity. Real numbers, because the link model works with expectations.
using Counts = IntensityCounts;

struct LimInput {
  std::array<double, intensity_count> mu{};  // mean photon numbers
  std::array<double, intensity_count> p{};   // their probabilities
  Counts n_X{};                              // sifted events, key basis
  Counts n_Z{};                              // sifted events, check basis
  Counts m_Z{};                              // errors among n_Z
  double lambda_EC = 0.0;                    // bits disclosed during error correction and verification
  double eps_sec = 0.0;
  double eps_cor = 0.0;
};

struct LimBound {
  double tau0 = 0.0;   // probability that a pulse holds no photon
  double tau1 = 0.0;   // … exactly one
  double s_X0 = 0.0;   // vacuum events in the key basis, at least (clamped at 0)
  double s_X1 = 0.0;   // single-photon events in the key basis, at least
  double s_Z1 = 0.0;   // single-photon events in the check basis, at least
  double v_Z1 = 0.0;   // errors among those, at most
  double phi_X = 0.5;  // phase error rate of the single-photon events in the key basis, at most
  double l = 0.0;      // secret bits before rounding down; zero or negative: no key

  /// Whole secret bits; 0 when there is no key.
  [[nodiscard]] std::uint64_t length() const { return BoundOutput{.length = l, .why = {}}.bits(); }
};

/// Equation (5)'s gamma(a, b, c, d).
double lim_gamma(double a, double b, double c, double d);
/// Of a block with these counts. Checks nothing; key_length (bound.hpp) does.
LimBound lim2014(const LimInput& input);
/// Of any block within the ranges.
LimBound lim2014(const Evidence& evidence);

}  // namespace qanat::qkd
