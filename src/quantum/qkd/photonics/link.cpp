#include "quantum/qkd/photonics/link.hpp"

#include <fmt/format.h>

#include <cmath>
#include <numbers>

#include "quantum/qkd/octets.hpp"

namespace qanat::qkd {
namespace {

constexpr double longest_memory_gates = 1e9;

Result<void> within(std::string_view what, double value, double low, double high) {
  if (value >= low && value <= high) return {};  // false for NaN
  // As many digits as it takes: many of the values are smaller than a millionth.
  return fail(ErrorCode::invalid_argument, fmt::format("link: {} = {}: must be between {} and {}", what, value, low, high));
}

template <class Value, std::size_t count>
Result<Value> from_name(std::string_view what, std::string_view text, const std::array<Value, count>& values) {
  std::string choices;
  for (const Value value : values) {
    if (name(value) == text) return value;
    choices += (choices.empty() ? "" : ", ") + std::string(name(value));
  }
  return fail(ErrorCode::invalid_argument, std::string(what) + ": must be one of " + choices);
}

Result<void> check_detectors(const LinkParameters& link) {
  TRY(within("detector_efficiency", link.detector_efficiency, 1e-6, 1.0));
  TRY(within("dark_count_probability", link.dark_count_probability, 0.0, 0.1));
  TRY(within("gate_rate_hz", link.gate_rate_hz, 1.0, 1e12));
  TRY(within("afterpulse_probability", link.afterpulse_probability, 0.0, 0.5));
  TRY(within("afterpulse_decay_s", link.afterpulse_decay_s, 0.0, longest_memory_gates / link.gate_rate_hz));
  TRY(within("dead_time_s", link.dead_time_s, 0.0, longest_memory_gates / link.gate_rate_hz));
  TRY(within("recovery_time_s", link.recovery_time_s, 0.0, longest_memory_gates / link.gate_rate_hz));
  TRY(within("effective_gate_width_s", link.effective_gate_width_s, 1e-15, 1.0 / link.gate_rate_hz));
  TRY(within("timing_jitter_s", link.timing_jitter_s, 0.0, link.effective_gate_width_s));
  return within("photocurrent_limit_a", link.photocurrent_limit_a, 0.0, 1.0);
}

Result<void> check_source(const LinkParameters& link) {
  TRY(within("key_basis_probability", link.key_basis_probability, 0.01, 0.99));
  double total = 0.0;
  for (std::size_t k = 0; k < intensity_count; ++k) {
    TRY(within("intensity", link.intensity[k], 0.0, brightest_pulse));
    const bool is_unused = k == index_of(Intensity::vacuum) && link.intensity_probability[k] == 0.0;
    if (!is_unused) TRY(within("intensity_probability", link.intensity_probability[k], 1e-6, 1.0));
    total += link.intensity_probability[k];
  }
  TRY(within("sum of intensity_probability", total, 1.0 - 1e-9, 1.0 + 1e-9));
  if (link.decoy_protocol() == DecoyProtocol::one_decoy) {
    if (link.intensity[0] > link.intensity[1] && link.intensity[1] > 0.0) return {};
    return fail(ErrorCode::invalid_argument, "link: with one decoy the intensities must satisfy mu1 > mu2 > 0");
  }
  if (link.intensity[0] > link.intensity[1] + link.intensity[2] && link.intensity[1] > link.intensity[2]) return {};
  return fail(ErrorCode::invalid_argument, "link: intensities must satisfy mu1 > mu2 + mu3 and mu2 > mu3 >= 0");
}

}  // namespace

std::string_view name(DecoyProtocol protocol) noexcept {
  switch (protocol) {
    case DecoyProtocol::two_decoy:
      return "two-decoy";
    case DecoyProtocol::vacuum_weak:
      return "vacuum+weak";
    case DecoyProtocol::one_decoy:
      return "one-decoy";
  }
  return "";
}

std::string_view name(DeadTimeScope scope) noexcept {
  switch (scope) {
    case DeadTimeScope::receiver:
      return "receiver";
    case DeadTimeScope::detector:
      return "detector";
  }
  return "";
}

Result<DeadTimeScope> dead_time_scope_from_name(std::string_view text) {
  return from_name("dead_time_scope", text, std::array{DeadTimeScope::receiver, DeadTimeScope::detector});
}

std::string_view name(Attack attack) noexcept {
  switch (attack) {
    case Attack::none:
      return "none";
    case Attack::intercept_resend:
      return "intercept-resend";
    case Attack::photon_number_splitting:
      return "photon-number-splitting";
    case Attack::detector_blinding:
      return "detector-blinding";
  }
  return "";
}

Result<Attack> attack_from_name(std::string_view text) {
  return from_name("eavesdropper", text, std::array{Attack::none, Attack::intercept_resend, Attack::photon_number_splitting, Attack::detector_blinding});
}

DecoyProtocol LinkParameters::decoy_protocol() const {
  if (intensity_probability[2] == 0.0) return DecoyProtocol::one_decoy;
  return intensity[2] == 0.0 ? DecoyProtocol::vacuum_weak : DecoyProtocol::two_decoy;
}

double LinkParameters::gate_acceptance() const {
  // The pulse is centred in the gate; detection times are normally distributed about it.
  return timing_jitter_s > 0.0 ? std::erf(effective_gate_width_s / (2.0 * std::numbers::sqrt2 * timing_jitter_s)) : 1.0;
}

double LinkParameters::receiver_transmittance() const { return detector_efficiency * gate_acceptance() * std::pow(10.0, -receiver_loss_db / 10.0); }

double LinkParameters::transmittance() const { return receiver_transmittance() * std::pow(10.0, -attenuation_db_per_km * distance_km / 10.0); }

std::uint64_t LinkParameters::dead_gates() const { return static_cast<std::uint64_t>(std::ceil(dead_time_s * gate_rate_hz - 1e-9)); }

double LinkParameters::click_probability() const {
  const double silent_detectors = (1.0 - dark_count_probability) * (1.0 - dark_count_probability);
  double sum = 0.0;
  for (std::size_t k = 0; k < intensity_count; ++k) sum += intensity_probability[k] * (1.0 - silent_detectors * std::exp(-transmittance() * intensity[k]));
  return sum;
}

Result<void> LinkParameters::validate() const {
  TRY(within("distance_km", distance_km, 0.0, 1000.0));
  TRY(within("attenuation_db_per_km", attenuation_db_per_km, 0.0, 10.0));
  TRY(within("receiver_loss_db", receiver_loss_db, 0.0, 60.0));
  TRY(within("misalignment_error", misalignment_error, 0.0, 0.5));
  TRY(check_detectors(*this));
  TRY(check_source(*this));
  TRY(within("eavesdropper_share", eavesdropper.share, 0.0, 1.0));
  return within("click probability per gate", click_probability(), 1e-12, 1.0);
}

Bytes LinkParameters::encode() const {
  OctetWriter out;
  for (const double value : {distance_km, attenuation_db_per_km, receiver_loss_db, misalignment_error, detector_efficiency, dark_count_probability,
                             afterpulse_probability, afterpulse_decay_s, dead_time_s, recovery_time_s, timing_jitter_s, effective_gate_width_s, gate_rate_hz,
                             photocurrent_limit_a, key_basis_probability, eavesdropper.share}) {
    out.f64(value);
  }
  for (const double value : intensity) out.f64(value);
  for (const double value : intensity_probability) out.f64(value);
  out.u8(static_cast<std::uint8_t>(dead_time_scope));
  out.u8(static_cast<std::uint8_t>(eavesdropper.attack));
  return out.take();
}

}  // namespace qanat::qkd
