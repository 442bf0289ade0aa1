// Products of polynomials by Karatsuba's method, down to the 256-bit product of the instruction set.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "quantum/qkd/amplification/kernels.hpp"

namespace qanat::qkd::gf2 {

template <class Lanes>
struct ProductKernel {
  /// to = a + b over `a_words`, b padded with zeros.
  static void sum(std::uint64_t* __restrict to, const std::uint64_t* a, std::size_t a_words, const std::uint64_t* b, std::size_t b_words) {
    for (std::size_t i = 0; i < b_words; ++i) to[i] = a[i] ^ b[i];
    for (std::size_t i = b_words; i < a_words; ++i) to[i] = a[i];
  }
  static void add(std::uint64_t* __restrict to, const std::uint64_t* __restrict from, std::size_t words) {
    for (std::size_t i = 0; i < words; ++i) to[i] ^= from[i];
  }

  /// Halves of `half` words and of the rest; the middle part from (low + high)(low + high).
  template <class Half>
  static void karatsuba(std::uint64_t* product, const std::uint64_t* a, const std::uint64_t* b, std::size_t words, std::size_t half, std::uint64_t* scratch,
                        Half multiply_half) {
    const std::size_t rest = words - half;
    std::uint64_t* a_sum = scratch;
    std::uint64_t* b_sum = a_sum + half;
    std::uint64_t* middle = b_sum + half;
    std::uint64_t* below = middle + 2 * half;
    multiply_half(product, a, b, half, below);
    multiply_half(product + 2 * half, a + half, b + half, rest, below);
    sum(a_sum, a, half, a + half, rest);
    sum(b_sum, b, half, b + half, rest);
    multiply_half(middle, a_sum, b_sum, half, below);
    add(middle, product, 2 * half);
    add(middle, product + 2 * half, 2 * rest);
    add(product + half, middle, half + rest);
  }

  static void four(std::uint64_t* product, const std::uint64_t* a, const std::uint64_t* b, std::size_t, std::uint64_t* scratch) {
    Lanes::multiply4(product, a, b, scratch);
  }

  static void multiply(std::uint64_t* product, const std::uint64_t* a, const std::uint64_t* b, std::size_t words, std::uint64_t* scratch) {
    if (words == product_granule) return karatsuba(product, a, b, words, words / 2, scratch, four);
    const std::size_t half = (words / 2 + product_granule - 1) / product_granule * product_granule;
    karatsuba(product, a, b, words, half, scratch, multiply);
  }
};

}  // namespace qanat::qkd::gf2
