// The additive Fourier transform over GF(2^128) on the coset w + V_k, w = coset[k] (field128.hpp): coefficients in the basis X_i become
// values, element p the value at w + sum of v_i over the set bits i of p. Layer j joins the elements that differ in bit j,
//   (f0, f1) -> (f0 + t f1, f0 + (t + 1) f1),   t = s_j(first point of the block) = coset[k-j] + sum of v_{i+1} over the bits i of the
// block's number; from layer k-1 down to 0 (Lin, Chung, Han, FOCS 2014). The constants depend on places alone.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "quantum/qkd/amplification/kernels.hpp"

namespace qanat::qkd::gf2 {

template <class Lanes, MapForm form>
struct AdditiveTransform {
  using V = typename Lanes::V;
  using Constant = typename Lanes::Constant;
  static constexpr std::size_t wide = sizeof(V) / sizeof(Element);
  static constexpr unsigned leaf_log = 8;  // elements that stay in the first-level cache beside the constants; even
  static constexpr bool downwards = form == MapForm::forward || form == MapForm::inverse_transposed;

  const TransformConstants& constants;
  unsigned points_log;

  /// t of a block.
  [[nodiscard]] Factor factor(unsigned layer, std::size_t block) const {
    Factor sum = constants.coset[points_log - layer];
    for (std::size_t i = 1; block != 0; ++i, block >>= 1) {
      if ((block & 1U) != 0) sum = sum ^ constants.cantor[i];
    }
    return sum;
  }
  static Constant broadcast(const Factor& f) { return {Lanes::broadcast(f.value), Lanes::broadcast(f.shifted)}; }
  /// base plus the low part of a block's constant.
  [[nodiscard]] Constant offset(const Constant& base, std::size_t block) const {
    return {base.value ^ Lanes::broadcast(constants.low[block]), base.shifted ^ Lanes::broadcast(constants.low_shifted[block])};
  }

  static void butterfly(V& a, V& b, const Constant& t) {
    if constexpr (form == MapForm::forward) {
      a ^= Lanes::times(b, t);
      b ^= a;
    } else if constexpr (form == MapForm::inverse) {
      b ^= a;
      a ^= Lanes::times(b, t);
    } else if constexpr (form == MapForm::inverse_transposed) {
      b ^= Lanes::times(a, t);
      a ^= b;
    } else {
      a ^= b;
      b ^= Lanes::times(a, t);
    }
  }
  /// Two layers on four: upper joins (0,2) and (1,3), first (0,1), second (2,3).
  static void butterflies(V& a, V& b, V& c, V& d, const Constant& upper, const Constant& first, const Constant& second) {
    if constexpr (downwards) {
      butterfly(a, c, upper);
      butterfly(b, d, upper);
      butterfly(a, b, first);
      butterfly(c, d, second);
    } else {
      butterfly(a, b, first);
      butterfly(c, d, second);
      butterfly(a, c, upper);
      butterfly(b, d, upper);
    }
  }

  static void one_layer(Element* data, std::size_t half, const Constant& t) {
    for (std::size_t i = 0; i < half; i += wide) {
      V a = Lanes::load(data + i);
      V b = Lanes::load(data + half + i);
      butterfly(a, b, t);
      Lanes::store(data + i, a);
      Lanes::store(data + half + i, b);
    }
  }
  static void two_layers(Element* data, std::size_t quarter, const Constant& upper, const Constant& first, const Constant& second) {
    for (std::size_t i = 0; i < quarter; i += wide) {
      V a = Lanes::load(data + i);
      V b = Lanes::load(data + quarter + i);
      V c = Lanes::load(data + 2 * quarter + i);
      V d = Lanes::load(data + 3 * quarter + i);
      butterflies(a, b, c, d, upper, first, second);
      Lanes::store(data + i, a);
      Lanes::store(data + quarter + i, b);
      Lanes::store(data + 2 * quarter + i, c);
      Lanes::store(data + 3 * quarter + i, d);
    }
  }

  /// Layers level-1 and level-2 of a leaf.
  void leaf_layers(Element* data, unsigned size_log, std::size_t number, unsigned level) const {
    const std::size_t blocks = std::size_t{1} << (size_log - level);
    const Constant upper = broadcast(factor(level - 1, number * blocks));
    const Constant lower = broadcast(factor(level - 2, 2 * number * blocks));
    for (std::size_t block = 0; block < blocks; ++block) {
      two_layers(data + (block << level), std::size_t{1} << (level - 2), offset(upper, block), offset(lower, 2 * block), offset(lower, 2 * block + 1));
    }
  }
  /// Layers 1 and 0, where the elements of one block stand in one or two V.
  void last_layers(Element* data, unsigned size_log, std::size_t number) const {
    if constexpr (wide == 1) {
      leaf_layers(data, size_log, number, 2);
    } else {
      const std::size_t blocks = std::size_t{1} << (size_log - 2);
      const Constant upper = broadcast(factor(1, number * blocks));
      const Constant lower = broadcast(factor(0, 2 * number * blocks));
      for (std::size_t block = 0; block < blocks; ++block) {
        V a = Lanes::load(data + 4 * block);
        V b = Lanes::load(data + 4 * block + 2);
        const Constant t1 = offset(upper, block);
        const Constant t0{lower.value ^ Lanes::load(&constants.low[2 * block]), lower.shifted ^ Lanes::load(&constants.low_shifted[2 * block])};
        if constexpr (downwards) butterfly(a, b, t1);
        V even = Lanes::firsts(a, b);
        V odd = Lanes::seconds(a, b);
        butterfly(even, odd, t0);
        a = Lanes::firsts(even, odd);
        b = Lanes::seconds(even, odd);
        if constexpr (!downwards) butterfly(a, b, t1);
        Lanes::store(data + 4 * block, a);
        Lanes::store(data + 4 * block + 2, b);
      }
    }
  }
  void leaf(Element* data, unsigned size_log, std::size_t number) const {
    if constexpr (downwards) {
      for (unsigned level = size_log; level > 2; level -= 2) leaf_layers(data, size_log, number, level);
      last_layers(data, size_log, number);
    } else {
      last_layers(data, size_log, number);
      for (unsigned level = 4; level <= size_log; level += 2) leaf_layers(data, size_log, number, level);
    }
  }

  /// The block `number` of 2^size_log elements, size_log even; depth first.
  void block(Element* data, unsigned size_log, std::size_t number) const {
    if (size_log <= leaf_log) return leaf(data, size_log, number);
    const std::size_t quarter = std::size_t{1} << (size_log - 2);
    if constexpr (!downwards) {
      for (std::size_t i = 0; i < 4; ++i) block(data + i * quarter, size_log - 2, 4 * number + i);
    }
    two_layers(data, quarter, broadcast(factor(size_log - 1, number)), broadcast(factor(size_log - 2, 2 * number)),
               broadcast(factor(size_log - 2, 2 * number + 1)));
    if constexpr (downwards) {
      for (std::size_t i = 0; i < 4; ++i) block(data + i * quarter, size_log - 2, 4 * number + i);
    }
  }
  void all(Element* data) const {
    if (points_log % 2 == 0) return block(data, points_log, 0);
    const std::size_t half = std::size_t{1} << (points_log - 1);
    if constexpr (downwards) one_layer(data, half, broadcast(factor(points_log - 1, 0)));
    block(data, points_log - 1, 0);
    block(data + half, points_log - 1, 1);
    if constexpr (!downwards) one_layer(data, half, broadcast(factor(points_log - 1, 0)));
  }
};

template <class Lanes>
struct PointwiseKernel {
  using V = typename Lanes::V;
  static constexpr std::size_t wide = sizeof(V) / sizeof(Element);

  static void transform(Element* elements, unsigned points_log, MapForm form) {
    const TransformConstants& constants = transform_constants();
    switch (form) {
      case MapForm::forward:
        return AdditiveTransform<Lanes, MapForm::forward>{constants, points_log}.all(elements);
      case MapForm::inverse:
        return AdditiveTransform<Lanes, MapForm::inverse>{constants, points_log}.all(elements);
      case MapForm::transposed:
        return AdditiveTransform<Lanes, MapForm::transposed>{constants, points_log}.all(elements);
      case MapForm::inverse_transposed:
        return AdditiveTransform<Lanes, MapForm::inverse_transposed>{constants, points_log}.all(elements);
    }
  }
  static void scale(Element* a, const Element* b, std::size_t count) {
    for (std::size_t i = 0; i < count; i += wide) Lanes::store(a + i, Lanes::product(Lanes::load(a + i), Lanes::load(b + i)));
  }
  static void scale_add(Element* sum, const Element* a, const Element* b, std::size_t count) {
    for (std::size_t i = 0; i < count; i += wide) {
      Lanes::store(sum + i, Lanes::load(sum + i) ^ Lanes::product(Lanes::load(a + i), Lanes::load(b + i)));
    }
  }
};

}  // namespace qanat::qkd::gf2
