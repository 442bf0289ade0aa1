#include "crypto/random.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <thread>

#include "unit/crypto/crypto_fixture.hpp"

namespace qanat::crypto {
namespace {

// SP 800-90B, 4.4.1: at 8 bits per octet and alpha 2^-20 the cut-off is 1 + ceil(20/8) = 4.
TEST(HealthTestsTest, ASourceThatSticksFailsTheRepetitionTestAtTheCutOff) {
  HealthTests three(8.0);
  EXPECT_TRUE(three.feed(Bytes{1, 7, 7, 7, 2}));
  HealthTests four(8.0);
  EXPECT_FALSE(four.feed(Bytes{1, 7, 7, 7, 7}));
}

TEST(HealthTestsTest, ARunIsCountedAcrossCalls) {
  HealthTests tests(8.0);
  EXPECT_TRUE(tests.feed(Bytes{7, 7}));
  EXPECT_FALSE(tests.feed(Bytes{7, 7}));
}

TEST(HealthTestsTest, AFailureStays) {
  HealthTests tests;
  EXPECT_FALSE(tests.feed(Bytes(10, 0)));
  EXPECT_FALSE(tests.feed(testing::test_rng().bytes(64)));
}

// No value twice in a row, so that only the proportion test (4.4.2) can see it.
TEST(HealthTestsTest, ABiasedSourceFailsTheProportionTest) {
  HealthTests tests;
  Bytes samples;
  for (int i = 0; i < 128; ++i) {
    for (const int value : {200, i, 200, i + 1}) samples.push_back(static_cast<std::uint8_t>(value));
  }
  EXPECT_FALSE(tests.feed(samples));
}

// 4.4.2 for H = 1, W = 512 and alpha = 2^-20: the binomial distribution, summed exactly, gives the cut-off 311.
TEST(HealthTestsTest, TheProportionCutOffIsThatOfTheStandard) {
  const auto first_of_512 = [](std::size_t count) {
    HealthTests tests(1.0);
    Bytes samples;
    std::size_t placed = 0;
    for (std::size_t i = 0; i < 512; ++i) {
      // At most 10 in a row, below the repetition cut-off of 21.
      const bool place = placed < count && i % 11 != 10;
      placed += place ? 1 : 0;
      samples.push_back(place ? 1 : static_cast<std::uint8_t>(2 + i % 200));
    }
    EXPECT_EQ(placed, count);
    return tests.feed(samples);
  };
  EXPECT_TRUE(first_of_512(310));
  EXPECT_FALSE(first_of_512(311));
}

TEST(HealthTestsTest, AGoodSourcePasses) {
  // A fixed sequence (a 64-bit linear congruence's top octet), so that the outcome does not depend on the day.
  HealthTests tests(4.0);
  std::uint64_t state = 1;
  Bytes samples(1U << 20U);
  for (std::uint8_t& sample : samples) {
    state = state * 6364136223846793005U + 1442695040888963407U;
    sample = static_cast<std::uint8_t>(state >> 56U);
  }
  EXPECT_TRUE(tests.feed(samples));
}

TEST(RandomTest, DrawsOfAnySizeAreFilledAndDiffer) {
  Rng& rng = testing::test_rng();
  for (const std::size_t size : {16U, 32U, 4095U, 4096U, 4097U, 200000U}) {
    const Bytes a = rng.bytes(size);
    const Bytes b = rng.bytes(size);
    EXPECT_NE(a, b);
    EXPECT_FALSE(std::ranges::all_of(Bytes(a.end() - 16, a.end()), [](std::uint8_t octet) { return octet == 0; })) << size;
  }
}

TEST(RandomTest, ThreadsAndGeneratorsDrawApart) {
  auto other = open_rng();
  ASSERT_TRUE(other);
  std::array<std::vector<KeyId>, 4> drawn;
  {
    std::vector<std::jthread> threads;
    for (auto& mine : drawn) {
      threads.emplace_back([&mine, &other] {
        for (int i = 0; i < 500; ++i) {
          mine.push_back(testing::test_rng().id<KeyId>());
          mine.push_back((*other)->id<KeyId>());
        }
      });
    }
  }
  std::set<KeyId> all;
  for (const auto& mine : drawn) all.insert(mine.begin(), mine.end());
  EXPECT_EQ(all.size(), 4000U);
}

TEST(RandomTest, AGeneratorMayBeClosedWhileItsThreadGoesOn) {
  auto first = std::move(open_rng().value());
  const Bytes a = first->bytes(16);
  first.reset();
  const auto second = std::move(open_rng().value());
  EXPECT_NE(second->bytes(16), a);
}

TEST(RandomTest, AChildProcessDoesNotRepeatItsParentsOctets) {
  Rng& rng = testing::test_rng();
  (void)rng.bytes(16);  // the buffer now holds octets that the parent has not handed out yet
  std::array<int, 2> pipe_ends{};
  ASSERT_EQ(::pipe(pipe_ends.data()), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const Bytes drawn = rng.bytes(32);
    const bool sent = ::write(pipe_ends[1], drawn.data(), drawn.size()) == 32;
    ::_exit(sent ? 0 : 1);
  }
  const Bytes mine = rng.bytes(32);
  Bytes theirs(32);
  ASSERT_EQ(::read(pipe_ends[0], theirs.data(), theirs.size()), 32);
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_NE(mine, theirs);
  EXPECT_NE(theirs, Bytes(32));
  (void)::close(pipe_ends[0]);
  (void)::close(pipe_ends[1]);
}

}  // namespace
}  // namespace qanat::crypto
