// The change of basis before and after the additive Fourier transform, over GF(2). It turns the
// coefficients of f, of degree below 2^m, into those of
//   f = sum over j < 2^(m-k), i < 2^k of c(j, i) s_k(x)^j X_i(x),   X_i = product of s_b(x) over the set bits b of i,
// with c(j, i) at bit j 2^k + i. For k = m it is the conversion of Lin, Al-Naffouri, Han and Chung (IEEE Trans. IT 62(11), 6284, 2016).
//
// It is a list of steps (block, distance). A step works on every block of 2^block bits: for i from the last bit of the block down to its
// middle, bit[i - half + 2^distance] ^= bit[i]. That divides by (x^Q + x)^(half/Q) = x^half + x^(half/Q), the powers of
// s_q = x^Q + x for q a power of two and Q = 2^q.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "quantum/qkd/amplification/kernels.hpp"

namespace qanat::qkd::gf2 {

struct ConversionStep {
  std::uint8_t block = 0;     // log2 of bits
  std::uint8_t distance = 0;  // log2 of bits, or one of the sequences below
};
/// Sequences of steps that are done in registers. rows: (8,3) (7,2) (6,1) (5,0) (4,1) (3,0) (2,0) (4,2) (8,5) (7,4) (6,4) (8,6), which convert
/// 2^8 coefficients to the basis X_i.
inline constexpr std::uint8_t sequence_levels = 0xfd;      // block 11: (11,2) (10,1) (9,0)
inline constexpr std::uint8_t sequence_eight_rows = 0xfe;  // block 11: (11,8) (10,8), rows
inline constexpr std::uint8_t sequence_rows = 0xff;        // block 8: rows

/// The steps of one conversion in the order of `forward`.
struct ConversionPlan {
  std::array<ConversionStep, 128> steps{};
  std::size_t count = 0;

  /// rows are wanted, but may still wait: they commute with the steps that move whole rows of 256 bits.
  bool rows_wait = false;

  void push(unsigned block, unsigned distance);
  /// Of a polynomial of 2^m coefficients of 2^unit bits each.
  void add(unsigned m, unsigned k, unsigned unit);
  /// Of 2^bits_log bits as a whole.
  void add_all(unsigned bits_log);
};
ConversionPlan conversion_plan(unsigned bits_log, bool reversed);

constexpr bool undoes_in_reverse(MapForm form) { return form == MapForm::inverse || form == MapForm::transposed; }

}  // namespace qanat::qkd::gf2
