// Between bits and field elements: 128 rows of bits become the 128 coefficients of as many elements as a row has bits, and back. No table
// and no branch depends on the data.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "quantum/qkd/amplification/kernels.hpp"

namespace qanat::qkd::gf2 {

template <class Lanes>
struct BitTranspose {
  using V = typename Lanes::V;
  static constexpr std::size_t rows = 128;
  static constexpr std::size_t wide = sizeof(V) / sizeof(Element);         // squares of 128 x 128 side by side
  static constexpr std::size_t words = sizeof(V) / sizeof(std::uint64_t);  // of a row
  static constexpr std::size_t blocks_max = 2;                             // of V per row and turn: a whole cache line at 256 bits

  /// Exchanges the columns with bit `distance` set in a with those without it in b.
  template <unsigned distance>
  static void exchange(V& a, V& b) {
    if constexpr (distance == 64) {
      const V low = pick_low(a, b);
      b = pick_high(a, b);
      a = low;
    } else {
      constexpr std::uint64_t mask = ~std::uint64_t{0} / ((std::uint64_t{1} << distance) + 1);
      const V difference = (a >> distance ^ b) & mask;
      b ^= difference;
      a ^= difference << distance;
    }
  }
  static V pick_low(V a, V b) {
    if constexpr (words == 4)
      return __builtin_shufflevector(a, b, 0, 4, 2, 6);
    else
      return __builtin_shufflevector(a, b, 0, 2);
  }
  static V pick_high(V a, V b) {
    if constexpr (words == 4)
      return __builtin_shufflevector(a, b, 1, 5, 3, 7);
    else
      return __builtin_shufflevector(a, b, 1, 3);
  }

  /// Three halvings on eight rows that lie `step` apart.
  template <unsigned step>
  static void eight(V* row) {
    std::array<V, 8> r;
    for (std::size_t i = 0; i < 8; ++i) r[i] = row[i * step];
    for (std::size_t i = 0; i < 4; ++i) exchange<4 * step>(r[i], r[i + 4]);
    for (const std::size_t i : {0U, 1U, 4U, 5U}) exchange<2 * step>(r[i], r[i + 2]);
    for (const std::size_t i : {0U, 2U, 4U, 6U}) exchange<step>(r[i], r[i + 1]);
    for (std::size_t i = 0; i < 8; ++i) row[i * step] = r[i];
  }
  /// Bit c of row r <-> bit r of row c, in each square.
  static void squares(V* row) {
    for (std::size_t i = 0; i < 16; ++i) eight<16>(row + i);
    for (std::size_t at = 0; at < rows; at += 16) {
      eight<2>(row + at);
      eight<2>(row + at + 1);
    }
    for (std::size_t i = 0; i < rows; i += 2) exchange<1>(row[i], row[i + 1]);
  }

  /// Each word's bits backwards.
  static void mirror(std::uint64_t* bits, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      std::uint64_t w = bits[i];
      w = (w >> 1 & 0x5555'5555'5555'5555) | (w & 0x5555'5555'5555'5555) << 1;
      w = (w >> 2 & 0x3333'3333'3333'3333) | (w & 0x3333'3333'3333'3333) << 2;
      w = (w >> 4 & 0x0f0f'0f0f'0f0f'0f0f) | (w & 0x0f0f'0f0f'0f0f'0f0f) << 4;
      bits[i] = std::byteswap(w);
    }
  }

  /// The buffer's rows: a row of the dual basis stands at the mirrored coefficient.
  static std::size_t buffer_row(std::size_t row, Basis basis) { return basis == Basis::power ? row : rows - 1 - row; }

  static void gather(const std::uint64_t* bits, Element* elements, unsigned points_log, Basis basis, std::uint64_t* scratch) {
    const std::size_t row_words = std::size_t{1} << (points_log - 6);
    const std::size_t blocks = row_words / words < blocks_max ? row_words / words : blocks_max;
    V* buffer = reinterpret_cast<V*>(scratch);
    for (std::size_t at = 0; at < row_words; at += blocks * words) {
      for (std::size_t r = 0; r < rows; ++r) {
        V* to = buffer + buffer_row(r, basis);
        for (std::size_t block = 0; block < blocks; ++block) std::memcpy(to + block * rows, bits + r * row_words + at + block * words, sizeof(V));
      }
      for (std::size_t block = 0; block < blocks; ++block) {
        V* square = buffer + block * rows;
        squares(square);
        Element* out = elements + (at + block * words) * 64;
        for (std::size_t i = 0; i < rows; ++i) {
          const V v = basis == Basis::dual ? Lanes::corner(square[i]) : square[i];
          std::array<Element, wide> parts;
          std::memcpy(parts.data(), &v, sizeof(V));
          for (std::size_t j = 0; j < wide; ++j) out[j * rows + i] = parts[j];
        }
      }
    }
  }

  static void scatter(const Element* elements, std::uint64_t* bits, unsigned points_log, Basis basis, std::uint64_t* scratch) {
    const std::size_t row_words = std::size_t{1} << (points_log - 6);
    const std::size_t blocks = row_words / words < blocks_max ? row_words / words : blocks_max;
    V* buffer = reinterpret_cast<V*>(scratch);
    for (std::size_t at = 0; at < row_words; at += blocks * words) {
      for (std::size_t block = 0; block < blocks; ++block) {
        V* square = buffer + block * rows;
        const Element* in = elements + (at + block * words) * 64;
        for (std::size_t i = 0; i < rows; ++i) {
          std::array<Element, wide> parts;
          for (std::size_t j = 0; j < wide; ++j) parts[j] = in[j * rows + i];
          V v;
          std::memcpy(&v, parts.data(), sizeof(V));
          square[i] = basis == Basis::dual ? Lanes::corner(v) : v;
        }
        squares(square);
      }
      for (std::size_t r = 0; r < rows; ++r) {
        const V* from = buffer + buffer_row(r, basis);
        for (std::size_t block = 0; block < blocks; ++block) std::memcpy(bits + r * row_words + at + block * words, from + block * rows, sizeof(V));
      }
    }
  }
};

}  // namespace qanat::qkd::gf2
