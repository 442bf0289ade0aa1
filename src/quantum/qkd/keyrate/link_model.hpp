// What a link is expected to yield: Lim et al. 2014, section IV. For planning and tests; a block's length comes from its own counts.
#pragma once

#include "quantum/qkd/keyrate/lim2014.hpp"

namespace qanat::qkd {

/// Per pulse of intensity k, in the matching basis.
struct PulseStatistics {
  Counts click{};      // D_k = 1 - (1 - 2 p_dc) e^(-eta_sys k)
  Counts detection{};  // R_k = D_k (1 + p_ap)
  Counts error{};      // e_k = p_dc + e_mis (1 - e^(-eta_sys k)) + p_ap D_k / 2
};
/// The printed e_k has eta_ch in its middle term; only eta_sys reproduces the paper's figures, so that is what stands here.
PulseStatistics pulse_statistics(const LinkParameters& link);

struct ExpectedBlock {
  LimInput input;       // expected counts; lambda_EC = f_EC n_X h(e_X)
  double pulses = 0.0;  // that must be sent for n_X sifted key events (dead time not counted)
  LimBound bound;
};

struct BlockTarget {
  double n_X = 0.0;
  double f_EC = 1.16;
  double eps_sec = 1e-10;
  double eps_cor = 1e-15;
};
ExpectedBlock expected_block(const LinkParameters& link, const BlockTarget& target);

}  // namespace qanat::qkd
