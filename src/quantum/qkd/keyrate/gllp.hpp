// Key rate of decoy-state BB84 for endless keys: Gottesman, Lo, Lütkenhaus, Preskill (2004) with the decoy estimates of Ma, Qi, Zhao, Lo,
// PRA 72, 012326 (2005), quant-ph/0503005. No allowance for statistics: a figure to compare with, not a promise about any one block.
#pragma once

#include "quantum/qkd/keyrate/evidence.hpp"

namespace qanat::qkd {

/// Gains and error rates per pulse in one basis.
struct Gains {
  double Q_mu = 0.0;  // that a signal pulse is detected
  double E_mu = 0.0;  // error rate of those detections
  double Q_nu = 0.0;  // the same of the weak decoy
  double E_nu = 0.0;
  double Y0 = 0.0;  // that an empty pulse is "detected"
};

struct SinglePhoton {
  double Y1 = 0.0;  // that a pulse with one photon is detected
  double e1 = 0.5;  // error rate of those detections
};

/// Y1 at least and e1 at most, from vacuum + weak decoy: mu > nu > 0.
SinglePhoton vacuum_weak(double mu, double nu, const Gains& gains);
/// R = q (-Q_mu f h(E_mu) + Y1 mu e^-mu (1 - h(e1))), secret bits per signal pulse; may be negative.
double gllp_rate(double mu, const Gains& gains, const SinglePhoton& single, double f_EC, double q);
/// The whole sifted key of a block (all intensities), length = pulses q^2 tau_1 Y1 (1 - h(e1)) - lambda_EC. Checks nothing.
BoundOutput gllp(const Evidence& evidence);

}  // namespace qanat::qkd
