#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "harness.hpp"
#include "quantum/qkd/keyrate/link_model.hpp"

namespace qanat::qkd {
namespace {


struct Tally {
  Counts key{};
  Counts key_errors{};
  Counts check{};
  Counts check_errors{};
  Counts key_vacuum_and_single{};  // [0] no photon left Alice, [1] one
  double check_single = 0;
  double clicks = 0;
  double doubles = 0;
  std::uint64_t gates = 0;
};

Tally tally(const LinkParameters& link, std::size_t clicks) {
  SimulatedFibre fibre(link, test::secret_of(fibre_seed_size, 5), test::run(1));
  Tally out;
  for (std::size_t i = 0; i < clicks; ++i) {
    const Click click = fibre.next();
    out.clicks += 1;
    out.doubles += click.is_double ? 1 : 0;
    out.gates = click.index + 1;
    if (click.alice_basis != click.bob_basis) continue;
    const bool is_key = click.alice_basis == Basis::key_x;
    const std::size_t k = index_of(click.intensity);
    (is_key ? out.key : out.check)[k] += 1;
    if (click.alice_bit != click.bob_bit) (is_key ? out.key_errors : out.check_errors)[k] += 1;
    if (is_key && click.photons <= 1) out.key_vacuum_and_single[click.photons] += 1;
    if (!is_key && click.photons == 1) out.check_single += 1;
  }
  return out;
}

TEST(FibreRandomTest, ExponentialAndPoissonNumbersFollowTheirLaws) {
  FibreRandom random(test::secret_of(32, 6));
  constexpr int draws = 2'000'000;
  constexpr double width = 0.25;
  std::array<double, 48> histogram{};  // up to 12, beyond the ziggurat's tail at 7.7
  for (int i = 0; i < draws; ++i) {
    const double x = random.exponential();
    ASSERT_GE(x, 0.0);
    if (x < width * histogram.size()) histogram[static_cast<std::size_t>(x / width)] += 1;
  }
  for (std::size_t i = 0; i < histogram.size(); ++i) {
    const double from = width * static_cast<double>(i);
    const double expected = draws * (std::exp(-from) - std::exp(-from - width));
    EXPECT_NEAR(histogram[i], expected, 6.0 * std::sqrt(expected + 1.0)) << from;
  }
  const Ziggurat& table = exponential_ziggurat();  // the uppermost layer ends at height 1
  EXPECT_NEAR(table.edge[0] * std::exp(-table.edge[1]) / table.edge[255] + table.height[255], 1.0, 1e-12);

  for (const double mean : {0.0, 0.01, 0.5, 2.0}) {
    const PoissonTable poisson(mean);
    std::array<double, 12> counts{};
    for (int i = 0; i < draws / 4; ++i) counts[std::min(11U, poisson.draw(random.uniform()))] += 1;
    double expected = draws / 4.0 * std::exp(-mean);
    for (unsigned n = 0; n < 11; expected *= mean / ++n) EXPECT_NEAR(counts[n], expected, 6.0 * std::sqrt(expected + 1.0)) << mean << ' ' << n;
    if (mean > 0.0) EXPECT_GE(poisson.draw_at_least_one(0.0), 1U);
  }
}

TEST(SimulatedFibreTest, HasTheStatisticsOfTheLinkModel) {
  LinkParameters link;
  link.dead_time_s = 0.0;
  link.distance_km = 75.0;
  link.dark_count_probability = 1e-5;  // so that noise is visible in each intensity
  link.afterpulse_probability = 0.0;   // the model spreads afterpulses as clicks are, nature as pulses are: next test
  const Tally seen = tally(link, 400'000);
  const PulseStatistics pulse = pulse_statistics(link);
  const double q = link.key_basis_probability;
  const auto gates = static_cast<double>(seen.gates);
  for (std::size_t k = 0; k < intensity_count; ++k) {
    const double sent = gates * link.intensity_probability[k];
    const auto expect_count = [](double counted, double expected) { EXPECT_NEAR(counted, expected, 6.0 * std::sqrt(expected + 1.0)); };
    expect_count(seen.key[k], sent * q * q * pulse.detection[k]);
    expect_count(seen.key_errors[k], sent * q * q * pulse.error[k]);
    expect_count(seen.check[k], sent * (1.0 - q) * (1.0 - q) * pulse.detection[k]);
    expect_count(seen.check_errors[k], sent * (1.0 - q) * (1.0 - q) * pulse.error[k]);
  }
  double expected_clicks = 0;
  for (std::size_t k = 0; k < intensity_count; ++k) expected_clicks += gates * link.intensity_probability[k] * pulse.detection[k];
  EXPECT_NEAR(seen.clicks / expected_clicks, 1.0, 0.01);
}

/// The same link gate by gate, as the definitions read: an independent walk with another random generator.
Tally gate_by_gate(const LinkParameters& link, std::uint64_t gates, std::uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::uniform_real_distribution<double> uniform;
  const auto chance = [&](double p) { return uniform(engine) < p; };
  struct Detector {
    std::uint64_t ready_from = 0;
    bool was_blind = false;
    std::vector<std::uint64_t> traps;  // from when on each may release
  };
  std::array<Detector, 2> detectors;
  const double released = 1.0 - std::exp(-1.0 / (link.afterpulse_decay_s * link.gate_rate_hz));  // per gate
  using Source = std::poisson_distribution<unsigned>;
  std::array<Source, intensity_count> source{Source(link.intensity[0]), Source(link.intensity[1]), Source(link.intensity[2])};
  Tally out;
  out.gates = gates;
  for (std::uint64_t gate = 0; gate < gates; ++gate) {
    const double u = uniform(engine);
    const std::size_t k = u < link.intensity_probability[0] ? 0 : u < link.intensity_probability[0] + link.intensity_probability[1] ? 1 : 2;
    const unsigned photons = source[k](engine);
    const bool alice_key = chance(link.key_basis_probability);
    const bool bob_key = chance(link.key_basis_probability);
    const bool bit = chance(0.5);
    unsigned fired = 0;
    for (unsigned i = 0; i < photons; ++i) {
      if (!chance(link.transmittance())) continue;
      const bool outcome = alice_key == bob_key ? bit != chance(link.misalignment_error) : chance(0.5);
      const Detector& hit = detectors[outcome ? 1 : 0];
      const double since = static_cast<double>(gate) - static_cast<double>(hit.ready_from) + 0.5;
      const double missing = link.recovery_time_s > 0.0 && hit.was_blind ? std::exp(-since / (link.recovery_time_s * link.gate_rate_hz)) : 0.0;
      if (!chance(missing)) fired |= outcome ? 2U : 1U;
    }
    for (unsigned d = 0; d < 2; ++d) {
      if (chance(link.dark_count_probability)) fired |= 1U << d;
      std::erase_if(detectors[d].traps, [&](std::uint64_t from) {
        if (gate < from || !chance(released)) return false;
        fired |= 1U << d;
        return true;
      });
      if (gate < detectors[d].ready_from) fired &= ~(1U << d);
    }
    if (fired == 0) continue;
    for (unsigned d = 0; d < 2; ++d) {
      const bool did_fire = (fired >> d & 1U) != 0;
      if (!did_fire && link.dead_time_scope == DeadTimeScope::detector) continue;
      detectors[d].ready_from = gate + 1 + link.dead_gates();
      detectors[d].was_blind = true;
      if (did_fire && chance(link.afterpulse_probability)) detectors[d].traps.push_back(gate + 1 + link.dead_gates());
    }
    const bool bob_bit = fired == 3U ? chance(0.5) : fired == 2U;
    out.clicks += 1;
    out.doubles += fired == 3U ? 1 : 0;
    if (alice_key != bob_key) continue;
    (alice_key ? out.key : out.check)[k] += 1;
    if (bob_bit != bit) (alice_key ? out.key_errors : out.check_errors)[k] += 1;
    if (alice_key && photons <= 1) out.key_vacuum_and_single[photons] += 1;
  }
  return out;
}

void expect_same_statistics(const LinkParameters& link) {
  ASSERT_TRUE(link.validate());
  const Tally skipped = tally(link, 100'000);
  const Tally walked = gate_by_gate(link, skipped.gates, 9);
  const auto expect_same = [](double a, double b) { EXPECT_NEAR(a, b, 6.0 * std::sqrt(a + b + 1.0)); };
  expect_same(skipped.clicks, walked.clicks);
  expect_same(skipped.doubles, walked.doubles);
  EXPECT_GT(skipped.doubles, 500);
  for (std::size_t k = 0; k < intensity_count; ++k) {
    expect_same(skipped.key[k], walked.key[k]);
    expect_same(skipped.key_errors[k], walked.key_errors[k]);
    expect_same(skipped.check[k], walked.check[k]);
    expect_same(skipped.check_errors[k], walked.check_errors[k]);
  }
  expect_same(skipped.key_vacuum_and_single[0], walked.key_vacuum_and_single[0]);
  expect_same(skipped.key_vacuum_and_single[1], walked.key_vacuum_and_single[1]);
}

/// Everything that can happen happens often.
LinkParameters busy_link() {
  LinkParameters link;
  link.distance_km = 0.0;
  link.receiver_loss_db = 0.0;
  link.detector_efficiency = 0.5;  // many double clicks
  link.dark_count_probability = 0.01;
  link.afterpulse_probability = 0.1;
  link.afterpulse_decay_s = 4e-9;
  link.misalignment_error = 0.03;
  link.dead_time_s = 3e-9;
  link.key_basis_probability = 0.6;
  link.intensity = {0.9, 0.3, 1e-3};
  return link;
}

TEST(SimulatedFibreTest, SkippingToTheNextClickEqualsGoingGateByGate) { expect_same_statistics(busy_link()); }

TEST(SimulatedFibreTest, SkippingEqualsGoingGateByGateWhenEachDetectorHasItsOwnDeadTime) {
  LinkParameters link = busy_link();
  link.dead_time_scope = DeadTimeScope::detector;
  link.dead_time_s = 7e-9;
  expect_same_statistics(link);
}

TEST(SimulatedFibreTest, SkippingEqualsGoingGateByGateWhileDetectorsRecover) {
  LinkParameters link = busy_link();
  link.recovery_time_s = 5e-9;
  link.dead_time_scope = DeadTimeScope::detector;
  expect_same_statistics(link);
}

TEST(SimulatedFibreTest, SkippingEqualsGoingGateByGateWithOneDecoy) {
  LinkParameters link = busy_link();
  link.intensity_probability = {0.6, 0.4, 0.0};
  expect_same_statistics(link);
  EXPECT_EQ(tally(link, 50'000).key[2], 0.0);
}

TEST(SimulatedFibreTest, AfterpulsesComeWithTheirProbabilityAndDecayConstantAfterTheDeadTime) {
  LinkParameters link;
  link.distance_km = 350.0;  // other clicks are far away
  link.dark_count_probability = 1e-9;
  link.afterpulse_probability = 0.2;
  link.afterpulse_decay_s = 40e-9;
  link.dead_time_s = 30e-9;
  SimulatedFibre fibre(link, test::secret_of(fibre_seed_size, 5), test::run(1));
  Click previous = fibre.next();
  double near = 0;
  double delay = 0;
  double same_detector = 0;
  constexpr int clicks = 50'000;
  for (int i = 0; i < clicks; ++i) {
    const Click click = fibre.next();
    const std::uint64_t gates = click.index - previous.index - 1;
    ASSERT_GE(gates, 30U);
    if (gates < 30 + 40 * 12) {  // e^-12 are later
      near += 1;
      delay += static_cast<double>(gates - 30);
      same_detector += click.bob_bit == previous.bob_bit ? 1 : 0;
    }
    previous = click;
  }
  // Each click, also an afterpulse, is followed by one with probability 0.2. Mean of floor(exponential of 40 gates): 1 / (e^(1/40) - 1).
  EXPECT_NEAR(near / clicks, 0.2, 0.01);
  EXPECT_NEAR(delay / near, 39.5, 1.5);
  EXPECT_GT(same_detector / near, 0.99);
}

TEST(SimulatedFibreTest, KeepsTheDeadTime) {
  LinkParameters link;
  link.distance_km = 0.0;
  link.dead_time_s = 20e-9;
  SimulatedFibre fibre(link, test::secret_of(fibre_seed_size, 5), test::run(1));
  std::uint64_t previous = fibre.next().index;
  std::uint64_t smallest = std::numeric_limits<std::uint64_t>::max();
  for (int i = 0; i < 20'000; ++i) {
    const std::uint64_t index = fibre.next().index;
    smallest = std::min(smallest, index - previous);
    previous = index;
  }
  EXPECT_EQ(smallest, 21U);
}

TEST(SimulatedFibreTest, TakesAsManyPulsesAsTheLinkModelExpects) {
  constexpr std::size_t clicks = 100'000;
  for (const DeadTimeScope scope : {DeadTimeScope::receiver, DeadTimeScope::detector}) {
    LinkParameters link;
    link.distance_km = 25.0;
    link.dead_time_s = 200e-9;
    link.dead_time_scope = scope;
    const double sifted = static_cast<double>(clicks) * link.key_basis_probability * link.key_basis_probability;
    const auto expected = expected_block(link, Bound::lim_2014, {.n_key = sifted, .model = PulseModel::pulse_by_pulse});
    ASSERT_TRUE(expected) << expected.error().message;
    EXPECT_NEAR(static_cast<double>(tally(link, clicks).gates) / expected->pulses, 1.0, 0.02) << name(scope);
  }
}

TEST(SimulatedFibreTest, HoldsMoreSinglePhotonsThanTheBoundClaims) {
  const LinkParameters link;
  const Tally seen = tally(link, 300'000);
  const LimBound bound = lim2014(LimInput{.mu = link.intensity,
                                          .p = link.intensity_probability,
                                          .n_X = seen.key,
                                          .n_Z = seen.check,
                                          .m_Z = seen.check_errors,
                                          .lambda_EC = 0,
                                          .eps_sec = 1e-10,
                                          .eps_cor = 1e-15});
  EXPECT_GT(bound.s_X1, 0.0);
  EXPECT_LE(bound.s_X1, seen.key_vacuum_and_single[1]);
  EXPECT_LE(bound.s_X0, seen.key_vacuum_and_single[0]);
  EXPECT_LE(bound.s_Z1, seen.check_single);
}

TEST(SimulatedDeviceTest, EndsMeetOverTheSharedFibreAlone) {
  const LinkParameters link;
  auto alice = std::move(*open_simulated_alice(link, test::secret_of(fibre_seed_size, 3)));
  auto bob = std::move(*open_simulated_bob(link, test::secret_of(fibre_seed_size, 3)));
  ASSERT_TRUE(alice->start(test::run(2)));
  ASSERT_TRUE(bob->start(test::run(2)));
  auto record = bob->collect(5000);
  ASSERT_TRUE(record);
  const Clicks seen = record->clicks.take_all();
  const auto sent = alice->emissions(seen.indices);
  ASSERT_TRUE(sent);
  std::size_t matching = 0;
  std::size_t errors = 0;
  std::size_t mismatched_errors = 0;
  for (std::size_t i = 0; i < seen.indices.size(); ++i) {
    const bool differs = sent->bits.reveal()[i] != seen.bits.reveal()[i];
    if (sent->bases[i] == seen.bases[i]) {
      ++matching;
      errors += differs ? 1 : 0;
    } else {
      mismatched_errors += differs ? 1 : 0;
    }
  }
  EXPECT_LT(errors, matching / 20);
  EXPECT_NEAR(static_cast<double>(mismatched_errors) / static_cast<double>(5000 - matching), 0.5, 0.1);
  EXPECT_GT(record->gates, seen.indices.back());
}

TEST(PackedClicksTest, GiveBackWhatWasAddedInPiecesOfAnySize) {
  test::SeededRng random(4);
  constexpr std::size_t count = 1003;
  PackedClicks packed(count);
  Clicks added{.indices = {}, .bases = {}, .bits = Secret(count)};
  std::uint64_t index = 0;
  for (std::size_t i = 0; i < count; ++i) {
    index += i == 500 ? std::uint64_t{1} << 61 : 1 + random.below(i % 7 == 0 ? 1'000'000 : 200);
    added.indices.push_back(index);
    added.bases.push_back(random.below(3) == 0 ? Basis::check_z : Basis::key_x);
    added.bits.writable()[i] = static_cast<std::uint8_t>(random.below(2));
    packed.add(index, added.bases.back(), added.bits.reveal()[i] != 0);
  }
  EXPECT_EQ(packed.last(), index);
  std::size_t at = 0;
  for (const std::size_t piece : {std::size_t{1}, std::size_t{8}, std::size_t{500}, count}) {
    const Clicks taken = packed.take(piece);
    for (std::size_t i = 0; i < taken.indices.size(); ++i, ++at) {
      EXPECT_EQ(taken.indices[i], added.indices[at]);
      EXPECT_EQ(taken.bases[i], added.bases[at]);
      EXPECT_EQ(taken.bits.reveal()[i], added.bits.reveal()[at]);
    }
    EXPECT_EQ(packed.size(), count - at);
  }
  EXPECT_EQ(at, count);
}

TEST(SimulatedDeviceTest, AnotherRunOrAnotherFibreGivesOtherBits) {
  const LinkParameters link;
  const auto collect = [&link](std::uint64_t seed, std::uint8_t number) {
    auto bob = std::move(*open_simulated_bob(link, test::secret_of(fibre_seed_size, seed)));
    EXPECT_TRUE(bob->start(test::run(number)));
    return bob->collect(200)->clicks.take_all().indices;
  };
  EXPECT_EQ(collect(3, 1), collect(3, 1));
  EXPECT_NE(collect(3, 1), collect(3, 2));
  EXPECT_NE(collect(3, 1), collect(4, 1));
}

TEST(SimulatedDeviceTest, AnswersForPulsesThatNobodyDetected) {
  const LinkParameters link;
  auto alice = std::move(*open_simulated_alice(link, test::secret_of(fibre_seed_size, 3)));
  ASSERT_TRUE(alice->start(test::run(2)));
  std::vector<std::uint64_t> indices(4000);
  for (std::size_t i = 0; i < indices.size(); ++i) indices[i] = i;
  const auto sent = alice->emissions(indices);
  ASSERT_TRUE(sent);
  const auto key = std::ranges::count(sent->bases, Basis::key_x);
  EXPECT_NEAR(static_cast<double>(key) / 4000.0, link.key_basis_probability, 0.05);
  const auto vacuum = std::ranges::count(sent->intensities, Intensity::vacuum);
  EXPECT_NEAR(static_cast<double>(vacuum) / 4000.0, link.intensity_probability[2], 0.05);
}

TEST(SimulatedDeviceTest, RefusesIndicesOutOfOrderAndWorkBeforeARun) {
  const LinkParameters link;
  auto alice = std::move(*open_simulated_alice(link, test::secret_of(fibre_seed_size, 3)));
  EXPECT_FALSE(alice->emissions(std::array<std::uint64_t, 1>{1}));
  ASSERT_TRUE(alice->start(test::run(2)));
  EXPECT_FALSE(alice->emissions(std::array<std::uint64_t, 2>{7, 7}));
  EXPECT_FALSE(alice->emissions(std::array<std::uint64_t, 1>{3}));
  auto bob = std::move(*open_simulated_bob(link, test::secret_of(fibre_seed_size, 3)));
  EXPECT_FALSE(bob->collect(10));
  ASSERT_TRUE(bob->start(test::run(2)));
  EXPECT_FALSE(bob->collect(0));
  EXPECT_FALSE(open_simulated_bob(link, Secret(16)));
}

TEST(LinkParametersTest, RefusesWhatNoLinkCanBe) {
  const auto refused = [](auto change) {
    LinkParameters link;
    change(link);
    return !link.validate();
  };
  EXPECT_TRUE(LinkParameters().validate());
  EXPECT_TRUE(refused([](LinkParameters& l) { l.distance_km = -1; }));
  EXPECT_TRUE(refused([](LinkParameters& l) { l.detector_efficiency = 1.5; }));
  EXPECT_TRUE(refused([](LinkParameters& l) { l.intensity = {0.2, 0.21, 0.0}; }));
  EXPECT_TRUE(refused([](LinkParameters& l) { l.intensity_probability = {0.5, 0.5, 0.5}; }));
  EXPECT_TRUE(refused([](LinkParameters& l) { l.key_basis_probability = 1.0; }));
  EXPECT_TRUE(refused([](LinkParameters& l) { l.intensity_probability = {0.7, 0.3, 1e-7}; }));
  EXPECT_TRUE(refused([](LinkParameters& l) { l.intensity = {0.4, 0.0, 0.0}; }));
  EXPECT_TRUE(refused([](LinkParameters& l) {
    l.intensity = {0.4, 0.0, 0.0};
    l.intensity_probability = {0.7, 0.3, 0.0};
  }));
  EXPECT_TRUE(refused([](LinkParameters& l) { l.effective_gate_width_s = 2e-9; }));
  EXPECT_TRUE(refused([](LinkParameters& l) { l.afterpulse_decay_s = -1; }));
  EXPECT_TRUE(refused([](LinkParameters& l) { l.eavesdropper.share = 1.5; }));
  EXPECT_TRUE(refused([](LinkParameters& l) { l.gate_rate_hz = std::numeric_limits<double>::quiet_NaN(); }));
}

TEST(LinkParametersTest, SaysWhichValueIsOutOfRangeAndTheRangeHoweverSmallTheyAre) {
  LinkParameters link;
  link.effective_gate_width_s = 2e-9;
  EXPECT_EQ(link.validate().error().message, "link: effective_gate_width_s = 2e-09: must be between 1e-15 and 1e-09");
}

TEST(LinkParametersTest, KnowsItsDecoyProtocol) {
  LinkParameters link;
  EXPECT_EQ(link.decoy_protocol(), DecoyProtocol::two_decoy);
  link.intensity[2] = 0.0;
  EXPECT_EQ(link.decoy_protocol(), DecoyProtocol::vacuum_weak);
  EXPECT_TRUE(link.validate());
  link.intensity_probability = {0.7, 0.3, 0.0};
  EXPECT_EQ(link.decoy_protocol(), DecoyProtocol::one_decoy);
  EXPECT_TRUE(link.validate());
}

TEST(LinkParametersTest, LosesThePhotonsThatJitterOutOfTheGate) {
  LinkParameters link;
  link.timing_jitter_s = 50e-12;
  link.effective_gate_width_s = 100e-12;  // one standard deviation to either side
  EXPECT_NEAR(link.gate_acceptance(), 0.682689, 1e-6);
  link.timing_jitter_s = 0.0;
  const double whole = link.transmittance();
  link.timing_jitter_s = 50e-12;
  EXPECT_NEAR(link.transmittance() / whole, 0.682689, 1e-6);
}

TEST(LinkParametersTest, EncodesEveryValueThatBothEndsMustShare) {
  const auto differs = [](auto change) {
    LinkParameters link;
    change(link);
    return !equal(link.encode(), LinkParameters().encode());
  };
  EXPECT_FALSE(differs([](LinkParameters&) {}));
  EXPECT_TRUE(differs([](LinkParameters& l) { l.afterpulse_decay_s *= 2; }));
  EXPECT_TRUE(differs([](LinkParameters& l) { l.recovery_time_s = 1e-9; }));
  EXPECT_TRUE(differs([](LinkParameters& l) { l.timing_jitter_s *= 2; }));
  EXPECT_TRUE(differs([](LinkParameters& l) { l.effective_gate_width_s *= 2; }));
  EXPECT_TRUE(differs([](LinkParameters& l) { l.dead_time_scope = DeadTimeScope::detector; }));
  EXPECT_TRUE(differs([](LinkParameters& l) { l.photocurrent_limit_a = 0; }));
  EXPECT_TRUE(differs([](LinkParameters& l) { l.eavesdropper.attack = Attack::intercept_resend; }));
}

}  // namespace
}  // namespace qanat::qkd
