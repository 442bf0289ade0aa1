#include <gtest/gtest.h>

#include "harness.hpp"
#include "quantum/qkd/amplification/toeplitz.hpp"
#include "quantum/qkd/octets.hpp"

namespace qanat::qkd {
namespace {

bool bit_at(ByteView octets, std::size_t i) { return (octets[i / 8] >> (i % 8) & 1U) != 0; }

/// The definition, bit by bit.
Bytes oracle(ByteView key, std::size_t n, ByteView seed, std::size_t l) {
  Bytes out((l + 7) / 8);
  for (std::size_t j = 0; j < l; ++j) {
    bool sum = false;
    for (std::size_t i = 0; i < n; ++i) sum ^= bit_at(seed, i + j) && bit_at(key, i);
    if (sum) out[j / 8] |= static_cast<std::uint8_t>(1U << (j % 8));
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
  for (const auto [n, l] : std::initializer_list<std::pair<std::size_t, std::size_t>>{
           {1, 1}, {7, 3}, {63, 63}, {64, 64}, {65, 2}, {128, 127}, {1000, 1}, {1000, 333}, {4099, 1027}}) {
    const Secret key = masked_key(n, random);
    const Bytes seed = random.bytes(toeplitz_seed_size(n, l));
    const auto out = toeplitz_hash(key, n, seed, l);
    ASSERT_TRUE(out);
    EXPECT_TRUE(equal(out->reveal(), oracle(key.reveal(), n, seed, l))) << n << " " << l;
  }
}

TEST(ToeplitzTest, IsLinear) {
  test::SeededRng random(2);
  Secret a = masked_key(5000, random);
  const Secret b = masked_key(5000, random);
  const Bytes seed = random.bytes(toeplitz_seed_size(5000, 700));
  Secret sum = std::move(*toeplitz_hash(a, 5000, seed, 700));
  sum.xor_with(*toeplitz_hash(b, 5000, seed, 700));
  a.xor_with(b);
  EXPECT_TRUE(equal_secret(*toeplitz_hash(a, 5000, seed, 700), sum));
}

TEST(ToeplitzTest, OneChangedKeyBitChangesAboutHalfOfTheOutput) {
  test::SeededRng random(3);
  Secret key = masked_key(8000, random);
  const Bytes seed = random.bytes(toeplitz_seed_size(8000, 2000));
  Secret before = std::move(*toeplitz_hash(key, 8000, seed, 2000));
  key.writable()[500] ^= 4;
  before.xor_with(*toeplitz_hash(key, 8000, seed, 2000));
  int changed = 0;
  for (const std::uint8_t octet : before.reveal()) changed += std::popcount(octet);
  EXPECT_NEAR(changed, 1000, 150);
}

TEST(ToeplitzTest, RefusesToLengthenAndWrongSizes) {
  test::SeededRng random(4);
  const Secret key = masked_key(100, random);
  EXPECT_FALSE(toeplitz_hash(key, 100, random.bytes(toeplitz_seed_size(100, 101)), 101));
  EXPECT_FALSE(toeplitz_hash(key, 100, random.bytes(toeplitz_seed_size(100, 50) - 1), 50));
  EXPECT_FALSE(toeplitz_hash(key, 100, random.bytes(14), 0));
  EXPECT_FALSE(toeplitz_hash(key, 200, random.bytes(toeplitz_seed_size(200, 50)), 50));
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
