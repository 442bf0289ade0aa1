#include "quantum/qkd/photonics/light.hpp"

#include <algorithm>

namespace qanat::qkd {
namespace {

constexpr double longest_skip_gates = 0x1p60;
constexpr unsigned basis_bits = 31;
constexpr std::uint64_t basis_mask = (std::uint64_t{1} << basis_bits) - 1;

double unit(std::uint64_t word) { return static_cast<double>(word >> 11) * 0x1p-53; }

}  // namespace

Light::Light(const LinkParameters& parameters)
    : parameters_(parameters),
      no_dark_((1.0 - parameters.dark_count_probability) * (1.0 - parameters.dark_count_probability)),
      key_basis_below_(static_cast<std::uint64_t>(std::llround(parameters.key_basis_probability * 0x1p31))) {
  if (parameters.eavesdropper.attack == Attack::photon_number_splitting) plan_ = plan_splitting(parameters);
  const double eta = parameters.transmittance();
  for (std::size_t k = 0; k < intensity_count; ++k) {
    const double mean = parameters.intensity[k];
    // Loss thins a Poisson number into independent Poisson numbers of detected and lost photons.
    detected_[k] = PoissonTable(eta * mean);
    lost_[k] = PoissonTable((1.0 - eta) * mean);
    sent_[k] = PoissonTable(mean);
    add_ways(k);
  }
  double quiet = 0.0;
  for (double& weight : quiet_weight_) weight = quiet += weight;
  for (double& weight : quiet_weight_) weight /= quiet;
  skip_scale_ = -1.0 / std::log1p(-event_probability_);
  way_below_.fill(2.0);  // never reached
  double sum = 0.0;
  for (std::size_t i = 0; i < ways_.size(); ++i) way_below_[i] = sum += ways_[i].weight;
}

void Light::add_ways(std::size_t k) {
  const Intensity intensity = all_intensities[k];
  const double sent = parameters_.intensity_probability[k];
  const double share = parameters_.eavesdropper.attacked_share();
  double light = 1.0 - detected_[k].none();
  const auto add = [&](double weight, bool is_attacked, Source source) {
    if (weight > 0.0) ways_.push_back({.weight = weight, .intensity = intensity, .is_attacked = is_attacked, .source = source});
    event_probability_ += weight;
    return weight;
  };
  const double dark_only = 1.0 - no_dark_;
  double events = add(sent * (1.0 - share) * light, false, Source::light) + add(sent * (1.0 - share) * (1.0 - light) * dark_only, false, Source::dark);
  double passes = 1.0;  // that an event of the attacker's becomes one of Bob's
  if (parameters_.eavesdropper.attack == Attack::photon_number_splitting) {
    const auto weights = poisson_weights(parameters_.intensity[k]);
    double sum = 0.0;
    for (unsigned n = 0; n <= photons_max; ++n) split_number_[k][n] = sum += weights[n] * plan_.yield(n);
    light = sum;
  } else if (parameters_.eavesdropper.attack == Attack::detector_blinding) {
    const double q = parameters_.key_basis_probability;
    passes = q * q + (1.0 - q) * (1.0 - q);
  }
  const double attacked = add(sent * share * passes * light, true, Source::light) + add(sent * share * passes * (1.0 - light) * dark_only, true, Source::dark);
  events += attacked;
  quiet_weight_[k] = sent - events;
  quiet_attacked_[k] = sent > 0.0 ? (sent * share - attacked) / (sent - events) : 0.0;
}

std::uint64_t Light::quiet_gates(FibreRandom& random) const {
  // The whole part of an exponential number is geometric.
  const double skip = random.exponential() * skip_scale_;
  return static_cast<std::uint64_t>(std::min(skip, longest_skip_gates));
}

Intensity Light::pick_quiet_intensity(double u) const {
  if (u < quiet_weight_[0]) return Intensity::signal;
  // With one decoy the third weight is 0, and rounding must not pick it.
  return u < quiet_weight_[1] || parameters_.decoy_protocol() == DecoyProtocol::one_decoy ? Intensity::decoy : Intensity::vacuum;
}

const Light::Way& Light::pick_way(double& uniform) const {
  const double u = uniform * event_probability_;
  std::size_t at = 0;
  for (const double bound : way_below_) at += u >= bound ? 1U : 0U;
  at = std::min(at, ways_.size() - 1);  // rounding at the upper end
  uniform = std::min((u - way_below_[at] + ways_[at].weight) / ways_[at].weight, 0x1.fffffffffffffp-1);
  return ways_[at];
}

void Light::draw_choices(GateEvent& event, FibreRandom& random) const {
  // Both bases and the bit from one word: a basis choice has a resolution of 2^-31.
  const std::uint64_t word = random.word();
  event.alice_basis = static_cast<Basis>((word & basis_mask) >= key_basis_below_);
  event.bob_basis = static_cast<Basis>((word >> basis_bits & basis_mask) >= key_basis_below_);
  event.alice_bit = word >> 63 != 0;
}

unsigned Light::draw_undetected_split(std::size_t k, FibreRandom& random) const {
  unsigned photons = 0;
  do {
    photons = sent_[k].draw(random.uniform());
  } while (random.chance(plan_.yield(photons)));
  return photons;
}

GateEvent Light::eventful(FibreRandom& random) const {
  double of_way = random.uniform();
  const Way* const way = &pick_way(of_way);
  GateEvent event;
  event.intensity = way->intensity;
  draw_choices(event, random);
  const std::size_t k = index_of(event.intensity);
  const Attack attack = way->is_attacked ? parameters_.eavesdropper.attack : Attack::none;
  // A blinding attack lets Bob's detector click only in her basis; until take_over() the rest of this event happens in her receiver.
  if (attack == Attack::detector_blinding) {
    const double q = parameters_.key_basis_probability;
    event.bob_basis = random.chance(q * q / (q * q + (1.0 - q) * (1.0 - q))) ? Basis::key_x : Basis::check_z;
  }
  double of_dark = random.uniform();
  draw_dark(event, way->source, of_dark, random);
  if (attack == Attack::photon_number_splitting) {
    if (way->source == Source::light) {
      draw_split_photons(event, random);
    } else {
      event.photons = draw_undetected_split(k, random);
    }
  } else {
    const unsigned detected = way->source == Source::light ? detected_[k].draw_at_least_one(of_way) : 0;
    event.photons = detected + lost_[k].draw(of_dark);
    // Intercept-resend: half of the intercepted pulses were measured in the other basis and arrive random.
    spread(event, detected, attack == Attack::intercept_resend && random.coin(), random);
  }
  if (attack == Attack::detector_blinding) take_over(event, random);
  return event;
}

void Light::draw_split_photons(GateEvent& event, FibreRandom& random) const {
  const auto& numbers = split_number_[index_of(event.intensity)];
  const double u = random.uniform() * numbers.back();
  unsigned n = 1;
  while (n < photons_max && u >= numbers[n]) ++n;
  event.photons = n;
  unsigned detected = n == 1 ? 1 : 0;
  // Of those that she sends on some are detected: as long as none was, each with the probability that it has given that not all are missed.
  for (unsigned left = n - 1; left > 0; --left) {
    const double some_of_these = -std::expm1(left * std::log1p(-plan_.forwarded));
    const bool must = detected == 0 && left == 1;
    if (must || random.chance(detected == 0 ? plan_.forwarded / some_of_these : plan_.forwarded)) ++detected;
  }
  spread(event, detected, false, random);
}

void Light::spread(GateEvent& event, unsigned detected, bool is_scrambled, FibreRandom& random) const {
  // In another basis than it was sent in, a photon goes either way.
  const double wrong = is_scrambled || event.alice_basis != event.bob_basis ? 0.5 : parameters_.misalignment_error;
  for (unsigned i = 0; i < detected; ++i) ++event.arrivals[event.alice_bit != random.chance(wrong) ? 1 : 0];
}

void Light::draw_dark(GateEvent& event, Source source, double& uniform, FibreRandom& random) const {
  const double dark = parameters_.dark_count_probability;
  // Cut [0, 1) into: neither, the first alone, the second alone, both; the first piece is left out where at least one is needed.
  const double u = source == Source::dark ? no_dark_ + uniform * (1.0 - no_dark_) : uniform;
  if (u < no_dark_) {
    uniform = u / no_dark_;
    return;
  }
  event.dark = u < no_dark_ + dark * (1.0 - dark) ? 1U : u < no_dark_ + 2.0 * dark * (1.0 - dark) ? 2U : 3U;
  uniform = random.uniform();
}

void Light::take_over(GateEvent& event, FibreRandom& random) {
  const unsigned fired = event.dark | (event.arrivals[0] > 0 ? 1U : 0U) | (event.arrivals[1] > 0 ? 2U : 0U);
  event.forced = fired == 3U ? (random.coin() ? 2U : 1U) : fired;
  event.arrivals = {};
  event.dark = 0;
  event.is_blinded = true;
}

GateEvent Light::quiet(FibreRandom& random) const {
  GateEvent event;
  event.intensity = pick_quiet_intensity(random.uniform());
  const std::size_t k = index_of(event.intensity);
  const Attack attack = random.chance(quiet_attacked_[k]) ? parameters_.eavesdropper.attack : Attack::none;
  event.is_blinded = attack == Attack::detector_blinding;
  draw_choices(event, random);
  if (attack == Attack::photon_number_splitting) {
    event.photons = draw_undetected_split(k, random);
  } else {
    event.photons = lost_[k].draw(random.uniform());
  }
  return event;
}

GateEvent Light::quiet_choice(const std::array<std::uint64_t, 4>& words) const {
  GateEvent event;
  event.alice_basis = static_cast<Basis>((words[0] & basis_mask) >= key_basis_below_);
  event.intensity = pick_quiet_intensity(unit(words[1]));
  event.alice_bit = (words[2] & 1U) != 0;
  return event;
}

}  // namespace qanat::qkd
