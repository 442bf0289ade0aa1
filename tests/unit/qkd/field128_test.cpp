#include "quantum/qkd/amplification/field128.hpp"

#include <gtest/gtest.h>

#include "gf2_reference.hpp"

namespace qanat::qkd::gf2 {
namespace {

constexpr Element one{.low = 1, .high = 0};
constexpr Element generator{.low = 2, .high = 0};

Element square(Element a) { return multiply_bitwise(a, a); }
/// s_k(a).
Element vanishing(unsigned k, Element a) {
  for (unsigned i = 0; i < k; ++i) a = square(a) ^ a;
  return a;
}

TEST(Field128Test, MultiplicationIsThePolynomialProductModuloTheModulus) {
  test::SeededRng random(1);
  for (int i = 0; i < 50; ++i) {
    const Element a{.low = random.word(), .high = random.word()};
    const Element b{.low = random.word(), .high = random.word()};
    test::Polynomial p = test::schoolbook({a.low, a.high}, {b.low, b.high});
    while (p[2] != 0 || p[3] != 0) {
      const test::Polynomial folded = test::schoolbook({p[2], p[3]}, {modulus_tail});
      p = {p[0] ^ folded[0], p[1] ^ folded[1], folded[2], 0};
    }
    EXPECT_EQ(multiply_bitwise(a, b), (Element{.low = p[0], .high = p[1]}));
  }
}

TEST(Field128Test, TheModulusIsIrreducible) {
  // y^(2^128) = y: the modulus is a product of different irreducible factors whose degrees divide 128.
  Element power = generator;
  for (int i = 0; i < 64; ++i) power = square(power);
  const Element difference = power ^ generator;  // y^(2^64) + y: zero modulo every factor of a smaller degree
  for (int i = 0; i < 64; ++i) power = square(power);
  EXPECT_EQ(power, generator);
  // It has an inverse, difference^(2^128 - 2), so there is no such factor.
  Element inverse = one;
  Element factor = difference;
  for (int i = 1; i < 128; ++i) {
    factor = square(factor);
    inverse = multiply_bitwise(inverse, factor);
  }
  EXPECT_EQ(multiply_bitwise(difference, inverse), one);
}

TEST(Field128Test, TheGeneratorIsReachedByEveryTransformSize) {
  EXPECT_EQ(vanishing(128 - transform_points_log_max, generator), Element{});
  const TransformConstants& constants = transform_constants();
  for (unsigned k = 0; k <= transform_points_log_max; ++k) {
    const Element w = constants.coset[k].value;
    EXPECT_EQ(vanishing(k, w), generator) << k;
    for (unsigned j = 0; j <= k; ++j) EXPECT_EQ(vanishing(j, w), constants.coset[k - j].value);
  }
}

TEST(Field128Test, TheBasisIsCantors) {
  const TransformConstants& constants = transform_constants();
  EXPECT_EQ(constants.cantor[0].value, one);
  for (std::size_t i = 0; i + 1 < constants.cantor.size(); ++i) {
    const Element next = constants.cantor[i + 1].value;
    EXPECT_EQ(square(next) ^ next, constants.cantor[i].value);
  }
}

TEST(Field128Test, ShiftedFactorsAreTimesTheSixtyFourthPower) {
  const TransformConstants& constants = transform_constants();
  const Element shift{.low = 0, .high = 1};
  for (const Factor& factor : constants.cantor) EXPECT_EQ(factor.shifted, multiply_bitwise(factor.value, shift));
  for (const Factor& factor : constants.coset) EXPECT_EQ(factor.shifted, multiply_bitwise(factor.value, shift));
  for (std::size_t b = 0; b < constants.low.size(); ++b) {
    Element sum;
    for (std::size_t i = 0; i < 8; ++i) {
      if ((b >> i & 1U) != 0) sum = sum ^ constants.cantor[i + 1].value;
    }
    EXPECT_EQ(constants.low[b], sum);
    EXPECT_EQ(constants.low_shifted[b], multiply_bitwise(sum, shift));
  }
}

}  // namespace
}  // namespace qanat::qkd::gf2
