#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "harness.hpp"
#include "quantum/qkd/keyrate/link_model.hpp"

namespace qanat::qkd {
namespace {

RunId run(std::uint8_t number) { return RunId(Bytes(RunId::size, number)); }

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
  SimulatedFibre fibre(link, test::secret_of(fibre_seed_size, 5), run(1));
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

/// The same link gate by gate, as the definitions read.
Tally gate_by_gate(const LinkParameters& link, std::uint64_t gates, std::uint64_t seed) {
  std::mt19937_64 engine(seed);
  std::uniform_real_distribution<double> uniform;
  const auto chance = [&](double p) { return uniform(engine) < p; };
  Tally out;
  out.gates = gates;
  std::uint64_t live_from = 0;
  bool after_click = false;
  bool last = false;
  for (std::uint64_t gate = 0; gate < gates; ++gate) {
    if (gate < live_from) continue;
    const double u = uniform(engine);
    const std::size_t k = u < link.intensity_probability[0] ? 0 : u < link.intensity_probability[0] + link.intensity_probability[1] ? 1 : 2;
    const unsigned photons = std::poisson_distribution<unsigned>(link.intensity[k])(engine);
    const bool alice_key = chance(link.key_basis_probability);
    const bool bob_key = chance(link.key_basis_probability);
    const bool bit = chance(0.5);
    unsigned fired = 0;
    for (unsigned i = 0; i < photons; ++i) {
      if (!chance(link.transmittance())) continue;
      const bool outcome = alice_key == bob_key ? bit != chance(link.misalignment_error) : chance(0.5);
      fired |= outcome ? 2U : 1U;
    }
    if (chance(link.dark_count_probability)) fired |= 1U;
    if (chance(link.dark_count_probability)) fired |= 2U;
    if (after_click && chance(link.afterpulse_probability)) fired |= last ? 2U : 1U;
    after_click = false;
    if (fired == 0) continue;
    last = fired == 3U ? chance(0.5) : fired == 2U;
    after_click = true;
    live_from = gate + 1 + link.dead_gates();
    out.clicks += 1;
    out.doubles += fired == 3U ? 1 : 0;
    if (alice_key != bob_key) continue;
    (alice_key ? out.key : out.check)[k] += 1;
    if (last != bit) (alice_key ? out.key_errors : out.check_errors)[k] += 1;
    if (alice_key && photons <= 1) out.key_vacuum_and_single[photons] += 1;
  }
  return out;
}

TEST(SimulatedFibreTest, SkippingToTheNextClickEqualsGoingGateByGate) {
  LinkParameters link;
  link.distance_km = 0.0;
  link.receiver_loss_db = 0.0;
  link.detector_efficiency = 0.5;  // many double clicks
  link.dark_count_probability = 0.01;
  link.afterpulse_probability = 0.1;
  link.misalignment_error = 0.03;
  link.dead_time_s = 3e-9;
  link.key_basis_probability = 0.6;
  link.intensity = {0.9, 0.3, 1e-3};
  const Tally skipped = tally(link, 200'000);
  const Tally walked = gate_by_gate(link, skipped.gates, 9);
  const auto expect_same = [](double a, double b) { EXPECT_NEAR(a, b, 6.0 * std::sqrt(a + b + 1.0)); };
  expect_same(skipped.clicks, walked.clicks);
  expect_same(skipped.doubles, walked.doubles);
  EXPECT_GT(skipped.doubles, 1000);
  for (std::size_t k = 0; k < intensity_count; ++k) {
    expect_same(skipped.key[k], walked.key[k]);
    expect_same(skipped.key_errors[k], walked.key_errors[k]);
    expect_same(skipped.check[k], walked.check[k]);
    expect_same(skipped.check_errors[k], walked.check_errors[k]);
  }
  expect_same(skipped.key_vacuum_and_single[0], walked.key_vacuum_and_single[0]);
  expect_same(skipped.key_vacuum_and_single[1], walked.key_vacuum_and_single[1]);
}

TEST(SimulatedFibreTest, KeepsTheDeadTime) {
  LinkParameters link;
  link.distance_km = 0.0;
  link.dead_time_s = 20e-9;
  SimulatedFibre fibre(link, test::secret_of(fibre_seed_size, 5), run(1));
  std::uint64_t previous = fibre.next().index;
  std::uint64_t smallest = std::numeric_limits<std::uint64_t>::max();
  for (int i = 0; i < 20'000; ++i) {
    const std::uint64_t index = fibre.next().index;
    smallest = std::min(smallest, index - previous);
    previous = index;
  }
  EXPECT_EQ(smallest, 21U);
}

TEST(SimulatedFibreTest, HoldsMoreSinglePhotonsThanTheBoundClaims) {
  const LinkParameters link;
  const Tally seen = tally(link, 300'000);
  const LimBound bound = lim2014({.mu = link.intensity,
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

TEST(SimulatedFibreTest, ShowsAnInterceptorByAQuarterOfErrors) {
  LinkParameters link;
  link.intercepted_share = 1.0;
  const Tally seen = tally(link, 100'000);
  EXPECT_NEAR(seen.key_errors[0] / seen.key[0], 0.25, 0.02);
  EXPECT_NEAR(seen.check_errors[0] / seen.check[0], 0.25, 0.05);
}

TEST(SimulatedDeviceTest, EndsMeetOverTheSharedFibreAlone) {
  const LinkParameters link;
  auto alice = std::move(*open_simulated_alice(link, test::secret_of(fibre_seed_size, 3)));
  auto bob = std::move(*open_simulated_bob(link, test::secret_of(fibre_seed_size, 3)));
  ASSERT_TRUE(alice->start(run(2)));
  ASSERT_TRUE(bob->start(run(2)));
  const auto seen = bob->collect(5000);
  ASSERT_TRUE(seen);
  const auto sent = alice->emissions(seen->indices);
  ASSERT_TRUE(sent);
  std::size_t matching = 0;
  std::size_t errors = 0;
  std::size_t mismatched_errors = 0;
  for (std::size_t i = 0; i < seen->indices.size(); ++i) {
    const bool differs = sent->bits.reveal()[i] != seen->bits.reveal()[i];
    if (sent->bases[i] == seen->bases[i]) {
      ++matching;
      errors += differs ? 1 : 0;
    } else {
      mismatched_errors += differs ? 1 : 0;
    }
  }
  EXPECT_LT(errors, matching / 20);
  EXPECT_NEAR(static_cast<double>(mismatched_errors) / static_cast<double>(5000 - matching), 0.5, 0.1);
  EXPECT_GT(seen->gates, seen->indices.back());
}

TEST(SimulatedDeviceTest, AnotherRunOrAnotherFibreGivesOtherBits) {
  const LinkParameters link;
  const auto collect = [&link](std::uint64_t seed, std::uint8_t number) {
    auto bob = std::move(*open_simulated_bob(link, test::secret_of(fibre_seed_size, seed)));
    EXPECT_TRUE(bob->start(run(number)));
    return std::move(*bob->collect(200)).indices;
  };
  EXPECT_EQ(collect(3, 1), collect(3, 1));
  EXPECT_NE(collect(3, 1), collect(3, 2));
  EXPECT_NE(collect(3, 1), collect(4, 1));
}

TEST(SimulatedDeviceTest, AnswersForPulsesThatNobodyDetected) {
  const LinkParameters link;
  auto alice = std::move(*open_simulated_alice(link, test::secret_of(fibre_seed_size, 3)));
  ASSERT_TRUE(alice->start(run(2)));
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
  ASSERT_TRUE(alice->start(run(2)));
  EXPECT_FALSE(alice->emissions(std::array<std::uint64_t, 2>{7, 7}));
  EXPECT_FALSE(alice->emissions(std::array<std::uint64_t, 1>{3}));
  auto bob = std::move(*open_simulated_bob(link, test::secret_of(fibre_seed_size, 3)));
  EXPECT_FALSE(bob->collect(10));
  ASSERT_TRUE(bob->start(run(2)));
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
  EXPECT_TRUE(refused([](LinkParameters& l) { l.gate_rate_hz = std::numeric_limits<double>::quiet_NaN(); }));
}

}  // namespace
}  // namespace qanat::qkd
