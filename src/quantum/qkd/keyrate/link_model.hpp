// What a link is expected to yield, for planning, acceptance thresholds and tests; a block's length comes from its own counts or from thresholds.
#pragma once

#include "quantum/qkd/keyrate/lim2014.hpp"

namespace qanat::qkd {

/// How a pulse becomes a click. two_detectors is the model of the simulated link; the others are the simplifications of the papers whose figures
/// are reproduced, which differ in how they write the dark counts (p_dc per detector, P_DC = 2 p_dc of both).
enum class PulseModel : std::uint8_t {
  two_detectors,   // Lim et al. 2014, section IV
  rusca_2018,      // appendix B: detection 1 - e^(-eta k) + P_DC, error e_mis (1 - e^(-eta k)) + P_DC / 2
  wiesemann_2026,  // authors' program: detection 1 - (1 - P_DC) e^(-eta k), error as above
  gllp_2005,       // Ma et al. 2005: as rusca_2018, with Y0 = P_DC
  pulse_by_pulse,  // two_detectors, but an afterpulse counts where it happens: in a later pulse, of whatever intensity. For acceptance thresholds, because
                   // the weakest intensity clicks so seldom that afterpulses of the others are most of its events.
};

/// Per pulse of intensity k, in the matching basis.
struct PulseStatistics {
  IntensityCounts click{};      // D_k: without afterpulses
  IntensityCounts detection{};  // R_k = D_k (1 + p_ap)
  IntensityCounts error{};      // e_k = p_dc + e_mis (1 - e^(-eta_sys k)) + p_ap D_k / 2
};
/// The printed e_k of Lim et al. has eta_ch in its middle term; only eta_sys reproduces the paper's figures, so that is what stands here.
PulseStatistics pulse_statistics(const LinkParameters& link, PulseModel model = PulseModel::two_detectors);

struct BlockTarget {
  double n_key = 0.0;  // sifted events of the key basis
  double f_EC = 1.16;  // lambda_EC = f_EC n_key h(QBER)
  double eps_sec = 1e-10;
  double eps_cor = 1e-15;
  double eps_sec_per_bit = 0.0;  // if positive, eps_sec is this times the length instead (Lim et al.'s kappa)
  PulseModel model = PulseModel::two_detectors;
};

struct ExpectedBlock {
  BoundInput input;      // expected counts
  BoundOutput output;    // what the bound makes of them
  double qber = 0.0;     // in either basis
  double pulses = 0.0;   // that must be sent, those that meet blind detectors included (dead time, not extended by photons that arrive in it; recovery as more)
  double seconds = 0.0;  // that this takes

  [[nodiscard]] double bits_per_pulse() const { return output.length > 0.0 ? output.length / pulses : 0.0; }
  [[nodiscard]] double bits_per_second() const { return output.length > 0.0 ? output.length / seconds : 0.0; }
};
/// invalid_argument as for key_length, and for a target without events.
Result<ExpectedBlock> expected_block(const LinkParameters& link, Bound bound, const BlockTarget& target);

}  // namespace qanat::qkd
