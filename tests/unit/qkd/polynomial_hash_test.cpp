#include "quantum/qkd/authentication/polynomial_hash.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "gf2_reference.hpp"
#include "quantum/qkd/reconciliation/verification.hpp"

namespace qanat::qkd {
namespace {

using Hash = std::array<std::uint8_t, hash_size>;

/// The definition: Horner's rule, the product bit by bit.
Hash by_definition(ByteView key, ByteView message) {
  using Bits = std::array<bool, 128>;
  const auto bits_of = [](ByteView octets) {
    Bits out{};
    for (std::size_t i = 0; i < 8 * octets.size(); ++i) out[i] = (octets[i / 8] >> (i % 8) & 1U) != 0;
    return out;
  };
  const Bits k = bits_of(key);
  Bits sum{};
  const auto absorb = [&](const Bits& block) {
    for (std::size_t i = 0; i < 128; ++i) sum[i] = sum[i] != block[i];
    Bits product{};
    for (std::size_t i = 128; i-- > 0;) {
      const bool carry = product[127];
      for (std::size_t j = 127; j > 0; --j) product[j] = product[j - 1];
      product[0] = carry;
      for (const std::size_t j : {1U, 2U, 7U}) product[j] = product[j] != carry;
      if (!k[i]) continue;
      for (std::size_t j = 0; j < 128; ++j) product[j] = product[j] != sum[j];
    }
    sum = product;
  };
  for (std::size_t at = 0; at < message.size(); at += 16) absorb(bits_of(message.subspan(at, std::min<std::size_t>(16, message.size() - at))));
  Bits length{};
  for (std::size_t i = 0; i < 64; ++i) length[i] = (message.size() >> i & 1U) != 0;
  absorb(length);
  Hash out{};
  for (std::size_t i = 0; i < 128; ++i) out[i / 8] |= static_cast<std::uint8_t>(sum[i] << (i % 8));
  return out;
}

Hash hash_of(const Secret& key, ByteView message, gf2::CarrylessPath path = gf2::fastest_path()) {
  PolynomialHash hash(key, path);
  hash.update(message);
  return hash.finish();
}

TEST(PolynomialHashTest, EqualsTheDefinitionBitByBit) {
  test::SeededRng random(1);
  for (const std::size_t size : {0U, 1U, 15U, 16U, 17U, 31U, 32U, 100U, 127U, 128U, 129U, 255U, 256U, 257U, 400U, 1000U}) {
    const Secret key = random.secret(hash_key_size);
    const Bytes message = random.bytes(size);
    const Hash expected = by_definition(key.reveal(), message);
    for (const gf2::CarrylessPath path : test::supported_paths()) EXPECT_EQ(hash_of(key, message, path), expected) << size << name(path);
  }
}

TEST(PolynomialHashTest, KeysAtTheEdge) {
  test::SeededRng random(2);
  const Bytes message(300, 0xff);
  for (const std::uint8_t octet : Bytes{0x00, 0xff, 0x80, 0x01}) {
    const Secret key = Secret::copy_of(Bytes(hash_key_size, octet));
    for (const gf2::CarrylessPath path : test::supported_paths()) EXPECT_EQ(hash_of(key, message, path), by_definition(key.reveal(), message));
  }
}

TEST(PolynomialHashTest, PiecesMakeNoDifference) {
  test::SeededRng random(3);
  const Secret key = random.secret(hash_key_size);
  const Bytes message = random.bytes(5000);
  for (const gf2::CarrylessPath path : test::supported_paths()) {
    for (const std::size_t longest : {1U, 3U, 17U, 40U, 200U, 900U}) {
      PolynomialHash hash(key, path);
      for (std::size_t at = 0; at < message.size();) {
        const std::size_t size = std::min<std::size_t>(random.below(longest + 1), message.size() - at);
        hash.update(ByteView(message).subspan(at, size));
        at += size;
      }
      EXPECT_EQ(hash.finish(), hash_of(key, message));
    }
  }
}

TEST(PolynomialHashTest, ZerosAtTheEndAndLengthsCount) {
  test::SeededRng random(4);
  const Secret key = random.secret(hash_key_size);
  std::set<Hash> seen;
  for (std::size_t size = 0; size <= 64; ++size) seen.insert(hash_of(key, Bytes(size)));
  EXPECT_EQ(seen.size(), 65U);
  EXPECT_NE(hash_of(key, Bytes{}), hash_of(key, Bytes{0}));
  Bytes message = random.bytes(16);
  const Hash before = hash_of(key, message);
  message.push_back(0);
  EXPECT_NE(hash_of(key, message), before);
}

TEST(PolynomialHashTest, EveryChangedBitChangesTheHash) {
  test::SeededRng random(5);
  const Secret key = random.secret(hash_key_size);
  Bytes message = random.bytes(150);
  const Hash before = hash_of(key, message);
  for (std::size_t bit = 0; bit < 8 * message.size(); ++bit) {
    message[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    EXPECT_NE(hash_of(key, message), before);
    message[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
  }
}

TEST(OneTimeTagTest, IsTheHashUnderThePad) {
  test::SeededRng random(6);
  const Secret key = random.secret(hash_key_size + hash_size);
  const Bytes message = random.bytes(77);
  Hash expected = by_definition(key.reveal().first(hash_key_size), message);
  for (std::size_t i = 0; i < hash_size; ++i) expected[i] ^= key.reveal()[hash_key_size + i];
  EXPECT_EQ(one_time_tag(key, message), expected);
  EXPECT_NE(one_time_tag(random.secret(32), message), expected);
}

TEST(OneTimeTagTest, CollisionBoundCountsBlocksAndTheLength) {
  EXPECT_EQ(polynomial_collision(0), std::ldexp(1.0, -128));
  EXPECT_EQ(polynomial_collision(1), std::ldexp(2.0, -128));
  EXPECT_EQ(polynomial_collision(16), std::ldexp(2.0, -128));
  EXPECT_EQ(polynomial_collision(17), std::ldexp(3.0, -128));
}

TEST(VerificationTest, IsThePolynomialHashUnderThePublicKey) {
  test::SeededRng random(7);
  const Bytes key = random.bytes(verification_key_size);
  const Secret packed = random.secret(12'501);
  const Hash expected = by_definition(key, packed.reveal());
  EXPECT_TRUE(equal(verification_hash(key, packed), expected));
  EXPECT_EQ(verification_leak_bits, 128.0);
  EXPECT_EQ(verification_collision(std::size_t{1} << 21), polynomial_collision(std::size_t{1} << 21));
  EXPECT_LT(verification_collision(std::size_t{1} << 24), 1e-30);
}

}  // namespace
}  // namespace qanat::qkd
