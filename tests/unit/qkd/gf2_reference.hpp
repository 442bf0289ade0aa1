// Slow, plain arithmetic of GF(2)[x] that shares no code with src: what the fast one is held against.
#pragma once

#include <gf2x.h>

#include <cstdint>
#include <vector>

#include "harness.hpp"
#include "quantum/qkd/amplification/kernels.hpp"

namespace qanat::qkd::test {

using Polynomial = std::vector<std::uint64_t>;

inline bool coefficient(const Polynomial& p, std::size_t i) { return (p[i / 64] >> (i % 64) & 1U) != 0; }

/// Bit by bit.
inline Polynomial schoolbook(const Polynomial& a, const Polynomial& b) {
  Polynomial out(a.size() + b.size());
  for (std::size_t i = 0; i < 64 * a.size(); ++i) {
    if (!coefficient(a, i)) continue;
    for (std::size_t w = 0; w < b.size(); ++w) {
      out[w + i / 64] ^= b[w] << (i % 64);
      if (i % 64 != 0) out[w + i / 64 + 1] ^= b[w] >> (64 - i % 64);
    }
  }
  return out;
}

/// Another library's product.
inline Polynomial gf2x_product(const Polynomial& a, const Polynomial& b) {
  Polynomial out(a.size() + b.size());
  gf2x_mul(out.data(), a.data(), a.size(), b.data(), b.size());
  return out;
}

inline Polynomial random_polynomial(std::size_t words, SeededRng& random) {
  Polynomial out(words);
  for (std::uint64_t& word : out) word = random.word();
  return out;
}

/// The remainder modulo x^128 + x^7 + x^2 + x + 1: equal for a right product, different for nearly every wrong one, at any size.
inline gf2::Element remainder(const Polynomial& p) {
  gf2::Element sum;
  for (std::size_t at = (p.size() + 1) / 2; at-- > 0;) {
    for (int i = 0; i < 128; ++i) {
      const std::uint64_t carry = sum.high >> 63;
      sum = {.low = sum.low << 1 ^ (0 - carry & 0x87), .high = sum.high << 1 | sum.low >> 63};
    }
    sum.low ^= p[2 * at];
    if (2 * at + 1 < p.size()) sum.high ^= p[2 * at + 1];
  }
  return sum;
}

inline std::vector<gf2::CarrylessPath> supported_paths() {
  std::vector<gf2::CarrylessPath> out;
  for (const gf2::CarrylessPath path : {gf2::CarrylessPath::portable, gf2::CarrylessPath::pclmul, gf2::CarrylessPath::vpclmul}) {
    if (gf2::supported(path)) out.push_back(path);
  }
  return out;
}

}  // namespace qanat::qkd::test
