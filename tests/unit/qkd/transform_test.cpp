#include "quantum/qkd/amplification/transform.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <cstring>
#include <utility>

#include "gf2_reference.hpp"

namespace qanat::qkd::gf2 {
namespace {

constexpr std::array forms{MapForm::forward, MapForm::inverse, MapForm::transposed, MapForm::inverse_transposed};

bool dot(const test::Polynomial& a, const test::Polynomial& b) {
  int sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += std::popcount(a[i] & b[i]);
  return sum % 2 != 0;
}

test::Polynomial converted(CarrylessPath path, test::Polynomial bits, MapForm form) {
  kernels(path).convert(bits.data(), static_cast<unsigned>(std::bit_width(bits.size()) - 1) + 6, form);
  return bits;
}

std::vector<Element> gathered(CarrylessPath path, const test::Polynomial& bits, Basis basis) {
  SecretArray<std::uint64_t> scratch(transpose_scratch);
  std::vector<Element> out(bits.size() / 2);
  kernels(path).gather(bits.data(), out.data(), static_cast<unsigned>(std::bit_width(out.size()) - 1), basis, scratch.data());
  return out;
}

test::Polynomial scattered(CarrylessPath path, const std::vector<Element>& elements, Basis basis) {
  SecretArray<std::uint64_t> scratch(transpose_scratch);
  test::Polynomial out(2 * elements.size());
  kernels(path).scatter(elements.data(), out.data(), static_cast<unsigned>(std::bit_width(elements.size()) - 1), basis, scratch.data());
  return out;
}

std::vector<Element> transformed(CarrylessPath path, std::vector<Element> elements, MapForm form) {
  kernels(path).transform(elements.data(), static_cast<unsigned>(std::bit_width(elements.size()) - 1), form);
  return elements;
}

std::vector<Element> random_elements(std::size_t count, test::SeededRng& random) {
  std::vector<Element> out(count);
  for (Element& e : out) e = {.low = random.word(), .high = random.word()};
  return out;
}

TEST(TransformTest, ConversionIsUndoneByItsInverse) {
  test::SeededRng random(1);
  for (unsigned bits_log = transform_bits_log_min; bits_log <= 20; ++bits_log) {
    const test::Polynomial bits = test::random_polynomial(std::size_t{1} << (bits_log - 6), random);
    for (const CarrylessPath path : test::supported_paths()) {
      EXPECT_EQ(converted(path, converted(path, bits, MapForm::forward), MapForm::inverse), bits) << bits_log;
      EXPECT_EQ(converted(path, converted(path, bits, MapForm::transposed), MapForm::inverse_transposed), bits) << bits_log;
    }
  }
}

TEST(TransformTest, ConversionHasItsTranspose) {
  test::SeededRng random(2);
  for (unsigned bits_log = transform_bits_log_min; bits_log <= 18; ++bits_log) {
    for (const CarrylessPath path : test::supported_paths()) {
      for (int turn = 0; turn < 8; ++turn) {
        const test::Polynomial a = test::random_polynomial(std::size_t{1} << (bits_log - 6), random);
        const test::Polynomial b = test::random_polynomial(a.size(), random);
        EXPECT_EQ(dot(converted(path, a, MapForm::forward), b), dot(a, converted(path, b, MapForm::transposed)));
        EXPECT_EQ(dot(converted(path, a, MapForm::inverse), b), dot(a, converted(path, b, MapForm::inverse_transposed)));
      }
    }
  }
}

TEST(TransformTest, ElementsTakeOneBitFromEachRow) {
  test::SeededRng random(3);
  for (const unsigned points_log : {8U, 9U, 11U}) {
    const test::Polynomial bits = test::random_polynomial(std::size_t{2} << points_log, random);
    for (const CarrylessPath path : test::supported_paths()) {
      const std::vector<Element> elements = gathered(path, bits, Basis::power);
      for (std::size_t i = 0; i < elements.size(); ++i) {
        for (std::size_t row = 0; row < 128; ++row) {
          const std::uint64_t half = row < 64 ? elements[i].low : elements[i].high;
          ASSERT_EQ((half >> (row % 64) & 1U) != 0, test::coefficient(bits, (row << points_log) + i));
        }
      }
      EXPECT_EQ(scattered(path, elements, Basis::power), bits);
      EXPECT_EQ(scattered(path, gathered(path, bits, Basis::dual), Basis::dual), bits);
    }
  }
}

/// The top coefficient of a b summed over all elements: the form that field multiplication is symmetric for.
bool field_form(const std::vector<Element>& a, const std::vector<Element>& b) {
  bool sum = false;
  for (std::size_t i = 0; i < a.size(); ++i) sum ^= multiply_bitwise(a[i], b[i]).high >> 63 != 0;
  return sum;
}

TEST(TransformTest, TheDualBasisTurnsTheDotProductIntoTheFormOfTheField) {
  test::SeededRng random(4);
  for (const CarrylessPath path : test::supported_paths()) {
    for (int turn = 0; turn < 8; ++turn) {
      const test::Polynomial a = test::random_polynomial(512, random);
      const test::Polynomial b = test::random_polynomial(512, random);
      EXPECT_EQ(field_form(gathered(path, a, Basis::power), gathered(path, b, Basis::dual)), dot(a, b));
    }
  }
}

TEST(TransformTest, TheTransformHasInverseAndTranspose) {
  test::SeededRng random(5);
  for (unsigned points_log = 8; points_log <= 13; ++points_log) {
    const std::vector<Element> a = random_elements(std::size_t{1} << points_log, random);
    const std::vector<Element> b = random_elements(a.size(), random);
    for (const CarrylessPath path : test::supported_paths()) {
      EXPECT_EQ(transformed(path, transformed(path, a, MapForm::forward), MapForm::inverse), a);
      EXPECT_EQ(transformed(path, transformed(path, a, MapForm::inverse_transposed), MapForm::transposed), a);
      EXPECT_EQ(field_form(transformed(path, a, MapForm::forward), b), field_form(a, transformed(path, b, MapForm::transposed)));
    }
  }
}

TEST(TransformTest, AllPathsAgree) {
  test::SeededRng random(6);
  for (unsigned points_log = 8; points_log <= 14; ++points_log) {
    const std::vector<Element> a = random_elements(std::size_t{1} << points_log, random);
    const std::vector<Element> b = random_elements(a.size(), random);
    const test::Polynomial bits = test::random_polynomial(2 * a.size(), random);
    std::vector<Element> products = a;
    for (std::size_t i = 0; i < a.size(); ++i) products[i] = multiply_bitwise(a[i], b[i]);
    for (const CarrylessPath path : test::supported_paths()) {
      for (const MapForm form : forms) {
        EXPECT_EQ(transformed(path, a, form), transformed(CarrylessPath::portable, a, form));
        EXPECT_EQ(converted(path, bits, form), converted(CarrylessPath::portable, bits, form));
      }
      EXPECT_EQ(gathered(path, bits, Basis::dual), gathered(CarrylessPath::portable, bits, Basis::dual));
      std::vector<Element> scaled = a;
      kernels(path).scale(scaled.data(), b.data(), a.size());
      EXPECT_EQ(scaled, products);
      kernels(path).scale_add(scaled.data(), a.data(), b.data(), a.size());
      EXPECT_EQ(scaled, std::vector<Element>(a.size()));
    }
  }
}

TEST(TransformTest, GivesTheValuesOfThePolynomialOnTheCoset) {
  test::SeededRng random(7);
  const TransformConstants& constants = transform_constants();
  for (const unsigned points_log : {8U, 9U}) {
    const test::Polynomial f = test::random_polynomial(std::size_t{2} << points_log, random);
    const std::vector<Element> values = transformed(
        CarrylessPath::portable, gathered(CarrylessPath::portable, converted(CarrylessPath::portable, f, MapForm::forward), Basis::power), MapForm::forward);
    for (const std::size_t p : {std::size_t{0}, std::size_t{1}, std::size_t{6}, std::size_t{201}, values.size() - 1}) {
      Element point = constants.coset[points_log].value;
      for (unsigned i = 0; i < points_log; ++i) {
        if ((p >> i & 1U) != 0) point = point ^ constants.cantor[i].value;
      }
      Element value;
      for (std::size_t i = 64 * f.size(); i-- > 0;) {
        value = multiply_bitwise(value, point);
        value.low ^= test::coefficient(f, i) ? 1U : 0U;
      }
      EXPECT_EQ(values[p], value) << p;
    }
  }
}

}  // namespace
}  // namespace qanat::qkd::gf2
