#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "quantum/qkd/keyrate/link_model.hpp"

namespace qanat::qkd {
namespace {

/// Computed independently from the paper's equations.
LimInput count_vector() {
  return {.mu = {0.427, 0.229, 2e-4},
          .p = {0.375, 0.449, 0.176},
          .n_X = {5600000, 3600000, 1400},
          .n_Z = {150000, 98000, 40},
          .m_Z = {3600, 2500, 18},
          .lambda_EC = 1.16 * 9201400.0 * binary_entropy(222650.0 / 9201400.0),  // m_X = {131000, 91000, 650}
          .eps_sec = 1e-9,
          .eps_cor = 1e-15};
}

void expect_relative(double value, double expected, double tolerance) { EXPECT_NEAR(value / expected, 1.0, tolerance) << value << " for " << expected; }

TEST(Lim2014Test, ReproducesTheCountVector) {
  const LimInput input = count_vector();
  const LimBound bound = lim2014(input);
  expect_relative(bound.tau0, 0.777741, 1e-6);
  expect_relative(bound.tau1, 0.186287, 3e-6);
  EXPECT_EQ(bound.s_X0, 0.0);
  expect_relative(bound.s_X1, 5957173.452, 1e-9);
  expect_relative(bound.s_Z1, 142884.907, 1e-8);
  expect_relative(bound.v_Z1, 7479.118, 1e-6);
  expect_relative(bound.phi_X, 0.057694, 1e-5);
  expect_relative(input.lambda_EC, 1754739.811, 1e-9);
  expect_relative(bound.l, 2306466.5465, 1e-6);
  EXPECT_EQ(bound.length(), 2306466U);
}

TEST(Lim2014Test, ChargesEveryDisclosedBit) {
  LimInput input = count_vector();
  const double before = lim2014(input).l;
  input.lambda_EC += 1000.0;
  EXPECT_NEAR(before - lim2014(input).l, 1000.0, 1e-6);
}

TEST(Lim2014Test, GivesNoKeyWhenErrorsDisclosureOrScarcityLeaveNone) {
  LimInput noisy = count_vector();
  noisy.m_Z = {75000, 49000, 20};
  EXPECT_EQ(lim2014(noisy).phi_X, 0.5);
  EXPECT_EQ(lim2014(noisy).length(), 0U);
  LimInput leaky = count_vector();
  leaky.lambda_EC = 6e6;
  EXPECT_EQ(lim2014(leaky).length(), 0U);
  LimInput scarce = count_vector();
  for (Counts* counts : {&scarce.n_X, &scarce.n_Z, &scarce.m_Z}) {
    for (double& count : *counts) count /= 1e5;
  }
  EXPECT_EQ(lim2014(scarce).length(), 0U);
  EXPECT_EQ(lim2014({.mu = scarce.mu, .p = scarce.p, .n_X = {}, .n_Z = {}, .m_Z = {}, .lambda_EC = 0, .eps_sec = 1e-9, .eps_cor = 1e-15}).length(), 0U);
}

TEST(Lim2014Test, DoesNotTakeZeroObservedErrorsForZeroErrors) {
  LimInput clean = count_vector();
  clean.m_Z = {};
  EXPECT_GT(lim2014(clean).phi_X, 0.0);
}

/// The link of the paper's figure 1.
LinkParameters paper_link(double distance_km) {
  LinkParameters link;
  link.distance_km = distance_km;
  link.attenuation_db_per_km = 0.2;
  link.receiver_loss_db = 0.0;
  link.detector_efficiency = 0.1;
  link.dark_count_probability = 6e-7;
  link.afterpulse_probability = 4e-2;
  link.misalignment_error = 5e-3;
  return link;
}

/// eps_sec = 1e-15 l, as in the paper: a fixed point.
ExpectedBlock paper_block(const LinkParameters& link, double n_X) {
  double l = n_X / 10.0;
  ExpectedBlock block;
  for (int i = 0; i < 8; ++i) {
    block = expected_block(link, {.n_X = n_X, .f_EC = 1.16, .eps_sec = 1e-15 * l, .eps_cor = 1e-15});
    if (block.bound.l < 1.0) break;
    l = block.bound.l;
  }
  return block;
}

TEST(Lim2014Test, ReproducesThePublishedModelAtItsOptimum) {
  LinkParameters link = paper_link(100.0);
  link.key_basis_probability = 0.8505;
  link.intensity = {0.4144, 0.2164, 2e-4};
  link.intensity_probability = {0.3844, 0.4392, 1.0 - 0.3844 - 0.4392};
  const ExpectedBlock block = paper_block(link, 1e7);  // the parameters are known to four digits, hence the tolerances
  expect_relative(block.bound.l, 2479035.6, 3e-4);
  expect_relative(block.pulses, 5.2012e10, 3e-4);
  expect_relative(block.bound.s_X1, 6525743.5, 3e-4);
  expect_relative(block.bound.s_Z1, 175470.2, 5e-4);
  expect_relative(block.bound.phi_X, 0.055274, 1e-3);
  expect_relative(block.input.lambda_EC, 2033988.7, 3e-4);
}

/// Best rate over (q_x, p1, p2, mu1, mu2): coordinate steps that shrink, from the optimum of n_X = 1e7.
double best_rate(double distance_km, double n_X) {
  std::array<double, 5> at{0.85, 0.38, 0.44, 0.42, 0.22};
  const auto rate = [&](const std::array<double, 5>& x) {
    LinkParameters link = paper_link(distance_km);
    link.key_basis_probability = x[0];
    link.intensity_probability = {x[1], x[2], 1.0 - x[1] - x[2]};
    link.intensity = {x[3], x[4], 2e-4};
    if (!link.validate()) return -1e9;
    const ExpectedBlock block = paper_block(link, n_X);
    return block.bound.l / block.pulses;
  };
  double best = rate(at);
  for (double step = 0.1; step > 1e-4;) {
    bool improved = false;
    for (std::size_t i = 0; i < at.size(); ++i) {
      for (std::size_t j = 0; j < at.size(); ++j) {  // pairs: q_x and mu2 pull together
        for (const double di : {-step, step}) {
          for (const double dj : {-step, 0.0, step}) {
            auto next = at;
            next[i] += di;
            if (i != j) next[j] += dj;
            if (const double there = rate(next); there > best) {
              best = there;
              at = next;
              improved = true;
            }
          }
        }
      }
    }
    if (!improved) step /= 2.0;
  }
  return best;
}

/// Secret bits per pulse (parameters of Lim et al., figure 1; computed independently).
TEST(Lim2014Test, ReproducesThePublishedTable) {
  struct Row {
    double distance_km;
    double n_X;
    double rate;
  };
  for (const Row& row :
       {Row{0, 1e5, 1.308e-3}, Row{0, 1e7, 5.355e-3}, Row{25, 1e7, 1.647e-3}, Row{50, 1e4, 1.883e-5}, Row{50, 1e5, 1.236e-4}, Row{50, 1e7, 5.139e-4},
        Row{50, 1e9, 8.897e-4}, Row{75, 1e6, 9.394e-5}, Row{100, 1e7, 4.766e-5}, Row{100, 1e9, 8.537e-5}, Row{125, 1e7, 1.312e-5}, Row{150, 1e8, 4.294e-6}}) {
    expect_relative(best_rate(row.distance_km, row.n_X), row.rate, 5e-3);
  }
}

TEST(LinkModelTest, DetectsErrsAndCountsAsThePaperSays) {
  LinkParameters link = paper_link(0.0);
  link.intensity[0] = 0.42;
  const PulseStatistics pulse = pulse_statistics(link);
  const double click = 1.0 - (1.0 - 1.2e-6) * std::exp(-0.1 * 0.42);
  EXPECT_NEAR(pulse.click[0], click, 1e-12);
  EXPECT_NEAR(pulse.detection[0], click * 1.04, 1e-12);
  EXPECT_NEAR(pulse.error[0], 6e-7 + 5e-3 * (1.0 - std::exp(-0.1 * 0.42)) + 0.02 * click, 1e-12);
}

}  // namespace
}  // namespace qanat::qkd
