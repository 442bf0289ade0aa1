#include "quantum/qkd/keyrate/link_model.hpp"

#include <cmath>

#include "quantum/qkd/keyrate/statistics.hpp"

namespace qanat::qkd {
namespace {

constexpr int fixed_point_rounds = 30;
constexpr double fixed_point_tolerance = 1e-10;

double click(PulseModel model, double photons, double dark) {
  switch (model) {
    case PulseModel::two_detectors:
    case PulseModel::wiesemann_2026:
    case PulseModel::pulse_by_pulse:
      return 1.0 - (1.0 - 2.0 * dark) * std::exp(-photons);
    case PulseModel::rusca_2018:
    case PulseModel::gllp_2005:
      return 2.0 * dark - std::expm1(-photons);
  }
  return 0.0;
}

/// The share of all clicks that blinds the detectors: every one, but in Rusca et al. (appendix B, c_DT) only those where the bases match.
double blinding_share(PulseModel model, double key_share, double check_share) {
  switch (model) {
    case PulseModel::rusca_2018:
      return key_share + check_share;
    case PulseModel::two_detectors:
    case PulseModel::wiesemann_2026:
    case PulseModel::gllp_2005:
    case PulseModel::pulse_by_pulse:
      return 1.0;
  }
  return 1.0;
}

/// The share of the two detectors that a click blinds.
double blinded_by_a_click(const LinkParameters& link) { return link.dead_time_scope == DeadTimeScope::receiver ? 1.0 : 0.5; }

/// Afterpulses per live pulse, whatever its intensity. A click in the waiting time (decay constant t) blinds the detector for the dead time d, and the
/// afterpulse is lost if it falls into that: with c clicks per pulse the share 1 / (1 + c t (1 - e^(-d / t))) is left.
double afterpulses_per_pulse(const LinkParameters& link, double clicks_per_pulse) {
  const double waiting = link.afterpulse_decay_s;
  const double interrupting = blinded_by_a_click(link) * clicks_per_pulse * link.gate_rate_hz * waiting;
  const double left = waiting > 0.0 ? 1.0 / (1.0 - interrupting * std::expm1(-link.dead_time_s / waiting)) : 1.0;
  const double per_click = link.afterpulse_probability * left;
  return clicks_per_pulse * per_click / (1.0 - per_click);  // each may have one of its own
}

/// A longer key allows a larger eps_sec and so a longer key: from above to the largest length that is its own consequence.
Result<void> assess(ExpectedBlock& block, const BlockTarget& target) {
  double length = target.n_key / 10.0;
  for (int i = 0; i < fixed_point_rounds; ++i) {
    if (target.eps_sec_per_bit > 0.0) block.input.eps_sec = target.eps_sec_per_bit * length;
    ASSIGN_OR_RETURN(block.output, key_length(block.input));
    if (target.eps_sec_per_bit <= 0.0 || block.output.length < 1.0 || std::abs(block.output.length - length) < fixed_point_tolerance * length) break;
    length = block.output.length;
  }
  return {};
}

}  // namespace

PulseStatistics pulse_statistics(const LinkParameters& link, PulseModel model) {
  const double eta = link.transmittance();
  const double dark = link.dark_count_probability;
  PulseStatistics out;
  for (std::size_t k = 0; k < intensity_count; ++k) {
    const double photons = eta * link.intensity[k];
    out.click[k] = click(model, photons, dark);
    out.detection[k] = out.click[k] * (1.0 + link.afterpulse_probability);
    out.error[k] = dark - link.misalignment_error * std::expm1(-photons) + link.afterpulse_probability * out.click[k] / 2.0;
  }
  if (model != PulseModel::pulse_by_pulse) return out;
  double clicks = 0.0;
  for (std::size_t k = 0; k < intensity_count; ++k) clicks += link.intensity_probability[k] * out.click[k];
  const double afterpulses = afterpulses_per_pulse(link, clicks);
  for (std::size_t k = 0; k < intensity_count; ++k) {
    out.detection[k] = out.click[k] + afterpulses;
    out.error[k] += (afterpulses - link.afterpulse_probability * out.click[k]) / 2.0;
  }
  return out;
}

Result<ExpectedBlock> expected_block(const LinkParameters& link, Bound bound, const BlockTarget& target) {
  if (!(target.n_key > 0.0)) return fail(ErrorCode::invalid_argument, "expected block: n_key = " + std::to_string(target.n_key) + ": must be positive");
  const PulseStatistics pulse = pulse_statistics(link, target.model);
  const double key_share = link.key_basis_probability * link.key_basis_probability;
  const double check_share = (1.0 - link.key_basis_probability) * (1.0 - link.key_basis_probability);
  double detection = 0.0;
  double error = 0.0;
  for (std::size_t k = 0; k < intensity_count; ++k) {
    detection += link.intensity_probability[k] * pulse.detection[k];
    error += link.intensity_probability[k] * pulse.error[k];
  }
  ExpectedBlock out;
  out.qber = error / detection;
  const double live_pulses = target.n_key / (key_share * detection);
  const double blind_pulses = link.gate_rate_hz * (link.dead_time_s + link.recovery_time_s) * blinded_by_a_click(link);  // per click
  out.pulses = live_pulses * (1.0 + blind_pulses * detection * blinding_share(target.model, key_share, check_share));
  out.seconds = out.pulses / link.gate_rate_hz;
  BoundInput& input = out.input;
  for (std::size_t k = 0; k < intensity_count; ++k) {
    const double sent = live_pulses * link.intensity_probability[k];
    input.n_key[k] = sent * key_share * pulse.detection[k];
    input.m_key[k] = sent * key_share * pulse.error[k];
    input.n_check[k] = sent * check_share * pulse.detection[k];
    input.m_check[k] = sent * check_share * pulse.error[k];
  }
  input.bound = bound;
  input.mu = link.intensity;
  input.p = link.intensity_probability;
  input.key_basis_probability = link.key_basis_probability;
  input.pulses = out.pulses;
  input.lambda_EC = target.f_EC * target.n_key * binary_entropy(out.qber);
  input.eps_sec = target.eps_sec;
  input.eps_cor = target.eps_cor;
  TRY(assess(out, target));
  return Result<ExpectedBlock>(std::move(out));
}

}  // namespace qanat::qkd
