#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>

#include "quantum/qkd/keyrate/acceptance.hpp"
#include "quantum/qkd/keyrate/lim2014.hpp"
#include "quantum/qkd/keyrate/optimise.hpp"

namespace qanat::qkd {
namespace {

constexpr std::array all_bounds{Bound::wiesemann_2026, Bound::lim_2014, Bound::rusca_2018, Bound::gllp};
constexpr std::array finite_bounds{Bound::wiesemann_2026, Bound::lim_2014, Bound::rusca_2018};

/// What a good block of 10^7 sifted bits looks like over 50 km.
BoundInput good_block(Bound bound, double n_key = 1e7) {
  const LinkParameters link;
  return best_parameters(link, bound, {.n_key = n_key, .f_EC = 1.16, .eps_sec = 1e-10, .eps_cor = 1e-15}).value().block.input;
}

void expect_refused(const BoundInput& input, std::string_view part) {
  const auto refused = key_length(input);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument);
  EXPECT_NE(refused.error().message.find(part), std::string::npos) << refused.error().message;
}

TEST(BoundTest, IsKnownByItsConfigurationName) {
  for (const Bound bound : all_bounds) EXPECT_EQ(bound_from_name(name(bound)).value(), bound);
  const auto refused = bound_from_name("gllp ");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument);
  EXPECT_NE(refused.error().message.find("wiesemann-2026, lim-2014, rusca-2018, gllp"), std::string::npos);
}

TEST(BoundTest, GivesKeyForAGoodBlockWithinWhatCouldBeSecret) {
  for (const Bound bound : all_bounds) {
    const BoundInput input = good_block(bound);
    const auto output = key_length(input);
    ASSERT_TRUE(output) << output.error().message;
    EXPECT_GT(output->bits(), 2'000'000U) << name(bound);
    EXPECT_LT(output->length, output->vacuum + output->single);
    EXPECT_LT(output->vacuum + output->single, 1e7);
    EXPECT_TRUE(output->why.empty());
  }
}

TEST(BoundTest, LimThroughTheInterfaceIsLimItself) {
  const BoundInput input = good_block(Bound::lim_2014);
  const LimBound direct = lim2014({.mu = input.mu,
                                   .p = input.p,
                                   .n_X = input.n_key,
                                   .n_Z = input.n_check,
                                   .m_Z = input.m_check,
                                   .lambda_EC = input.lambda_EC,
                                   .eps_sec = input.eps_sec,
                                   .eps_cor = input.eps_cor});
  EXPECT_EQ(key_length(input)->length, direct.l);
  EXPECT_EQ(key_length(input)->phase_error, direct.phi_X);
}

TEST(BoundTest, RefusesTheWrongNumberOfDecoys) {
  for (const Bound one_decoy : {Bound::wiesemann_2026, Bound::rusca_2018}) {
    BoundInput input = good_block(Bound::lim_2014);
    input.bound = one_decoy;
    expect_refused(input, "takes one decoy");
  }
  BoundInput input = good_block(Bound::wiesemann_2026);
  input.bound = Bound::lim_2014;
  expect_refused(input, "takes two decoys");
  input.bound = Bound::gllp;
  expect_refused(input, "vacuum");
  input = good_block(Bound::lim_2014);
  input.bound = Bound::gllp;  // the third intensity is not quite dark
  expect_refused(input, "vacuum");
}

TEST(BoundTest, RefusesIntensitiesInTheWrongOrder) {
  for (const Bound bound : all_bounds) {
    BoundInput input = good_block(bound);
    std::swap(input.mu[0], input.mu[1]);
    expect_refused(input, "must satisfy");
  }
}

TEST(BoundTest, RefusesProbabilitiesThatDoNotAddUp) {
  for (const Bound bound : all_bounds) {
    BoundInput input = good_block(bound);
    input.p[0] *= 0.9;
    expect_refused(input, "add up to 1");
  }
}

TEST(BoundTest, RefusesCountsThatCannotBe) {
  for (const Bound bound : all_bounds) {
    BoundInput more_errors = good_block(bound);
    more_errors.m_check[1] = more_errors.n_check[1] + 1.0;
    expect_refused(more_errors, "more errors than events");
    BoundInput negative = good_block(bound);
    negative.n_key[0] = -1.0;
    expect_refused(negative, "not negative");
    BoundInput no_number = good_block(bound);
    no_number.m_key[1] = std::numeric_limits<double>::quiet_NaN();
    expect_refused(no_number, "finite");
    BoundInput leak = good_block(bound);
    leak.lambda_EC = std::numeric_limits<double>::infinity();
    expect_refused(leak, "disclosed bits");
  }
  BoundInput never_sent = good_block(Bound::wiesemann_2026);
  never_sent.n_key[2] = 5.0;
  expect_refused(never_sent, "never sent");
}

TEST(BoundTest, RefusesFailureProbabilitiesThatAreNone) {
  for (const Bound bound : finite_bounds) {
    for (const double eps : {0.0, 1.0, -1e-10, std::numeric_limits<double>::quiet_NaN()}) {
      BoundInput input = good_block(bound);
      input.eps_sec = eps;
      expect_refused(input, "eps_sec");
      input = good_block(bound);
      input.eps_cor = eps;
      expect_refused(input, "eps_cor");
    }
  }
}

TEST(BoundTest, GllpNeedsToKnowHowManyPulsesWereSent) {
  BoundInput input = good_block(Bound::gllp);
  input.pulses = 0.0;
  expect_refused(input, "pulses");
  input.pulses = 1e6;
  expect_refused(input, "more events than pulses");
  input = good_block(Bound::gllp);
  input.key_basis_probability = 1.0;
  expect_refused(input, "key basis");
}

TEST(BoundTest, SaysWhyThereIsNoKey) {
  for (const Bound bound : finite_bounds) {
    BoundInput scarce = good_block(bound);
    for (IntensityCounts* counts : {&scarce.n_key, &scarce.m_key, &scarce.n_check, &scarce.m_check}) {
      for (double& count : *counts) count /= 1e5;
    }
    EXPECT_EQ(key_length(scarce)->bits(), 0U);
    EXPECT_NE(key_length(scarce)->why.find("single photon"), std::string::npos) << key_length(scarce)->why;
  }
  for (const Bound bound : all_bounds) {
    BoundInput noisy = good_block(bound);
    for (std::size_t k = 0; k < intensity_count; ++k) noisy.m_check[k] = noisy.n_check[k] * 0.4;
    EXPECT_EQ(key_length(noisy)->bits(), 0U);
    EXPECT_FALSE(key_length(noisy)->why.empty());
    BoundInput leaky = good_block(bound);
    leaky.lambda_EC = 9e6;
    EXPECT_EQ(key_length(leaky)->bits(), 0U);
    EXPECT_NE(key_length(leaky)->why.find("disclosed"), std::string::npos) << key_length(leaky)->why;
  }
}

TEST(BoundTest, CertaintyCostsKey) {
  for (const Bound bound : finite_bounds) {
    BoundInput input = good_block(bound);
    const double usual = key_length(input)->length;
    input.eps_sec /= 1e5;
    const double surer = key_length(input)->length;
    EXPECT_LT(surer, usual);
    input.eps_cor /= 1024.0;
    EXPECT_NEAR(surer - key_length(input)->length, 10.0, 1e-6);
  }
}

IntensityCounts drawn(const IntensityCounts& expected, std::mt19937_64& random) {
  IntensityCounts out{};
  for (std::size_t k = 0; k < intensity_count; ++k) {
    if (expected[k] > 0.0) out[k] = static_cast<double>(std::poisson_distribution<std::int64_t>(expected[k])(random));
  }
  return out;
}

/// An honest block of the link that `expected` describes.
BoundInput honest_block(const BoundInput& expected, std::mt19937_64& random) {
  BoundInput out = expected;
  out.n_key = drawn(expected.n_key, random);
  out.n_check = drawn(expected.n_check, random);
  for (std::size_t k = 0; k < intensity_count; ++k) {
    const auto errors = [&](double n, double rate) {
      return static_cast<double>(std::binomial_distribution<std::int64_t>(static_cast<std::int64_t>(n), rate)(random));
    };
    if (expected.n_key[k] > 0.0) out.m_key[k] = errors(out.n_key[k], expected.m_key[k] / expected.n_key[k]);
    if (expected.n_check[k] > 0.0) out.m_check[k] = errors(out.n_check[k], expected.m_check[k] / expected.n_check[k]);
  }
  return out;
}

TEST(AcceptanceTest, FixedLengthIsNeverLongerThanTheBoundOfAnyBlockThatPasses) {
  std::mt19937_64 random(1);
  for (const Bound bound : finite_bounds) {
    const BoundInput expected = good_block(bound, 1e6);
    const auto thresholds = thresholds_around(expected, 1e-3, 0.0);
    ASSERT_TRUE(thresholds) << thresholds.error().message;
    const auto length = fixed_length(*thresholds);
    ASSERT_TRUE(length);
    EXPECT_GT(length->bits(), 100'000U);
    EXPECT_LT(length->length, key_length(expected)->length);
    // Corners and inner points of the ranges, not only likely blocks.
    for (int i = 0; i < 2000; ++i) {
      BoundInput block = expected;
      const auto pick = [&](const CountRange& range) {
        const auto where = random() % 3;
        return where == 0 ? range.low : where == 1 ? range.high : std::uniform_real_distribution<double>(range.low, range.high)(random);
      };
      for (std::size_t k = 0; k < intensity_count; ++k) {
        block.n_key[k] = pick(thresholds->ranges.n_key[k]);
        block.n_check[k] = pick(thresholds->ranges.n_check[k]);
        block.m_key[k] = std::min(block.n_key[k], pick(thresholds->ranges.m_key[k]));
        block.m_check[k] = std::min(block.n_check[k], pick(thresholds->ranges.m_check[k]));
      }
      block.lambda_EC = thresholds->ranges.lambda_EC;
      ASSERT_TRUE(accept(*thresholds, block)) << accept(*thresholds, block).error().message;
      ASSERT_GE(key_length(block)->length, length->length) << name(bound);
    }
  }
}

TEST(AcceptanceTest, HonestBlocksAreRefusedNoMoreOftenThanStated) {
  std::mt19937_64 random(2);
  constexpr int blocks = 2000;
  constexpr double abort_probability = 0.05;
  for (const Bound bound : finite_bounds) {
    const BoundInput expected = good_block(bound, 1e6);
    const auto thresholds = thresholds_around(expected, abort_probability, 0.0);
    int refused = 0;
    for (int i = 0; i < blocks; ++i) refused += accept(*thresholds, honest_block(expected, random)) ? 0 : 1;
    EXPECT_LE(refused, static_cast<int>(abort_probability * blocks));
  }
}

TEST(AcceptanceTest, RefusesABlockOutsideAndNamesTheCount) {
  const BoundInput expected = good_block(Bound::wiesemann_2026);
  const auto thresholds = thresholds_around(expected, 1e-6, 0.0);
  ASSERT_TRUE(accept(*thresholds, expected));
  const auto denied = [&](const BoundInput& block, std::string_view part) {
    const auto result = accept(*thresholds, block);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::denied);
    EXPECT_NE(result.error().message.find(part), std::string::npos) << result.error().message;
  };
  BoundInput block = expected;
  block.m_check[0] *= 1.5;
  denied(block, "errors in the check basis of intensity 1");
  block = expected;
  block.m_key[1] *= 1.5;
  denied(block, "errors in the key basis of intensity 2");
  block = expected;
  block.n_key[1] *= 0.9;
  denied(block, "events in the key basis of intensity 2");
  block = expected;
  block.n_check[0] *= 1.1;
  denied(block, "events in the check basis of intensity 1");
  block = expected;
  block.lambda_EC = thresholds->ranges.lambda_EC + 1.0;
  denied(block, "disclosed");
  block = expected;
  block.lambda_EC = std::numeric_limits<double>::quiet_NaN();
  denied(block, "disclosed");
}

TEST(AcceptanceTest, TakesFewerKeyBasisErrorsGladly) {
  const BoundInput expected = good_block(Bound::wiesemann_2026);
  BoundInput block = expected;
  block.m_key = {};
  EXPECT_TRUE(accept(*thresholds_around(expected, 1e-3, 0.0), block));
}

TEST(AcceptanceTest, RefusesABlockOfAnotherLink) {
  const BoundInput expected = good_block(Bound::wiesemann_2026);
  BoundInput other = expected;
  other.mu[0] += 1e-3;
  const auto refused = accept(*thresholds_around(expected, 1e-3, 0.0), other);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::invalid_argument);
}

TEST(AcceptanceTest, RefusesThresholdsThatMeanNothing) {
  const BoundInput expected = good_block(Bound::wiesemann_2026);
  for (const double p : {0.0, 1.0, -0.1}) EXPECT_EQ(thresholds_around(expected, p, 0.0).error().code, ErrorCode::invalid_argument);
  for (const double drift : {-0.1, 1.0}) EXPECT_EQ(thresholds_around(expected, 1e-3, drift).error().code, ErrorCode::invalid_argument);
  const auto asymptotic = thresholds_around(good_block(Bound::gllp), 1e-3, 0.0);
  ASSERT_TRUE(asymptotic);
  EXPECT_EQ(fixed_length(*asymptotic).error().code, ErrorCode::invalid_argument);
  EXPECT_EQ(worst_case(asymptotic->ranges).error().code, ErrorCode::invalid_argument);
}

TEST(AcceptanceTest, ALadderTakesTheBestLengthThatABlockPassesAndSharesTheFailureProbability) {
  const BoundInput expected = good_block(Bound::wiesemann_2026);
  constexpr std::array factors{1.5, 2.5};
  const auto ladder = propose_ladder(expected, 1e-3, 0.01, factors);
  ASSERT_TRUE(ladder);
  ASSERT_EQ(ladder->size(), 3U);
  double spent = 0.0;
  for (const AcceptanceThresholds& rung : *ladder) spent += rung.ranges.eps_sec;
  EXPECT_LE(spent, expected.eps_sec * (1.0 + 1e-12));
  EXPECT_GT(ladder->front().ranges.m_check[1].low, 0.0);
  for (std::size_t rung = 1; rung < ladder->size(); ++rung) {
    for (std::size_t k = 0; k < intensity_count; ++k) {
      EXPECT_LE(ladder->at(rung).ranges.m_check[k].low, ladder->at(rung - 1).ranges.m_check[k].low) << "fewer errors let no block fall through";
    }
  }

  std::mt19937_64 random(3);
  std::uint64_t last = std::numeric_limits<std::uint64_t>::max();
  for (std::size_t rung = 0; rung < 3; ++rung) {
    BoundInput worse = expected;
    const double factor = std::array{1.0, 1.5, 2.5}[rung];
    for (std::size_t k = 0; k < 2; ++k) {
      worse.m_key[k] *= factor;
      worse.m_check[k] *= factor;
    }
    BoundInput block = honest_block(worse, random);
    block.lambda_EC = ladder->at(rung).ranges.lambda_EC;
    const auto length = fixed_length(*ladder, block);
    ASSERT_TRUE(length) << length.error().message;
    EXPECT_EQ(length->rung, rung);
    EXPECT_LT(length->output.bits(), last);
    last = length->output.bits();
  }
  BoundInput hopeless = expected;
  for (double& errors : hopeless.m_check) errors *= 6.0;
  EXPECT_EQ(fixed_length(*ladder, hopeless).error().code, ErrorCode::denied);
  EXPECT_EQ(fixed_length(AcceptanceLadder{}, expected).error().code, ErrorCode::invalid_argument);
}

TEST(AcceptanceTest, NoLadderWhenABlockThatJustPassesHoldsNoKey) {
  const BoundInput small = good_block(Bound::lim_2014, 2e4);
  constexpr std::array<double, 0> none{};
  EXPECT_EQ(propose_ladder(small, 1e-3, 0.2, none).error().code, ErrorCode::exhausted);
  constexpr std::array rising_from_below{RungPlan{.abort_probability = 1e-3, .drift = 0.0, .error_factor = 0.9}};
  EXPECT_EQ(propose_ladder(good_block(Bound::lim_2014), rising_from_below).error().code, ErrorCode::invalid_argument);
  constexpr std::array falling{2.0, 1.5};
  EXPECT_EQ(propose_ladder(good_block(Bound::lim_2014), 1e-3, 0.0, falling).error().code, ErrorCode::invalid_argument);
}

TEST(AcceptanceTest, EncodingTellsAnyTwoThresholdsApart) {
  const auto thresholds = *thresholds_around(good_block(Bound::wiesemann_2026), 1e-3, 0.0);
  EXPECT_EQ(encode(thresholds), encode(thresholds));
  auto other = thresholds;
  other.ranges.m_check[1].high += 1.0;
  EXPECT_NE(encode(thresholds), encode(other));
  other = thresholds;
  other.ranges.bound = Bound::rusca_2018;
  EXPECT_NE(encode(thresholds), encode(other));
}

TEST(LengthRuleTest, IsKnownByItsConfigurationName) {
  for (const LengthRule rule : {LengthRule::fixed, LengthRule::observed}) EXPECT_EQ(length_rule_from_name(name(rule)).value(), rule);
  EXPECT_EQ(length_rule_from_name("variable").error().code, ErrorCode::invalid_argument);
}

}  // namespace
}  // namespace qanat::qkd
