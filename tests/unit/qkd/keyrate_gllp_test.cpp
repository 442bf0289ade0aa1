#include <gtest/gtest.h>

#include <cmath>

#include "quantum/qkd/keyrate/gllp.hpp"
#include "quantum/qkd/keyrate/optimise.hpp"

namespace qanat::qkd {
namespace {

/// Gobby, Yuan, Shields 2004, as in Ma, Qi, Zhao, Lo 2005.
constexpr double f_EC = 1.22;
constexpr double standard_bb84 = 0.5;  // half of the events have matching bases

LinkParameters gys_link(double distance_km, double mu = 0.48, double nu = 0.05) {
  LinkParameters link;
  link.distance_km = distance_km;
  link.attenuation_db_per_km = 0.21;
  link.receiver_loss_db = 0.0;
  link.detector_efficiency = 0.045;
  link.dark_count_probability = 1.7e-6 / 2.0;
  link.afterpulse_probability = 0.0;
  link.misalignment_error = 0.033;
  link.dead_time_s = 0.0;
  link.intensity = {mu, nu, 0.0};
  link.intensity_probability = {0.8, 0.1, 0.1};
  link.key_basis_probability = 0.5;
  return link;
}

Gains gys_gains(const LinkParameters& link) {
  const PulseStatistics pulse = pulse_statistics(link, PulseModel::gllp_2005);
  return {.Q_mu = pulse.detection[0],
          .E_mu = pulse.error[0] / pulse.detection[0],
          .Q_nu = pulse.detection[1],
          .E_nu = pulse.error[1] / pulse.detection[1],
          .Y0 = pulse.detection[2]};
}

double vacuum_weak_rate(double distance_km) {
  const Gains gains = gys_gains(gys_link(distance_km));
  return gllp_rate(0.48, gains, vacuum_weak(0.48, 0.05, gains), f_EC, standard_bb84);
}

/// What any number of decoys would tell: the channel's own Y1 and e1.
double endless_decoys_rate(double distance_km, double mu = 0.48) {
  const LinkParameters link = gys_link(distance_km, mu);
  const double eta = link.transmittance();
  const double Y0 = 1.7e-6;
  const double Y1 = Y0 + eta;
  return gllp_rate(mu, gys_gains(link), {.Y1 = Y1, .e1 = (0.5 * Y0 + 0.033 * eta) / Y1}, f_EC, standard_bb84);
}

template <class Rate>
double reach_km(Rate&& rate) {
  double near = 100.0;
  double far = 200.0;
  for (int i = 0; i < 60; ++i) {
    const double middle = (near + far) / 2.0;
    (rate(middle) > 0.0 ? near : far) = middle;
  }
  return near;
}

TEST(GllpTest, ReachesTheDistancesOfThePaper) {
  EXPECT_NEAR(reach_km([](double km) { return endless_decoys_rate(km); }), 142.05, 0.2);
  EXPECT_NEAR(reach_km(vacuum_weak_rate), 140.55, 0.2);
}

TEST(GllpTest, ReachesTheDistancesComputedIndependently) {
  EXPECT_NEAR(reach_km([](double km) { return endless_decoys_rate(km); }), 142.01, 0.01);
  EXPECT_NEAR(reach_km(vacuum_weak_rate), 140.62, 0.01);
  const auto best_mu_rate = [](double km) {
    return -endless_decoys_rate(km, minimise([km](const std::vector<double>& x) { return -endless_decoys_rate(km, x[0]); }, {0.48}, 0.05, 1e-14, 400)[0]);
  };
  EXPECT_NEAR(reach_km([&](double km) { return -best_mu_rate(km); }), 142.21, 0.01);
}

TEST(GllpTest, ReproducesTheRates) {
  struct Row {
    double distance_km;
    double endless;
    double vacuum_weak;
  };
  for (const Row& row : {Row{0, 2.5546e-3, 2.4142e-3}, Row{20, 9.6245e-4, 9.0777e-4}, Row{50, 2.2260e-4, 2.0962e-4}, Row{80, 4.9899e-5, 4.6847e-5},
                         Row{100, 1.7184e-5, 1.6020e-5}, Row{120, 4.8146e-6, 4.3686e-6}, Row{140, 2.4647e-7, 7.3779e-8}}) {  // five digits each
    EXPECT_NEAR(endless_decoys_rate(row.distance_km) / row.endless, 1.0, 4e-5) << row.distance_km;
    EXPECT_NEAR(vacuum_weak_rate(row.distance_km) / row.vacuum_weak, 1.0, 4e-5) << row.distance_km;
  }
}

/// From counts: all intensities carry key there, so the length is the signal's rate and the decoys' together.
TEST(GllpTest, TakesCountsForGains) {
  for (const double distance_km : {0.0, 50.0, 100.0}) {
    const LinkParameters link = gys_link(distance_km);
    const auto block = expected_block(link, Bound::gllp, {.n_key = 1e9, .f_EC = f_EC, .model = PulseModel::gllp_2005});
    ASSERT_TRUE(block);
    const Gains gains = gys_gains(link);
    const SinglePhoton single = vacuum_weak(0.48, 0.05, gains);
    EXPECT_NEAR(block->output.phase_error, single.e1, 1e-9);
    const double tau1 = 0.8 * 0.48 * std::exp(-0.48) + 0.1 * 0.05 * std::exp(-0.05);
    EXPECT_NEAR(block->output.single / (block->pulses * 0.25 * tau1 * single.Y1), 1.0, 1e-9);
  }
}

/// Nearly all pulses signals, nearly all in the key basis: the length per pulse tends to R with q = 1.
TEST(GllpTest, TendsToThePapersRateWhenDecoysAreRare) {
  LinkParameters link = gys_link(50.0);
  link.intensity_probability = {1.0 - 2e-7, 1e-7, 1e-7};
  link.key_basis_probability = 1.0 - 1e-7;
  const auto block = expected_block(link, Bound::gllp, {.n_key = 1e12, .f_EC = f_EC, .model = PulseModel::gllp_2005});
  ASSERT_TRUE(block);
  EXPECT_NEAR(block->bits_per_pulse() / (2.0 * 2.0962e-4), 1.0, 4e-5);
}

TEST(GllpTest, GivesNothingBeyondItsReachAndSaysWhy) {
  const auto block = expected_block(gys_link(150.0), Bound::gllp, {.n_key = 1e9, .f_EC = f_EC, .model = PulseModel::gllp_2005});
  ASSERT_TRUE(block);
  EXPECT_EQ(block->output.bits(), 0U);
  EXPECT_FALSE(block->output.why.empty());
}

}  // namespace
}  // namespace qanat::qkd
