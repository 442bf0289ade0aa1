// The loss that a link reports is that of its light, whatever its detectors' dead time takes from the clicks.
#include "quantum/qkd/session/loss.hpp"

#include <gtest/gtest.h>

#include <cmath>

#include "harness.hpp"
#include "quantum/qkd/sifting/sifting.hpp"

namespace qanat::qkd {
namespace {

constexpr double tolerance_db = 0.5;

/// The counts of a block of simulated light, as a session would report them.
BlockReport report_of(const SessionSettings& settings) {
  const LinkParameters& link = settings.parameters;
  EXPECT_TRUE(link.validate());
  SimulatedFibre fibre(link, test::secret_of(fibre_seed_size, 5), test::run(1));
  BlockReport out;
  out.mu = link.intensity;
  out.p = link.intensity_probability;
  out.key_basis_probability = link.key_basis_probability;
  for (std::size_t i = 0, clicks = clicks_needed(settings.block_size, link.key_basis_probability); i < clicks; ++i) {
    const Click click = fibre.next();
    out.gates = click.index + 1;
    if (click.alice_basis != click.bob_basis) continue;
    ++(click.alice_basis == Basis::key_x ? out.key_counts : out.check_counts)[index_of(click.intensity)];
  }
  return out;
}

double configured_db(const LinkParameters& link) { return -10.0 * std::log10(link.transmittance()); }

void expect_configured_loss(const SessionSettings& settings, std::string_view what) {
  const auto loss = loss_db(settings, report_of(settings));
  ASSERT_TRUE(loss) << what;
  EXPECT_NEAR(*loss, configured_db(settings.parameters), tolerance_db) << what;
}

SessionSettings block_of(double distance_km, double dead_time_s, DeadTimeScope scope) {
  SessionSettings settings;
  settings.block_size = 30'000;
  settings.parameters.distance_km = distance_km;
  settings.parameters.dead_time_s = dead_time_s;
  settings.parameters.dead_time_scope = scope;
  return settings;
}

TEST(LossTest, IsThatOfFibreReceiverAndDetectorsAtEveryDistanceAndDeadTime) {
  for (const double distance_km : {0.0, 5.0, 25.0, 50.0, 100.0, 150.0}) {
    for (const double dead_time_s : {0.0, 20e-9, 50e-9, 1e-6, 20e-6}) {
      for (const DeadTimeScope scope : {DeadTimeScope::receiver, DeadTimeScope::detector}) {
        expect_configured_loss(block_of(distance_km, dead_time_s, scope),
                               std::to_string(distance_km) + " km, " + std::to_string(dead_time_s * 1e9) + " ns, " + std::string(name(scope)));
      }
    }
  }
}

TEST(LossTest, OfASaturatedReceiverIsThatOfItsLight) {
  // 4.7 dB, of which a receiver that is dead for 50 gates after each click makes an apparent 11 dB.
  SessionSettings settings = block_of(5.0, 50e-9, DeadTimeScope::receiver);
  settings.parameters.detector_efficiency = 0.6;
  EXPECT_NEAR(configured_db(settings.parameters), 4.72, 0.01);
  expect_configured_loss(settings, "busy");
  settings.parameters.intensity = {0.9, 0.3, 0.0};
  settings.parameters.distance_km = 0.0;
  expect_configured_loss(settings, "brighter and nearer, vacuum + weak");
  settings.parameters.intensity = {0.6, 0.2, 0.0};
  settings.parameters.intensity_probability = {0.7, 0.3, 0.0};
  expect_configured_loss(settings, "one decoy");
}

TEST(LossTest, ClicksWithoutLightDoNotCount) {
  for (const double distance_km : {25.0, 150.0}) {
    SessionSettings settings = block_of(distance_km, 50e-9, DeadTimeScope::receiver);
    settings.block_size = 100'000;
    settings.parameters.dark_count_probability = 2e-5;  // at 150 km half of all clicks
    settings.parameters.afterpulse_probability = 0.1;
    expect_configured_loss(settings, std::to_string(distance_km) + " km");
  }
}

TEST(LossTest, RecoveryCountsAsDeadTime) {
  for (const DeadTimeScope scope : {DeadTimeScope::receiver, DeadTimeScope::detector}) {
    SessionSettings settings = block_of(25.0, 20e-9, scope);
    settings.parameters.recovery_time_s = 15e-9;
    expect_configured_loss(settings, name(scope));
  }
}

TEST(LossTest, IsNotKnownWhereTheCountsDoNotTell) {
  const SessionSettings settings = block_of(5.0, 50e-9, DeadTimeScope::receiver);
  EXPECT_FALSE(loss_db(settings, BlockReport{})) << "nothing was sent";
  const BlockReport good = report_of(settings);
  ASSERT_TRUE(loss_db(settings, good));
  const auto unknown = [&](auto change) {
    BlockReport report = good;
    change(report);
    return !loss_db(settings, report);
  };
  EXPECT_TRUE(unknown([](BlockReport& r) { r.key_counts = r.check_counts = {}; })) << "nothing was seen";
  EXPECT_TRUE(unknown([](BlockReport& r) { r.gates = 0; }));
  EXPECT_TRUE(unknown([](BlockReport& r) { r.gates /= 2; })) << "more dead time than time";
  EXPECT_TRUE(unknown([](BlockReport& r) { std::swap(r.key_counts[0], r.key_counts[2]); })) << "faint pulses click more often than bright ones";
  EXPECT_TRUE(unknown([](BlockReport& r) { r.mu = {}; }));
  EXPECT_TRUE(unknown([](BlockReport& r) { r.p = {}; }));
  EXPECT_TRUE(unknown([](BlockReport& r) { r.key_counts[1] /= 2; })) << "not a block of this size";
  SessionSettings other = settings;
  other.parameters.key_basis_probability = 0.6;
  EXPECT_FALSE(loss_db(other, good)) << "not a block of these settings";
  // What is dead all the time sees nothing of the light.
  other = settings;
  other.parameters.dead_time_s = 1e-3;
  EXPECT_FALSE(loss_db(other, good));
}

}  // namespace
}  // namespace qanat::qkd
