#include "quantum/qkd/photonics/fibre.hpp"

#include <cmath>
#include <cstring>

#include "base/check.hpp"
#include "crypto/kdf.hpp"

namespace qanat::qkd {
namespace {

constexpr std::size_t keystream_chunk = 16384;  // octets; the largest size class of Secret that is pooled
constexpr double longest_skip_gates = 0x1p60;

Secret run_key(const Secret& seed, const RunId& run, std::string_view purpose) {
  const Secret prk = crypto::hkdf_extract(crypto::Hash::sha256, run.view(), seed);
  return crypto::hkdf_expand(crypto::Hash::sha256, prk, {as_bytes(purpose)}, 32);
}

std::array<std::uint8_t, 16> counter_block(std::uint64_t high) {
  std::array<std::uint8_t, 16> block{};
  for (unsigned i = 0; i < 8; ++i) block[i] = static_cast<std::uint8_t>(high >> (56 - 8 * i));
  return block;
}

Basis pick_basis(double key_probability, double u) { return u < key_probability ? Basis::key_x : Basis::check_z; }

}  // namespace

std::uint64_t FibreRandom::word() {
  if (at_ == buffer_.size()) {
    // Chunks differ in the upper half of the counter block, so that their counters never meet.
    buffer_ = crypto::ctr_keystream(crypto::BlockCipher::aes_256, key_, counter_block(chunk_++), keystream_chunk);
    at_ = 0;
  }
  std::uint64_t value = 0;
  std::memcpy(&value, buffer_.reveal().data() + at_, sizeof value);
  at_ += sizeof value;
  return value;
}

unsigned FibreRandom::invert_poisson(double mean, double u) {
  unsigned count = 0;
  double term = std::exp(-mean);
  double cumulative = term;
  while (u >= cumulative && term > 0.0) {
    ++count;
    term *= mean / count;
    cumulative += term;
  }
  return count;
}

unsigned FibreRandom::poisson(double mean) { return mean > 0.0 ? invert_poisson(mean, uniform()) : 0; }

unsigned FibreRandom::poisson_at_least_one(double mean) {
  const double none = std::exp(-mean);
  return std::max(1U, invert_poisson(mean, none + uniform() * (1.0 - none)));
}

SimulatedFibre::SimulatedFibre(const LinkParameters& parameters, const Secret& seed, const RunId& run)
    : parameters_(parameters),
      transmittance_(parameters.transmittance()),
      click_probability_(parameters.click_probability()),
      random_(run_key(seed, run, "qanat simulated fibre: clicks")),
      quiet_key_(run_key(seed, run, "qanat simulated fibre: quiet pulses")) {
  CHECK(seed.size() == fibre_seed_size);
  const double dark = parameters.dark_count_probability;
  for (std::size_t k = 0; k < intensity_count; ++k) {
    const double photon = -std::expm1(-transmittance_ * parameters.intensity[k]);
    const double click = 1.0 - (1.0 - dark) * (1.0 - dark) * (1.0 - photon);
    click_weight_[k] = parameters.intensity_probability[k] * click / click_probability_;
    photon_share_[k] = click > 0.0 ? photon / click : 0.0;
  }
}

Intensity SimulatedFibre::pick(const std::array<double, intensity_count>& weights, double u) {
  if (u < weights[0]) return Intensity::signal;
  return u < weights[0] + weights[1] ? Intensity::decoy : Intensity::vacuum;
}

Click SimulatedFibre::next() {
  std::uint64_t gate = next_live_gate_;
  const bool afterpulse = after_click_ && random_.chance(parameters_.afterpulse_probability);
  if (!afterpulse) {
    const double skip = std::floor(std::log1p(-random_.uniform()) / std::log1p(-click_probability_));
    gate += static_cast<std::uint64_t>(std::min(skip, longest_skip_gates));
  }
  const Click click = draw_click(gate, afterpulse);
  after_click_ = true;
  last_detector_ = click.bob_bit;
  next_live_gate_ = gate + 1 + parameters_.dead_gates();
  return click;
}

Click SimulatedFibre::draw_click(std::uint64_t index, bool afterpulse) {
  Click click;
  click.index = index;
  // An afterpulse fires whatever Alice sent, so her choices keep their prior; otherwise they are drawn given the click.
  click.intensity = pick(afterpulse ? parameters_.intensity_probability : click_weight_, random_.uniform());
  const std::size_t k = index_of(click.intensity);
  const double detected_mean = transmittance_ * parameters_.intensity[k];
  unsigned detected = 0;
  bool dark_needed = false;
  if (afterpulse) {
    detected = random_.poisson(detected_mean);
  } else if (random_.chance(photon_share_[k])) {
    detected = random_.poisson_at_least_one(detected_mean);
  } else {
    dark_needed = true;
  }
  // Loss thins a Poisson number into independent Poisson numbers of detected and lost photons.
  click.photons = detected + random_.poisson((1.0 - transmittance_) * parameters_.intensity[k]);
  click.alice_basis = pick_basis(parameters_.key_basis_probability, random_.uniform());
  click.bob_basis = pick_basis(parameters_.key_basis_probability, random_.uniform());
  click.alice_bit = random_.coin();

  unsigned fired = fired_detectors(click, detected);
  const double dark = parameters_.dark_count_probability;
  if (dark_needed) {
    // At least one of the two detectors: exactly the first, exactly the second, or both, given one.
    const double u = random_.uniform() * (2.0 - dark);
    fired |= u < 1.0 - dark ? 1U : u < 2.0 - 2.0 * dark ? 2U : 3U;
  } else {
    if (random_.chance(dark)) fired |= 1U;
    if (random_.chance(dark)) fired |= 2U;
  }
  if (afterpulse) fired |= last_detector_ ? 2U : 1U;
  click.is_double = fired == 3U;
  // Lim et al. assume that a double click becomes a random bit: dropping it would let an attacker steer which events count.
  click.bob_bit = click.is_double ? random_.coin() : fired == 2U;
  return click;
}

unsigned SimulatedFibre::fired_detectors(const Click& click, unsigned detected) {
  // Intercept-resend: half of the intercepted pulses were measured in the other basis and arrive random.
  const bool scrambled = parameters_.intercepted_share > 0.0 && random_.chance(parameters_.intercepted_share) && random_.coin();
  const bool random_outcome = scrambled || click.alice_basis != click.bob_basis;
  unsigned fired = 0;
  for (unsigned i = 0; i < detected; ++i) {
    const bool outcome = random_outcome ? random_.coin() : click.alice_bit != random_.chance(parameters_.misalignment_error);
    fired |= outcome ? 2U : 1U;
  }
  return fired;
}

Click SimulatedFibre::quiet_pulse(std::uint64_t index) const {
  const Secret words = crypto::ctr_keystream(crypto::BlockCipher::aes_256, quiet_key_, counter_block(index), 32);
  std::array<std::uint64_t, 4> word{};
  std::memcpy(word.data(), words.reveal().data(), sizeof word);
  const auto uniform = [&word](std::size_t i) { return static_cast<double>(word[i] >> 11) * 0x1p-53; };
  Click click;
  click.index = index;
  click.alice_basis = pick_basis(parameters_.key_basis_probability, uniform(0));
  click.intensity = pick(parameters_.intensity_probability, uniform(1));
  click.alice_bit = (word[2] & 1U) != 0;
  return click;
}

}  // namespace qanat::qkd
