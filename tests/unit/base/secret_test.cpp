#include "base/secret.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <thread>
#include <type_traits>

namespace qanat {
namespace {

static_assert(!std::is_copy_constructible_v<Secret> && !std::is_copy_assignable_v<Secret>);
static_assert(std::is_nothrow_move_constructible_v<Secret> && std::is_nothrow_move_assignable_v<Secret>);

Secret secret_of(std::string_view text) { return Secret::copy_of(as_bytes(text)); }

TEST(SecretTest, BeginsAsZeros) {
  const Secret secret(100);
  EXPECT_EQ(secret.size(), 100U);
  EXPECT_TRUE(std::ranges::all_of(secret.reveal(), [](std::uint8_t octet) { return octet == 0; }));
  EXPECT_TRUE(Secret().empty());
  EXPECT_TRUE(Secret(0).empty());
}

TEST(SecretTest, ComparesEqualOnlyWhenAllOctetsMatch) {
  const Secret secret = secret_of("0123456789");
  EXPECT_TRUE(equal_secret(secret, secret_of("0123456789")));
  EXPECT_TRUE(equal_secret(Secret(), Secret()));
  EXPECT_FALSE(equal_secret(secret, secret_of("012345678")));
  EXPECT_FALSE(equal_secret(secret, Secret()));
  for (std::size_t bit = 0; bit < 80; ++bit) {
    Secret changed = secret.duplicate();
    changed.writable()[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    EXPECT_FALSE(equal_secret(secret, changed)) << "bit " << bit;
  }
}

TEST(SecretTest, AMoveLeavesNothingBehind) {
  Secret from = secret_of("octets");
  Secret to = std::move(from);
  EXPECT_TRUE(from.empty());  // NOLINT(bugprone-use-after-move): the promise under test
  EXPECT_EQ(as_text(to.reveal()), "octets");
  Secret assigned = secret_of("overwritten");
  assigned = std::move(to);
  EXPECT_TRUE(to.empty());  // NOLINT(bugprone-use-after-move)
  EXPECT_EQ(as_text(assigned.reveal()), "octets");
}

TEST(SecretTest, ADuplicateIsIndependent) {
  const Secret secret = secret_of("octets");
  Secret duplicate = secret.duplicate();
  duplicate.writable()[0] = 'O';
  EXPECT_EQ(as_text(secret.reveal()), "octets");
  EXPECT_EQ(as_text(duplicate.reveal()), "Octets");
}

// The allocator hands the block that was freed last to the next of its size: what is there then is what the first one left.
TEST(SecretTest, AFreedBlockHoldsNoOldOctets) {
  const std::uint8_t* block = nullptr;
  {
    Secret first(48);
    std::ranges::fill(first.writable(), std::uint8_t{0xa5});
    block = first.reveal().data();
  }
  EXPECT_TRUE(std::all_of(block, block + 48, [](std::uint8_t octet) { return octet == 0; }));
  const Secret second(48);
  EXPECT_EQ(second.reveal().data(), block);
}

TEST(SecretTest, JoinsInOrder) {
  const Secret a = secret_of("ab");
  const Secret b = secret_of("c");
  const Secret empty;
  EXPECT_EQ(as_text(Secret::concat({&a, &empty, &b, &a}).reveal()), "abcab");
  EXPECT_TRUE(Secret::concat({}).empty());
}

TEST(SecretTest, XorTwiceIsTheSameAgain) {
  Secret secret = secret_of("0123456789abcdef");
  const Secret pad = secret_of("qwertyuiopasdfgh");
  secret.xor_with(pad);
  EXPECT_EQ(secret.reveal()[0], '0' ^ 'q');
  EXPECT_FALSE(equal_secret(secret, secret_of("0123456789abcdef")));
  secret.xor_with(pad);
  EXPECT_TRUE(equal_secret(secret, secret_of("0123456789abcdef")));
}

TEST(SecretDeathTest, XorOfTwoLengthsStopsTheProgram) {
  Secret secret(4);
  const Secret other(5);
  EXPECT_DEATH(secret.xor_with(other), "CHECK");
}

TEST(SecretTest, SecretsOfEverySizeAreApart) {
  std::vector<Secret> secrets;
  for (const std::size_t size : {1U, 31U, 32U, 33U, 64U, 1000U, 4096U, 16384U, 16385U, 100000U}) {
    for (int i = 0; i < 40; ++i) {
      secrets.emplace_back(size);
      std::ranges::fill(secrets.back().writable(), static_cast<std::uint8_t>(secrets.size()));
    }
  }
  for (std::size_t i = 0; i < secrets.size(); ++i) {
    EXPECT_TRUE(std::ranges::all_of(secrets[i].reveal(), [&](std::uint8_t octet) { return octet == static_cast<std::uint8_t>(i + 1); })) << i;
  }
}

TEST(SecretTest, ThreadsAllocateAndReleaseTogether) {
  std::vector<std::jthread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([thread] {
      std::vector<Secret> held;
      for (std::size_t i = 0; i < 2000; ++i) {
        held.emplace_back(1 + i % 300);
        std::ranges::fill(held.back().writable(), static_cast<std::uint8_t>(thread + 1));
        if (i % 3 == 0) held.erase(held.begin());
      }
      for (const Secret& secret : held) {
        EXPECT_TRUE(std::ranges::all_of(secret.reveal(), [&](std::uint8_t octet) { return octet == static_cast<std::uint8_t>(thread + 1); }));
      }
    });
  }
}

/// Large ones get the memory of those before them.
TEST(SecretTest, ALargeSecretBeginsAsZerosWhateverWasThereBefore) {
  for (const std::size_t size : {std::size_t{20'000}, std::size_t{3} << 20}) {
    for (int turn = 0; turn < 3; ++turn) {
      Secret secret(size);
      EXPECT_TRUE(std::ranges::all_of(secret.reveal(), [](std::uint8_t octet) { return octet == 0; }));
      std::ranges::fill(secret.writable(), std::uint8_t{0xa5});
      const Secret copy = secret.duplicate();
      EXPECT_TRUE(equal_secret(copy, secret));
    }
  }
}

TEST(SecretTest, WipingOverwritesWithZeros) {
  Bytes octets = to_bytes("secret");
  wipe(octets);
  EXPECT_EQ(octets, Bytes(6));
  wipe({});
}

}  // namespace
}  // namespace qanat
