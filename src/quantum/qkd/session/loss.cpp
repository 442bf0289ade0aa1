#include "quantum/qkd/session/loss.hpp"

#include <cmath>

#include "quantum/qkd/sifting/sifting.hpp"

namespace qanat::qkd {
namespace {

constexpr double deviations = 6.0;  // of the sifted share of the clicks, which is a matter of chance

/// How many gates a click takes from a photon's way to a click. Where only the detector that fired goes blind, a photon misses it half of the time.
double blind_gates(const LinkParameters& link) {
  const double gates = static_cast<double>(link.dead_gates()) + link.recovery_time_s * link.gate_rate_hz;
  return link.dead_time_scope == DeadTimeScope::receiver ? gates : gates / 2.0;
}

}  // namespace

std::optional<double> loss_db(const SessionSettings& settings, const BlockReport& report) {
  const double q = settings.parameters.key_basis_probability;
  const double match = q * q + (1.0 - q) * (1.0 - q);
  const auto clicks = static_cast<double>(clicks_needed(settings.block_size, q));
  double sifted = 0.0;
  for (std::size_t k = 0; k < intensity_count; ++k) sifted += static_cast<double>(report.key_counts[k]) + static_cast<double>(report.check_counts[k]);
  if (report.key_basis_probability != q || std::abs(sifted - clicks * match) > deviations * std::sqrt(clicks * match * (1.0 - match))) return std::nullopt;

  const double live = static_cast<double>(report.gates) - clicks * blind_gates(settings.parameters);
  const std::size_t bright = index_of(Intensity::signal);
  const std::size_t faint = index_of(report.p[index_of(Intensity::vacuum)] > 0.0 ? Intensity::vacuum : Intensity::decoy);
  const auto click_rate = [&](std::size_t k) {
    return (static_cast<double>(report.key_counts[k]) + static_cast<double>(report.check_counts[k])) / (live * report.p[k] * match);
  };
  const double rate_bright = click_rate(bright);
  const double rate_faint = click_rate(faint);
  // False for what came of a division by nought, too.
  if (!(live > 0.0 && rate_faint >= 0.0 && rate_bright > rate_faint && rate_bright < 1.0 && report.mu[bright] > report.mu[faint])) return std::nullopt;
  // A pulse of mean mu stays dark with (1 - background) e^(-transmittance mu).
  const double transmittance = (std::log1p(-rate_faint) - std::log1p(-rate_bright)) / (report.mu[bright] - report.mu[faint]);
  return -10.0 * std::log10(transmittance);
}

}  // namespace qanat::qkd
