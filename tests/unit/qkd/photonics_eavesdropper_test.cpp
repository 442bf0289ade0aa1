// Each attack is caught by numbers that the two ends have: error rate, decoy statistics, the receiver's monitor.
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>

#include "harness.hpp"
#include "quantum/qkd/keyrate/lim2014.hpp"

namespace qanat::qkd {
namespace {

constexpr double error_rate_max = 0.11;


/// What both ends know of a block, and what only the simulation knows.
struct Block {
  Counts key{};
  Counts key_errors{};
  Counts check{};
  Counts check_errors{};
  double gates = 0;
  double singles = 0;  // key-basis events from pulses of one photon
  MonitorRecord monitor;

  [[nodiscard]] double error_rate() const { return sum(key_errors) / sum(key); }
  static double sum(const Counts& counts) { return std::accumulate(counts.begin(), counts.end(), 0.0); }
};

Block block(const LinkParameters& link, std::size_t clicks) {
  EXPECT_TRUE(link.validate());
  auto alice = std::move(*open_simulated_alice(link, test::secret_of(fibre_seed_size, 5)));
  auto bob = std::move(*open_simulated_bob(link, test::secret_of(fibre_seed_size, 5)));
  EXPECT_TRUE(alice->start(test::run(1)) && bob->start(test::run(1)));
  auto record = bob->collect(clicks);
  const Clicks seen = record->clicks.take_all();
  const auto sent = alice->emissions(seen.indices);
  SimulatedFibre truth(link, test::secret_of(fibre_seed_size, 5), test::run(1));
  Block out;
  for (std::size_t i = 0; i < clicks; ++i) {
    const unsigned photons = truth.next().photons;
    if (sent->bases[i] != seen.bases[i]) continue;
    const bool is_key = sent->bases[i] == Basis::key_x;
    const std::size_t k = index_of(sent->intensities[i]);
    (is_key ? out.key : out.check)[k] += 1;
    if (sent->bits.reveal()[i] != seen.bits.reveal()[i]) (is_key ? out.key_errors : out.check_errors)[k] += 1;
    out.singles += is_key && photons == 1 ? 1 : 0;
  }
  out.gates = static_cast<double>(record->gates);
  out.monitor = record->monitor;
  return out;
}

/// By Lim et al., with error correction at 1.16 times the Shannon limit.
LimBound bound(const LinkParameters& link, const Block& block) {
  return lim2014(LimInput{.mu = link.intensity,
                          .p = link.intensity_probability,
                          .n_X = block.key,
                          .n_Z = block.check,
                          .m_Z = block.check_errors,
                          .lambda_EC = 1.16 * Block::sum(block.key) * binary_entropy(block.error_rate()),
                          .eps_sec = 1e-10,
                          .eps_cor = 1e-15});
}

/// A link of 100 km that gives key as long as nobody is on it.
LinkParameters honest_link() {
  LinkParameters link;
  link.distance_km = 100.0;
  link.dead_time_s = 20e-9;
  return link;
}

LinkParameters attacked_link(Attack attack, double share = 1.0) {
  LinkParameters link = honest_link();
  link.eavesdropper = {.attack = attack, .share = share};
  return link;
}

TEST(EavesdropperTest, WithoutOneTheLinkGivesKeyAndTheMonitorIsQuiet) {
  const LinkParameters link = honest_link();
  const Block seen = block(link, 400'000);
  EXPECT_LT(seen.error_rate(), 0.02);
  EXPECT_GT(bound(link, seen).length(), 20'000U);
  EXPECT_TRUE(check_monitor(seen.monitor, link));
}

TEST(EavesdropperTest, InterceptResendMakesAQuarterOfErrorsAndLeavesNoKey) {
  const LinkParameters link = attacked_link(Attack::intercept_resend);
  const Block seen = block(link, 400'000);
  EXPECT_NEAR(seen.error_rate(), 0.25, 0.02);
  EXPECT_NEAR(Block::sum(seen.check_errors) / Block::sum(seen.check), 0.25, 0.03);
  EXPECT_GT(seen.error_rate(), error_rate_max);
  EXPECT_EQ(bound(link, seen).length(), 0U);
}

TEST(EavesdropperTest, InterceptingAFractionCostsKeyInProportionBeforeTheErrorLimitIsReached) {
  const LinkParameters link = attacked_link(Attack::intercept_resend, 0.2);
  const Block seen = block(link, 400'000);
  EXPECT_LT(seen.error_rate(), error_rate_max);
  EXPECT_LT(bound(link, seen).l, bound(honest_link(), block(honest_link(), 400'000)).l / 2.0);
}

TEST(EavesdropperTest, SplittingKeepsRateAndErrorsAndIsFoundByTheDecoys) {
  const LinkParameters link = attacked_link(Attack::photon_number_splitting);
  const Block honest = block(honest_link(), 400'000);
  const Block seen = block(link, 400'000);
  // Who looks at the click rate and at the error rate alone sees an ordinary link, and would make key of it by Shor and Preskill's
  // 1 - h(e) - f h(e), which takes every event for a single photon.
  EXPECT_NEAR(seen.gates / honest.gates, 1.0, 0.02);
  EXPECT_LT(seen.error_rate(), 0.02);
  const double entropy = binary_entropy(seen.error_rate());
  EXPECT_GT(1.0 - entropy - 1.16 * entropy, 0.6);
  // But nothing of it came from a single photon (dark counts apart): she has a copy of every bit.
  EXPECT_LT(seen.singles, 0.01 * Block::sum(seen.key));
  // The decoys know. The block that was good for key has none.
  EXPECT_GT(bound(honest_link(), honest).length(), 20'000U);
  EXPECT_LT(bound(link, seen).s_X1, 0.01 * Block::sum(seen.key));
  EXPECT_EQ(bound(link, seen).length(), 0U);
}

TEST(EavesdropperTest, SplittingOnAShortLinkMustLetSinglePhotonsPassAndTheBoundStillHolds) {
  LinkParameters link = attacked_link(Attack::photon_number_splitting);
  link.distance_km = 20.0;
  const SplittingPlan plan = plan_splitting(link);
  EXPECT_GT(plan.single_pass, 0.0);
  EXPECT_LT(plan.single_pass, 1.0);
  const Block seen = block(link, 400'000);
  LinkParameters honest = link;
  honest.eavesdropper.attack = Attack::none;
  EXPECT_NEAR(seen.gates / block(honest, 400'000).gates, 1.0, 0.02);
  EXPECT_LE(bound(link, seen).s_X1, seen.singles);
}

TEST(EavesdropperTest, SplittingPlanMakesTheClicksOfTheHonestLink) {
  for (const double distance : {0.0, 10.0, 50.0, 150.0, 400.0}) {
    LinkParameters link = honest_link();
    link.distance_km = distance;
    const SplittingPlan plan = plan_splitting(link);
    double attacked = 0;
    double honest = 0;
    for (std::size_t k = 0; k < intensity_count; ++k) {
      attacked += link.intensity_probability[k] * plan.gain(link.intensity[k]);
      honest -= link.intensity_probability[k] * std::expm1(-link.transmittance() * link.intensity[k]);
    }
    if (distance == 0.0) {
      EXPECT_LE(attacked, honest);  // without loss there is nothing to hide in
    } else {
      EXPECT_NEAR(attacked / honest, 1.0, 1e-9) << distance;
    }
  }
}

TEST(EavesdropperTest, SplittingOnAVeryLongLinkForwardsHardlyAnythingAndStillMakesItsClicks) {
  LinkParameters link = attacked_link(Attack::photon_number_splitting);
  link.distance_km = 400.0;
  link.dark_count_probability = 0.0;  // every click is of light
  link.afterpulse_probability = 0.0;
  EXPECT_LT(plan_splitting(link).forwarded, 1e-7);
  const Block seen = block(link, 20'000);
  EXPECT_EQ(seen.singles, 0.0);
  EXPECT_NEAR(seen.gates * link.click_probability() / 20'000.0, 1.0, 0.05);
}

TEST(EavesdropperTest, BlindingMakesNoErrorsPassesTheBoundAndIsFoundByTheMonitor) {
  LinkParameters link = attacked_link(Attack::detector_blinding);
  link.distance_km = 25.0;
  LinkParameters honest_parameters = link;
  honest_parameters.eavesdropper.attack = Attack::none;
  const Block honest = block(honest_parameters, 400'000);
  const Block seen = block(link, 400'000);
  // Fewer clicks, no more errors, and a bound that believes the detectors gives key: she knows every bit of it.
  EXPECT_NEAR(honest.gates / seen.gates, 0.58, 0.06);
  EXPECT_LT(seen.error_rate(), 0.02);
  EXPECT_GT(bound(link, seen).length(), 0U);
  EXPECT_TRUE(check_monitor(honest.monitor, honest_parameters));
  const auto verdict = check_monitor(seen.monitor, link);
  ASSERT_FALSE(verdict);
  EXPECT_EQ(verdict.error().code, ErrorCode::denied);
  EXPECT_NE(verdict.error().message.find("microamperes"), std::string::npos);
  // Without a photocurrent monitor the missing double clicks tell.
  link.photocurrent_limit_a = 0.0;
  EXPECT_EQ(seen.monitor.double_clicks, 0U);
  EXPECT_GT(honest.monitor.double_clicks, 200U);
  const auto by_doubles = check_monitor(seen.monitor, link);
  ASSERT_FALSE(by_doubles);
  EXPECT_NE(by_doubles.error().message.find("double clicks"), std::string::npos);
}

TEST(EavesdropperTest, BlindingOfAFewPulsesStillShowsInTheCurrent) {
  const LinkParameters link = attacked_link(Attack::detector_blinding, 0.05);
  const Block seen = block(link, 50'000);
  EXPECT_FALSE(check_monitor(seen.monitor, link));
}

TEST(ReceiverMonitorTest, StaysQuietOnHonestLinksOfEveryKind) {
  for (const double distance : {0.0, 10.0, 50.0, 150.0}) {
    for (const DeadTimeScope scope : {DeadTimeScope::receiver, DeadTimeScope::detector}) {
      for (const double recovery : {0.0, 30e-9}) {
        LinkParameters link;
        link.distance_km = distance;
        link.dead_time_scope = scope;
        link.recovery_time_s = recovery;
        link.afterpulse_probability = 0.03;
        auto bob = std::move(*open_simulated_bob(link, test::secret_of(fibre_seed_size, 5)));
        ASSERT_TRUE(bob->start(test::run(1)));
        const auto seen = bob->collect(200'000);
        ASSERT_TRUE(seen);
        const auto verdict = check_monitor(seen->monitor, link);
        EXPECT_TRUE(verdict) << distance << " km, dead time of the " << name(scope) << ", recovery " << recovery << ": " << verdict.error().message;
      }
    }
  }
}

TEST(ReceiverMonitorTest, RefusesWhatItWasNotToldAndWhatDoesNotFit) {
  const LinkParameters link;
  const MonitorRecord good{.gates = 1'000'000'000, .firings = {1000, 1010}, .double_clicks = 2, .photocurrent_a = std::array{1e-7, 1e-7}};
  EXPECT_TRUE(check_monitor(good, link));
  MonitorRecord record = good;
  record.photocurrent_a.reset();
  EXPECT_FALSE(check_monitor(record, link));
  record = good;
  record.photocurrent_a = std::array{1e-7, std::nan("")};
  EXPECT_FALSE(check_monitor(record, link));
  record = good;
  record.firings = {200, 1810};
  EXPECT_FALSE(check_monitor(record, link));
  record = good;
  record.double_clicks = 900;
  EXPECT_FALSE(check_monitor(record, link));
  EXPECT_FALSE(check_monitor(MonitorRecord(), link));
  LinkParameters unmonitored = link;
  unmonitored.photocurrent_limit_a = 0.0;
  record = good;
  record.photocurrent_a.reset();
  EXPECT_TRUE(check_monitor(record, unmonitored));
}

}  // namespace
}  // namespace qanat::qkd
