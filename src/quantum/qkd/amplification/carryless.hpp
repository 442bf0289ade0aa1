// The carry-less product of two 64-bit words without special instructions, in constant time: integer multiplications of words that keep
// one bit in five, so that the carries of at most 13 terms stay in the holes. (Integer multiplication takes a fixed time on every x86-64
// and 64-bit Arm processor that this is meant for.)
#pragma once

#include <cstdint>

#include "quantum/qkd/amplification/field128.hpp"

namespace qanat::qkd::gf2 {

__extension__ typedef unsigned __int128 Wide;

constexpr Wide every_fifth_bit() {
  Wide mask = 0;
  for (unsigned i = 0; i < 128; i += 5) mask |= Wide{1} << i;
  return mask;
}

inline Wide carryless_product(std::uint64_t a, std::uint64_t b) {
  constexpr unsigned classes = 5;
  constexpr Wide mask = every_fifth_bit();
  constexpr auto word_mask = static_cast<std::uint64_t>(mask);
  Wide sum = 0;
  for (unsigned c = 0; c < classes; ++c) {
    Wide terms = 0;
    for (unsigned i = 0; i < classes; ++i) {
      const unsigned j = (c + classes - i) % classes;
      terms ^= Wide{a & word_mask << i} * (b & word_mask << j);
    }
    sum ^= terms & mask << c;
  }
  return sum;
}

}  // namespace qanat::qkd::gf2
