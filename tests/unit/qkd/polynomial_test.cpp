#include "quantum/qkd/amplification/polynomial.hpp"

#include <gtest/gtest.h>

#include "gf2_reference.hpp"
#include "quantum/qkd/amplification/carryless.hpp"
#include "quantum/qkd/amplification/transform.hpp"

namespace qanat::qkd::gf2 {
namespace {

test::Polynomial product(const test::Polynomial& a, const test::Polynomial& b, CarrylessPath path) {
  test::Polynomial out(a.size() + b.size(), 0xdead);
  multiply(out, a, b, path);
  return out;
}

TEST(PolynomialTest, WordsMultiplyWithoutCarries) {
  test::SeededRng random(1);
  std::vector<std::uint64_t> words{0, 1, 2, ~std::uint64_t{0}, std::uint64_t{1} << 63, 0x5555'5555'5555'5555, 0x8421'0842'1084'2108};
  for (int i = 0; i < 40; ++i) words.push_back(random.word());
  for (const std::uint64_t a : words) {
    for (const std::uint64_t b : words) {
      const Wide wide = carryless_product(a, b);
      EXPECT_EQ((test::Polynomial{static_cast<std::uint64_t>(wide), static_cast<std::uint64_t>(wide >> 64)}), test::schoolbook({a}, {b}));
    }
  }
}

TEST(PolynomialTest, SmallProductsEqualTheSchoolbook) {
  test::SeededRng random(2);
  for (const std::size_t a_words : {1U, 2U, 3U, 7U, 8U, 9U, 15U, 16U, 17U, 24U, 40U, 65U}) {
    for (const std::size_t b_words : {1U, 2U, 5U, 8U, 13U, 16U, 31U, 33U, 64U}) {
      const test::Polynomial a = test::random_polynomial(a_words, random);
      const test::Polynomial b = test::random_polynomial(b_words, random);
      const test::Polynomial expected = test::schoolbook(a, b);
      for (const CarrylessPath path : test::supported_paths()) ASSERT_EQ(product(a, b, path), expected) << a_words << " " << b_words << name(path);
    }
  }
}

TEST(PolynomialTest, ProductsOfAllSizesEqualThoseOfGf2x) {
  test::SeededRng random(3);
  for (const std::size_t a_words : {1U, 100U, 255U, 256U, 257U, 700U, 1023U, 1024U, 1025U, 2048U, 3000U, 9001U}) {
    for (const std::size_t b_words : {1U, 33U, 256U, 512U, 1024U, 1100U, 4096U, 6007U}) {
      const test::Polynomial a = test::random_polynomial(a_words, random);
      const test::Polynomial b = test::random_polynomial(b_words, random);
      const test::Polynomial expected = test::gf2x_product(a, b);
      for (const CarrylessPath path : test::supported_paths()) ASSERT_EQ(product(a, b, path), expected) << a_words << " " << b_words << name(path);
    }
  }
}

TEST(PolynomialTest, EdgesOfTheRange) {
  for (const CarrylessPath path : test::supported_paths()) {
    for (const std::size_t words : {std::size_t{1}, std::size_t{16}, std::size_t{300}, transform_words_min(path), std::size_t{4096}}) {
      const test::Polynomial zero(words);
      const test::Polynomial ones(words, ~std::uint64_t{0});
      test::Polynomial unit(words);
      unit.front() = 1;
      test::Polynomial top(words);
      top.back() = std::uint64_t{1} << 63;
      EXPECT_EQ(product(zero, ones, path), test::Polynomial(2 * words));
      EXPECT_EQ(product(ones, zero, path), test::Polynomial(2 * words));
      test::Polynomial same = ones;
      same.resize(2 * words);
      EXPECT_EQ(product(unit, ones, path), same);
      test::Polynomial highest(2 * words);
      highest.back() = std::uint64_t{1} << 62;
      EXPECT_EQ(product(top, top, path), highest);
      // (1 + x + … + x^(n-1))^2 has every second coefficient.
      test::Polynomial squared(2 * words, 0x5555'5555'5555'5555);
      EXPECT_EQ(product(ones, ones, path), squared);
    }
  }
}

TEST(PolynomialTest, UnbalancedOperandsAreCutIntoSeveralTransforms) {
  test::SeededRng random(4);
  const TransformSplit split = best_split(64 * 40'000, 64 * 1100);
  EXPECT_GT(split.chunks, 1U);
  const test::Polynomial a = test::random_polynomial(40'000, random);
  const test::Polynomial b = test::random_polynomial(1100, random);
  const test::Polynomial expected = test::gf2x_product(a, b);
  for (const CarrylessPath path : test::supported_paths()) {
    EXPECT_EQ(product(a, b, path), expected) << name(path);
    EXPECT_EQ(product(b, a, path), expected) << name(path);
  }
}

TEST(PolynomialTest, EverySplitFitsItsTransform) {
  test::SeededRng random(5);
  for (int i = 0; i < 2000; ++i) {
    const std::size_t long_bits = 1 + random.below(std::size_t{1} << random.below(33));
    const std::size_t short_bits = 1 + random.below(std::size_t{1} << random.below(31));
    const TransformSplit split = best_split(long_bits, short_bits);
    ASSERT_GE(split.bits_log, transform_bits_log_min);
    ASSERT_LE(split.bits_log, transform_bits_log_max);
    ASSERT_LE(split.chunk + short_bits, std::size_t{1} << split.bits_log);
    ASSERT_GE(split.chunk * split.chunks, long_bits);
    ASSERT_LT(split.chunk * (split.chunks - 1), long_bits);
    if (split.chunks > 1) ASSERT_EQ(split.chunk % 64, 0U);
  }
}

TEST(PolynomialTest, WhatFillsATransformToTheLastBitIsNotCut) {
  const TransformSplit split = best_split((std::size_t{1} << 20) - 419'430, 419'430);
  EXPECT_EQ(split.bits_log, 20U);
  EXPECT_EQ(split.chunks, 1U);
}

TEST(PolynomialTest, LargeProductsHaveTheRightRemainder) {
  test::SeededRng random(6);
  const CarrylessPath path = fastest_path();
  // 2^22, and about 2^24 in two sizes that are no powers of two.
  for (const auto& [a_words, b_words] : {std::pair<std::size_t, std::size_t>{1U << 16, 1U << 16}, {250'001, 261'111}, {300'000, 70'001}}) {
    const test::Polynomial a = test::random_polynomial(a_words, random);
    const test::Polynomial b = test::random_polynomial(b_words, random);
    const Element ra = test::remainder(a);
    const Element rb = test::remainder(b);
    EXPECT_EQ(test::remainder(product(a, b, path)), test::remainder(test::schoolbook({ra.low, ra.high}, {rb.low, rb.high})));
  }
}

}  // namespace
}  // namespace qanat::qkd::gf2
