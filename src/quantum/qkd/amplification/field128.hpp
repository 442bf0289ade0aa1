// The field GF(2^128) = GF(2)[y]/(y^128 + t(y)) that the additive Fourier transform of transform.hpp works in, and the constants of that
// transform. Elements are polynomials in y of degree below 128, bit i of the 128 is the coefficient of y^i.
//
// The modulus is our own choice and is what makes the transform cheap. Write s_0(x) = x, s_{k+1} = s_k^2 + s_k: s_k is the vanishing
// polynomial of V_k = span(v_0 … v_{k-1}) for a Cantor basis v_0 = 1, v_{i+1}^2 + v_{i+1} = v_i. Here s_104(y) = 0, so that for every
// k <= transform_points_log_max there is a w with s_k(w) = y, the generator of the field. Then a polynomial written as
// sum of f_j(x) s_k(x)^j, j < 128, takes on w + V_k the values sum of f_j y^j: the passage from GF(2) to GF(2^128) costs no arithmetic.
// t was found by trying all t in ascending order; tests/unit/qkd/field128_test.cpp checks that the modulus is irreducible and the rest.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace qanat::qkd::gf2 {

struct Element {
  std::uint64_t low = 0;
  std::uint64_t high = 0;

  friend constexpr Element operator^(Element a, Element b) { return {.low = a.low ^ b.low, .high = a.high ^ b.high}; }
  friend constexpr bool operator==(const Element&, const Element&) = default;
};

/// t: the modulus is y^128 + t.
inline constexpr std::uint64_t modulus_tail = 0x657e85b3;
/// Largest k that the modulus serves: 2^k points carry products of up to 2^(k+7) bits.
inline constexpr unsigned transform_points_log_max = 24;
inline constexpr unsigned element_bits_log = 7;

/// A constant factor c as the multiplication wants it: c, and c y^64 for the upper half of the other factor.
struct Factor {
  Element value;
  Element shifted;

  friend constexpr Factor operator^(const Factor& a, const Factor& b) { return {.value = a.value ^ b.value, .shifted = a.shifted ^ b.shifted}; }
};

/// The constants of the transform; public, computed once.
struct TransformConstants {
  /// v_i of the Cantor basis.
  std::array<Factor, transform_points_log_max + 2> cantor;
  /// coset[0] = y, coset[i+1]^2 + coset[i+1] = coset[i]; hence s_j(coset[k]) = coset[k-j].
  std::array<Factor, transform_points_log_max + 1> coset;
  /// low[b] = sum of v_{i+1} over the set bits i of b.
  alignas(32) std::array<Element, 256> low;
  alignas(32) std::array<Element, 256> low_shifted;
};
const TransformConstants& transform_constants();

/// Bit by bit; for constants and tests.
Element multiply_bitwise(Element a, Element b);

}  // namespace qanat::qkd::gf2
