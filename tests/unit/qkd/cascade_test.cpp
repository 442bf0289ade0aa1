#include <gtest/gtest.h>

#include <set>

#include "harness.hpp"
#include "quantum/qkd/keyrate/lim2014.hpp"
#include "quantum/qkd/reconciliation/cascade.hpp"
#include "quantum/qkd/reconciliation/permutation.hpp"
#include "quantum/qkd/reconciliation/verification.hpp"

namespace qanat::qkd {
namespace {

struct Outcome {
  bool equal = false;
  std::uint64_t parities = 0;
  std::uint64_t corrected = 0;
  std::uint64_t errors = 0;
  std::size_t round_trips = 0;
};

Secret random_bits(std::size_t size, test::SeededRng& random) {
  Secret bits(size);
  for (std::uint8_t& bit : bits.writable()) bit = random.word() & 1U;
  return bits;
}

Outcome reconcile(std::size_t size, double error_rate, double guess, std::uint64_t seed) {
  test::SeededRng random(seed);
  const Secret alice = random_bits(size, random);
  Secret bob = alice.duplicate();
  Outcome out;
  for (std::uint8_t& bit : bob.writable()) {
    if (static_cast<double>(random.word() >> 11) * 0x1p-53 < error_rate) {
      bit ^= 1U;
      ++out.errors;
    }
  }
  const Bytes shuffle = random.bytes(shuffle_seed_size);
  ParityReference reference(alice, shuffle);
  ParityCorrector corrector(std::move(bob), shuffle, guess);
  while (true) {
    const auto questions = corrector.next();
    EXPECT_TRUE(questions);
    if (!questions || questions->empty()) break;
    ++out.round_trips;
    const auto answers = reference.answer(*questions);
    EXPECT_TRUE(answers);
    if (!answers || !corrector.learn(*answers)) break;
  }
  out.parities = reference.disclosed();
  EXPECT_EQ(out.parities, corrector.asked());
  out.corrected = corrector.corrected();
  out.equal = equal_secret(corrector.take_bits(), alice);
  return out;
}

TEST(CascadeTest, CorrectsEveryErrorAtRealisticRates) {
  for (const double rate : {0.005, 0.01, 0.03, 0.06, 0.10}) {
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
      const Outcome outcome = reconcile(20'000, rate, rate, seed);
      EXPECT_TRUE(outcome.equal) << rate << " " << seed;
      EXPECT_EQ(outcome.corrected, outcome.errors);
    }
  }
}

TEST(CascadeTest, DisclosesLittleMoreThanTheShannonLimit) {
  // cascade-cpp's stored data for the original parameters: 1.14 at 1 %, 1.18 at 5 %.
  for (const double rate : {0.01, 0.05}) {
    const Outcome outcome = reconcile(100'000, rate, rate, 11);
    const double actual = static_cast<double>(outcome.errors) / 1e5;
    const double efficiency = static_cast<double>(outcome.parities) / (1e5 * binary_entropy(actual));
    EXPECT_GE(efficiency, 1.0);
    EXPECT_LE(efficiency, 1.22) << rate;
    EXPECT_LT(outcome.round_trips, 500U);
  }
}

TEST(CascadeTest, SurvivesAWrongGuessOfTheErrorRate) {
  EXPECT_TRUE(reconcile(20'000, 0.03, 0.005, 3).equal);
  EXPECT_TRUE(reconcile(20'000, 0.005, 0.06, 4).equal);
  EXPECT_TRUE(reconcile(20'000, 0.0, 0.01, 5).equal);
}

TEST(CascadeTest, WorksForTinyAndOddKeys) {
  for (const std::size_t size : {101U, 128U, 1001U}) EXPECT_TRUE(reconcile(size, 0.02, 0.02, size).equal) << size;
}

TEST(CascadeTest, UsesTheOriginalBlockSizes) {
  EXPECT_EQ(cascade_block_size(0.01, 0, 100'000), 73U);
  EXPECT_EQ(cascade_block_size(0.02, 0, 100'000), 37U);  // ceil(36.5)
  EXPECT_EQ(cascade_block_size(0.01, 1, 100'000), 146U);
  EXPECT_EQ(cascade_block_size(0.01, 3, 100'000), 584U);
  EXPECT_EQ(cascade_block_size(0.01, 4, 100'001), 50'001U);
}

TEST(CascadeTest, AliceRefusesRangesOutsideTheKeyAndTooManyQuestions) {
  test::SeededRng random(1);
  const Secret bits = random_bits(100, random);
  ParityReference reference(bits, random.bytes(shuffle_seed_size));
  EXPECT_FALSE(reference.answer(std::array{ParityQuery{.pass = 0, .start = 0, .length = 101}}));
  EXPECT_FALSE(reference.answer(std::array{ParityQuery{.pass = 0, .start = 100, .length = 1}}));
  EXPECT_FALSE(reference.answer(std::array{ParityQuery{.pass = 0, .start = 5, .length = 0}}));
  EXPECT_FALSE(reference.answer(std::array{ParityQuery{.pass = cascade_passes_max, .start = 0, .length = 1}}));
  const std::vector<ParityQuery> many(100, ParityQuery{.pass = 0, .start = 0, .length = 1});
  EXPECT_TRUE(reference.answer(many));
  EXPECT_FALSE(reference.answer(std::array{ParityQuery{.pass = 0, .start = 0, .length = 1}}));
}

TEST(CascadeTest, EndsEvenWhenTheAnswersAreRandom) {
  test::SeededRng random(5);
  for (int i = 0; i < 20; ++i) {
    ParityCorrector corrector(random_bits(2000, random), random.bytes(shuffle_seed_size), 0.02);
    for (int rounds = 0;; ++rounds) {
      ASSERT_LT(rounds, 100'000);
      const auto questions = corrector.next();
      if (!questions || questions->empty()) break;
      Bytes answers(questions->size());
      for (std::uint8_t& answer : answers) answer = random.word() & 1U;
      ASSERT_TRUE(corrector.learn(answers));
    }
  }
}

TEST(PermutationTest, IsAPermutationThatBothEndsShare) {
  const Bytes seed(shuffle_seed_size, 7);
  const auto first = pass_permutation(seed, 0, 1000);
  EXPECT_EQ(std::set<std::uint32_t>(first.begin(), first.end()).size(), 1000U);
  EXPECT_EQ(*std::ranges::max_element(first), 999U);
  EXPECT_EQ(first, pass_permutation(seed, 0, 1000));
  EXPECT_NE(first, pass_permutation(seed, 1, 1000));
  EXPECT_NE(first, pass_permutation(Bytes(shuffle_seed_size, 8), 0, 1000));
}

TEST(VerificationTest, TellsKeysApartThatDifferInOneBit) {
  test::SeededRng random(2);
  const Bytes key = random.bytes(verification_key_size);
  Secret a = random.secret(1000);
  Secret b = a.duplicate();
  EXPECT_EQ(verification_hash(key, a), verification_hash(key, b));
  b.writable()[999] ^= 0x80;
  EXPECT_NE(verification_hash(key, a), verification_hash(key, b));
  EXPECT_LT(verification_collision(12'500), 1e-15);
}

}  // namespace
}  // namespace qanat::qkd
