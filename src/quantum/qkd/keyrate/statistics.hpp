// The few statistical functions that the finite-key bounds share.
#pragma once

#include "quantum/qkd/photonics/link.hpp"

namespace qanat::qkd {

/// Binary entropy in bits; 0 at both ends.
double binary_entropy(double x);

/// Hoeffding: a sum of n independent values in [0, 1] is within this of its mean, to either side, but for a probability eps.
double hoeffding_deviation(double n, double eps);

/// tau_n = sum over k of p_k e^-k k^n / n!, n = 0 or 1: the probability that a pulse holds n photons.
double photon_number_probability(const std::array<double, intensity_count>& mu, const std::array<double, intensity_count>& p, unsigned n);

/// Serfling: by how much the error rate of the c events that were not looked at may exceed that of the d events that were, but for a
/// probability eps^2 (the square, because the entropy bound takes its root).
double serfling_deviation(double c, double d, double eps);

/// The same by Fung, Ma and Chau (gamma of Lim et al. 2014, equation (5), and of Rusca et al. 2018): tighter for a small rate b;
/// `terms` is the constant under the square, 21 or 19. b must not be 0.
double fung_deviation(double eps, double b, double c, double d, double terms);

}  // namespace qanat::qkd
