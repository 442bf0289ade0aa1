#include "quantum/qkd/keyrate/link_model.hpp"

#include <cmath>

namespace qanat::qkd {

PulseStatistics pulse_statistics(const LinkParameters& link) {
  const double eta = link.transmittance();
  const double dark = link.dark_count_probability;
  PulseStatistics out;
  for (std::size_t k = 0; k < intensity_count; ++k) {
    const double photons = eta * link.intensity[k];
    out.click[k] = 1.0 - (1.0 - 2.0 * dark) * std::exp(-photons);
    out.detection[k] = out.click[k] * (1.0 + link.afterpulse_probability);
    out.error[k] = dark - link.misalignment_error * std::expm1(-photons) + link.afterpulse_probability * out.click[k] / 2.0;
  }
  return out;
}

ExpectedBlock expected_block(const LinkParameters& link, const BlockTarget& target) {
  const PulseStatistics pulse = pulse_statistics(link);
  const double key_share = link.key_basis_probability * link.key_basis_probability;
  const double check_share = (1.0 - link.key_basis_probability) * (1.0 - link.key_basis_probability);
  double detection = 0.0;
  double error = 0.0;
  for (std::size_t k = 0; k < intensity_count; ++k) {
    detection += link.intensity_probability[k] * pulse.detection[k];
    error += link.intensity_probability[k] * pulse.error[k];
  }
  ExpectedBlock out;
  out.pulses = target.n_X / (key_share * detection);
  for (std::size_t k = 0; k < intensity_count; ++k) {
    const double sent = out.pulses * link.intensity_probability[k];
    out.input.n_X[k] = sent * key_share * pulse.detection[k];
    out.input.n_Z[k] = sent * check_share * pulse.detection[k];
    out.input.m_Z[k] = sent * check_share * pulse.error[k];
  }
  out.input.mu = link.intensity;
  out.input.p = link.intensity_probability;
  out.input.lambda_EC = target.f_EC * target.n_X * binary_entropy(error / detection);
  out.input.eps_sec = target.eps_sec;
  out.input.eps_cor = target.eps_cor;
  out.bound = lim2014(out.input);
  return out;
}

}  // namespace qanat::qkd
