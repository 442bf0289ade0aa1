#include "quantum/qkd/photonics/link.hpp"

#include <cmath>

#include "quantum/qkd/octets.hpp"

namespace qanat::qkd {
namespace {

constexpr double brightest_pulse = 2.0;  // mean photons; a brighter source is not a decoy-state source
constexpr double longest_dead_time_gates = 1e9;

Result<void> within(std::string_view what, double value, double low, double high) {
  if (value >= low && value <= high) return {};  // false for NaN
  return fail(ErrorCode::invalid_argument,
              "link: " + std::string(what) + " = " + std::to_string(value) + ": must be between " + std::to_string(low) + " and " + std::to_string(high));
}

}  // namespace

double LinkParameters::transmittance() const { return detector_efficiency * std::pow(10.0, -(attenuation_db_per_km * distance_km + receiver_loss_db) / 10.0); }

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
  TRY(within("detector_efficiency", detector_efficiency, 1e-6, 1.0));
  TRY(within("dark_count_probability", dark_count_probability, 0.0, 0.1));
  TRY(within("afterpulse_probability", afterpulse_probability, 0.0, 0.5));
  TRY(within("misalignment_error", misalignment_error, 0.0, 0.5));
  TRY(within("gate_rate_hz", gate_rate_hz, 1.0, 1e12));
  TRY(within("dead_time_s", dead_time_s, 0.0, longest_dead_time_gates / gate_rate_hz));
  TRY(within("key_basis_probability", key_basis_probability, 0.01, 0.99));
  TRY(within("intercepted_share", intercepted_share, 0.0, 1.0));
  double total = 0.0;
  for (std::size_t k = 0; k < intensity_count; ++k) {
    TRY(within("intensity", intensity[k], 0.0, brightest_pulse));
    TRY(within("intensity_probability", intensity_probability[k], 1e-6, 1.0));
    total += intensity_probability[k];
  }
  TRY(within("sum of intensity_probability", total, 1.0 - 1e-9, 1.0 + 1e-9));
  if (!(intensity[0] > intensity[1] + intensity[2] && intensity[1] > intensity[2])) {
    return fail(ErrorCode::invalid_argument, "link: intensities must satisfy mu1 > mu2 + mu3 and mu2 > mu3 >= 0");
  }
  return within("click probability per gate", click_probability(), 1e-12, 1.0);
}

Bytes LinkParameters::encode() const {
  OctetWriter out;
  for (const double value : {distance_km, attenuation_db_per_km, receiver_loss_db, detector_efficiency, dark_count_probability, afterpulse_probability,
                             misalignment_error, gate_rate_hz, dead_time_s, key_basis_probability, intercepted_share}) {
    out.f64(value);
  }
  for (const double value : intensity) out.f64(value);
  for (const double value : intensity_probability) out.f64(value);
  return out.take();
}

}  // namespace qanat::qkd
