#include "quantum/qkd/photonics/monitor.hpp"

#include <cmath>

namespace qanat::qkd {
namespace {

// A fluctuation of six standard deviations happens once in 10^9 blocks.
constexpr double deviations = 6.0;
// Real detectors are never quite alike and the expectation below is an estimate: a factor of two, and a tenth between the detectors, pass.
constexpr double double_click_factor = 2.0;
constexpr double detector_imbalance_max = 0.1;

Result<void> check_photocurrent(const MonitorRecord& record, const LinkParameters& link) {
  if (link.photocurrent_limit_a == 0.0) return {};
  if (!record.photocurrent_a) {
    return fail(ErrorCode::denied, "receiver monitor: no photocurrent was measured; a receiver without that monitor needs photocurrent_limit_a = 0");
  }
  const double seconds = static_cast<double>(record.gates) / link.gate_rate_hz;
  for (std::size_t detector = 0; detector < 2; ++detector) {
    const double explained = 2.0 * static_cast<double>(record.firings[detector]) * avalanche_charge_c / seconds;
    const double current = (*record.photocurrent_a)[detector];
    if (current <= link.photocurrent_limit_a + explained) continue;  // false for NaN
    return fail(ErrorCode::denied, "receiver monitor: detector " + std::to_string(detector) + " carries " + std::to_string(current * 1e6) +
                                       " microamperes, limit " + std::to_string((link.photocurrent_limit_a + explained) * 1e6) + ": bright light on the line");
  }
  return {};
}

/// The share of double clicks among clicks, reduced by the time in which one of two independent detectors is not ready.
double double_click_share(const LinkParameters& link) {
  const double click = link.click_probability();
  double share = double_click_probability(link) / click;
  const double unready_gates =
      link.recovery_time_s * link.gate_rate_hz + (link.dead_time_scope == DeadTimeScope::detector ? static_cast<double>(link.dead_gates()) : 0.0);
  const double ready = 1.0 / (1.0 + unready_gates * click / 2.0);
  share *= ready * ready;
  return share / (1.0 + link.afterpulse_probability);
}

Result<void> check_double_clicks(const MonitorRecord& record, const LinkParameters& link) {
  const auto seen = static_cast<double>(record.double_clicks);
  const double clicks = static_cast<double>(record.firings[0] + record.firings[1]) - seen;
  const double expected = clicks * double_click_share(link);
  const double low = expected / double_click_factor;
  const double by_afterpulse = clicks * link.afterpulse_probability * (link.click_probability() + link.afterpulse_probability);
  const double high = double_click_factor * (expected + by_afterpulse);
  const bool too_few = seen < low - deviations * std::sqrt(low);
  const bool too_many = seen > high + deviations * std::sqrt(high + deviations * deviations);
  if (!too_few && !too_many) return {};
  return fail(ErrorCode::denied, "receiver monitor: " + std::to_string(record.double_clicks) + " double clicks where about " + std::to_string(expected) +
                                     " belong: " + (too_few ? "the detectors are being steered" : "light that is not the sender's"));
}

Result<void> check_balance(const MonitorRecord& record) {
  const auto first = static_cast<double>(record.firings[0]);
  const auto second = static_cast<double>(record.firings[1]);
  const double total = first + second;
  if (std::abs(first - second) <= detector_imbalance_max * total + deviations * std::sqrt(total)) return {};
  return fail(ErrorCode::denied, "receiver monitor: the detectors fired " + std::to_string(record.firings[0]) + " and " + std::to_string(record.firings[1]) +
                                     " times: their efficiencies differ, or somebody makes them differ");
}

}  // namespace

double double_click_probability(const LinkParameters& link) {
  const double q = link.key_basis_probability;
  const double match = q * q + (1.0 - q) * (1.0 - q);
  const double dark = link.dark_count_probability;
  // Photons of a coherent pulse reach the two detectors independently of each other.
  const auto fires = [dark](double mean) { return 1.0 - (1.0 - dark) * std::exp(-mean); };
  double sum = 0.0;
  for (std::size_t k = 0; k < intensity_count; ++k) {
    const double mean = link.transmittance() * link.intensity[k];
    const double matched = fires(mean * (1.0 - link.misalignment_error)) * fires(mean * link.misalignment_error);
    const double mismatched = fires(mean / 2.0) * fires(mean / 2.0);
    sum += link.intensity_probability[k] * (match * matched + (1.0 - match) * mismatched);
  }
  return sum;
}

Result<void> check_monitor(const MonitorRecord& record, const LinkParameters& link) {
  if (record.gates == 0) return fail(ErrorCode::denied, "receiver monitor: the record is empty");
  TRY(check_photocurrent(record, link));
  TRY(check_double_clicks(record, link));
  return check_balance(record);
}

}  // namespace qanat::qkd
