#include "quantum/qkd/amplification/toeplitz.hpp"

#include <gtest/gtest.h>

#include <bit>

#include "gf2_reference.hpp"
#include "harness.hpp"
#include "quantum/qkd/amplification/polynomial.hpp"
#include "quantum/qkd/octets.hpp"

namespace qanat::qkd {
namespace {

bool bit_at(ByteView octets, std::size_t i) { return (octets[i / 8] >> (i % 8) & 1U) != 0; }

/// The definition, bit by bit.
Bytes by_definition(ByteView key, std::size_t n, ByteView seed, std::size_t r) {
  Bytes out((r + 7) / 8);
  const std::size_t columns = n - r;
  for (std::size_t j = 0; j < r; ++j) {
    bool sum = bit_at(key, j);
    for (std::size_t i = 0; i < columns; ++i) sum ^= bit_at(seed, j + columns - 1 - i) && bit_at(key, r + i);
    if (sum) out[j / 8] |= static_cast<std::uint8_t>(1U << (j % 8));
  }
  return out;
}

test::Polynomial words_of(ByteView octets, std::size_t first, std::size_t count) {
  test::Polynomial out((count + 63) / 64);
  for (std::size_t i = 0; i < count; ++i) out[i / 64] |= std::uint64_t{bit_at(octets, first + i)} << (i % 64);
  return out;
}

/// The definition as the middle of a whole product, for sizes that bits one by one cannot reach.
template <class Product>
Bytes by_product(ByteView key, std::size_t n, ByteView seed, std::size_t r, Product&& multiply) {
  const std::size_t columns = n - r;
  const test::Polynomial product = multiply(words_of(key, r, columns), words_of(seed, 0, n - 1));
  Bytes out((r + 7) / 8);
  for (std::size_t j = 0; j < r; ++j) {
    if (bit_at(key, j) != test::coefficient(product, j + columns - 1)) out[j / 8] |= static_cast<std::uint8_t>(1U << (j % 8));
  }
  return out;
}

Secret masked_key(std::size_t bits, test::SeededRng& random) {
  Secret key = random.secret((bits + 7) / 8);
  if (bits % 8 != 0) key.writable().back() &= static_cast<std::uint8_t>((1U << (bits % 8)) - 1);
  return key;
}

TEST(ToeplitzTest, EqualsTheDefinitionBitByBit) {
  test::SeededRng random(1);
  for (const auto& [n, r] : std::initializer_list<std::pair<std::size_t, std::size_t>>{
           {2, 1}, {3, 1}, {3, 2}, {7, 3}, {64, 63}, {64, 1}, {65, 2}, {128, 127}, {129, 65}, {1000, 1}, {1000, 333}, {4099, 1027}, {40'961, 1500}}) {
    const Secret key = masked_key(n, random);
    const Bytes seed = random.bytes(toeplitz_seed_size(n, r));
    const Bytes expected = by_definition(key.reveal(), n, seed, r);
    for (const gf2::CarrylessPath path : test::supported_paths()) {
      const auto out = ToeplitzHasher(path).hash(key, n, seed, r);
      ASSERT_TRUE(out);
      EXPECT_TRUE(equal(out->reveal(), expected)) << n << " " << r << name(path);
    }
  }
}

TEST(ToeplitzTest, LargeBlocksEqualTheMiddleOfGf2xsProduct) {
  test::SeededRng random(2);
  // Around the passage to transforms, sizes just above a power of two (several chunks), extreme ratios, odd bits.
  for (const auto& [n, r] : std::initializer_list<std::pair<std::size_t, std::size_t>>{{32'767, 13'000},
                                                                                       {32'768, 13'107},
                                                                                       {32'769, 13'107},
                                                                                       {33'000, 28'904},
                                                                                       {33'000, 28'905},
                                                                                       {65'536, 64},
                                                                                       {70'001, 1},
                                                                                       {100'003, 90'001},
                                                                                       {131'072, 52'429},
                                                                                       {140'009, 14'003},
                                                                                       {262'145, 104'858},
                                                                                       {300'007, 120'011}}) {
    const Secret key = masked_key(n, random);
    const Bytes seed = random.bytes(toeplitz_seed_size(n, r));
    const Bytes expected = by_product(key.reveal(), n, seed, r, test::gf2x_product);
    for (const gf2::CarrylessPath path : test::supported_paths()) {
      const auto out = ToeplitzHasher(path).hash(key, n, seed, r);
      ASSERT_TRUE(out);
      EXPECT_TRUE(equal(out->reveal(), expected)) << n << " " << r << name(path);
    }
  }
}

TEST(ToeplitzTest, BlocksOfMillionsOfBitsEqualTheMiddleOfOurProduct) {
  // Our own product, from transforms that are not transposed; polynomial_test.cpp and the remainder below vouch for it.
  test::SeededRng random(8);
  for (const auto& [n, r] : std::initializer_list<std::pair<std::size_t, std::size_t>>{{std::size_t{1} << 22, 1'677'721}, {5'000'011, 2'000'003}}) {
    const Secret key = masked_key(n, random);
    const Bytes seed = random.bytes(toeplitz_seed_size(n, r));
    const auto multiply = [](const test::Polynomial& a, const test::Polynomial& b) {
      test::Polynomial product(a.size() + b.size());
      gf2::multiply(product, a, b);
      const gf2::Element ra = test::remainder(a);
      const gf2::Element rb = test::remainder(b);
      EXPECT_EQ(test::remainder(product), test::remainder(test::schoolbook({ra.low, ra.high}, {rb.low, rb.high})));
      return product;
    };
    EXPECT_TRUE(equal(toeplitz_hash(key, n, seed, r)->reveal(), by_product(key.reveal(), n, seed, r, multiply)));
  }
}

TEST(ToeplitzTest, AHasherServesBlockAfterBlock) {
  test::SeededRng random(3);
  ToeplitzHasher hasher;
  for (const auto& [n, r] :
       std::initializer_list<std::pair<std::size_t, std::size_t>>{{40'000, 16'000}, {40'000, 15'000}, {140'000, 14'000}, {500, 20}, {140'000, 14'001}}) {
    const Secret key = masked_key(n, random);
    const Bytes seed = random.bytes(toeplitz_seed_size(n, r));
    EXPECT_TRUE(equal_secret(*hasher.hash(key, n, seed, r), *toeplitz_hash(key, n, seed, r)));
  }
}

TEST(ToeplitzTest, IsLinear) {
  test::SeededRng random(4);
  for (const std::size_t n : {5000U, 50'000U}) {
    Secret a = masked_key(n, random);
    const Secret b = masked_key(n, random);
    const Bytes seed = random.bytes(toeplitz_seed_size(n, 700));
    Secret sum = std::move(*toeplitz_hash(a, n, seed, 700));
    sum.xor_with(*toeplitz_hash(b, n, seed, 700));
    a.xor_with(b);
    EXPECT_TRUE(equal_secret(*toeplitz_hash(a, n, seed, 700), sum));
  }
}

TEST(ToeplitzTest, EveryOutputIsEquallyLikelyOverTheSeedWhenK2IsNotZero) {
  // What universality rests on, in full for a small size: over all 2^9 seeds, each of the 16 outputs comes up 2^5 times.
  constexpr std::size_t n = 10;
  constexpr std::size_t r = 4;
  for (const unsigned k2 : {1U, 0x20U, 0x15U, 0x3fU}) {
    Secret key(2);
    key.writable()[0] = static_cast<std::uint8_t>(k2 << r & 0xff);
    key.writable()[1] = static_cast<std::uint8_t>(k2 << r >> 8);
    std::array<int, 16> count{};
    for (unsigned seed = 0; seed < 512; ++seed) {
      const Bytes octets{static_cast<std::uint8_t>(seed), static_cast<std::uint8_t>(seed >> 8)};
      ++count.at(toeplitz_hash(key, n, octets, r)->reveal()[0]);
    }
    for (const int one : count) EXPECT_EQ(one, 32);
  }
}

TEST(ToeplitzTest, KeysThatDifferInTheFirstPartAloneNeverCollide) {
  test::SeededRng random(5);
  Secret key = masked_key(40'000, random);
  const Bytes seed = random.bytes(toeplitz_seed_size(40'000, 16'000));
  Secret before = std::move(*toeplitz_hash(key, 40'000, seed, 16'000));
  key.writable()[1999] ^= 0x40;  // bit 15,998
  before.xor_with(*toeplitz_hash(key, 40'000, seed, 16'000));
  int changed = 0;
  for (const std::uint8_t octet : before.reveal()) changed += std::popcount(octet);
  EXPECT_EQ(changed, 1);
  EXPECT_TRUE(bit_at(before.reveal(), 15'998));
}

TEST(ToeplitzTest, OneChangedKeyBitChangesAboutHalfOfTheOutput) {
  test::SeededRng random(6);
  Secret key = masked_key(8000, random);
  const Bytes seed = random.bytes(toeplitz_seed_size(8000, 2000));
  Secret before = std::move(*toeplitz_hash(key, 8000, seed, 2000));
  key.writable()[500] ^= 4;
  before.xor_with(*toeplitz_hash(key, 8000, seed, 2000));
  int changed = 0;
  for (const std::uint8_t octet : before.reveal()) changed += std::popcount(octet);
  EXPECT_NEAR(changed, 1000, 150);
}

TEST(ToeplitzTest, RefusesToKeepTheLengthToLengthenAndWrongSizes) {
  test::SeededRng random(7);
  const Secret key = masked_key(100, random);
  EXPECT_EQ(toeplitz_seed_size(100, 50), 13U);
  EXPECT_EQ(toeplitz_seed_size(97, 50), 12U);
  EXPECT_TRUE(toeplitz_hash(key, 100, random.bytes(13), 99));
  EXPECT_FALSE(toeplitz_hash(key, 100, random.bytes(13), 100));
  EXPECT_FALSE(toeplitz_hash(key, 100, random.bytes(13), 101));
  EXPECT_FALSE(toeplitz_hash(key, 100, random.bytes(12), 50));
  EXPECT_FALSE(toeplitz_hash(key, 100, random.bytes(14), 50));
  EXPECT_FALSE(toeplitz_hash(key, 100, random.bytes(13), 0));
  EXPECT_FALSE(toeplitz_hash(key, 200, random.bytes(toeplitz_seed_size(200, 50)), 50));
  EXPECT_FALSE(toeplitz_hash(key, toeplitz_key_bits_max + 1, random.bytes(13), 50));
  EXPECT_FALSE(toeplitz_hash(Secret(), 0, {}, 0));
}

TEST(PackBitsTest, CountsFromTheLeastSignificantBit) {
  Secret bits(10);
  bits.writable()[0] = 1;
  bits.writable()[3] = 1;
  bits.writable()[9] = 1;
  const Secret packed = pack_bits(bits);
  EXPECT_EQ(to_hex(packed.reveal()), "0902");
}

}  // namespace
}  // namespace qanat::qkd
