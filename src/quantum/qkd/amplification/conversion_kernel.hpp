// The change of basis before and after the additive Fourier transform, over GF(2) on packed words: shifts and XORs only. It turns the
// coefficients of f, of degree below 2^m, into those of
//   f = sum over j < 2^(m-k), i < 2^k of c(j, i) s_k(x)^j X_i(x),   X_i = product of s_b(x) over the set bits b of i,
// with c(j, i) at bit j 2^k + i. For k = m it is the conversion of Lin, Al-Naffouri, Han and Chung (IEEE Trans. IT 62(11), 6284, 2016).
//
// It is a list of steps (block, distance). A step works on every block of 2^block bits: for i from the last bit of the block down to its
// middle, bit[i - half + 2^distance] ^= bit[i]. That divides by (x^Q + x)^(half/Q) = x^half + x^(half/Q), the powers of
// s_q = x^Q + x for q a power of two and Q = 2^q.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "quantum/qkd/amplification/kernels.hpp"

namespace qanat::qkd::gf2 {

struct ConversionStep {
  std::uint8_t block = 0;     // log2 of bits
  std::uint8_t distance = 0;  // log2 of bits
};

/// The steps of one conversion in the order of `forward`.
struct ConversionPlan {
  std::array<ConversionStep, 128> steps{};
  std::size_t count = 0;

  /// Of a polynomial of 2^m coefficients of 2^unit bits each.
  void add(unsigned m, unsigned k, unsigned unit) {
    if (k >= m) k = m - 1;  // the topmost bit of i is a power 0 or 1 of one s_b in either basis
    if (k == 0) return;
    const unsigned q = std::bit_floor(k);
    for (unsigned level = m; level > q; --level) {
      steps[count++] = {.block = static_cast<std::uint8_t>(level + unit), .distance = static_cast<std::uint8_t>(level - 1 - q + unit)};
    }
    add(q, q, unit);
    add(m - q, k - q, unit + q);
  }
};
ConversionPlan conversion_plan(unsigned bits_log, bool reversed);

constexpr bool undoes_in_reverse(MapForm form) { return form == MapForm::inverse || form == MapForm::transposed; }

template <class V>
struct Conversion {
  static constexpr std::size_t lanes = sizeof(V) / sizeof(std::uint64_t);
  static constexpr unsigned row_log = 8;    // steps up to this block are done in registers, all at once
  static constexpr unsigned leaf_log = 15;  // bits that stay in the first-level cache

  static V load(const std::uint64_t* at) {
    V out;
    std::memcpy(&out, at, sizeof(V));
    return out;
  }
  static void store(std::uint64_t* at, V value) { std::memcpy(at, &value, sizeof(V)); }
  static void add(std::uint64_t* to, V value) { store(to, load(to) ^ value); }

  /// to ^= from. The two do not overlap.
  static void add_words(std::uint64_t* __restrict to, const std::uint64_t* __restrict from, std::size_t words) {
    std::size_t w = 0;
    for (; w + lanes <= words; w += lanes) add(to + w, load(from + w));
    for (; w < words; ++w) to[w] ^= from[w];
  }

  /// low ^= high << shift, 0 < shift < 64, both of `words` words, a multiple of `lanes`; what leaves at the top is dropped.
  static void add_shifted_up(std::uint64_t* __restrict low, const std::uint64_t* __restrict high, std::size_t words, unsigned shift) {
    const V first = load(high);
    V before{};
    for (std::size_t i = 1; i < lanes; ++i) before[i] = first[i - 1];
    add(low, first << shift | before >> (64 - shift));
    for (std::size_t w = lanes; w < words; w += lanes) add(low + w, load(high + w) << shift | load(high + w - 1) >> (64 - shift));
  }
  /// high ^= low >> shift.
  static void add_shifted_down(std::uint64_t* __restrict high, const std::uint64_t* __restrict low, std::size_t words, unsigned shift) {
    const std::size_t end = words - lanes;
    for (std::size_t w = 0; w < end; w += lanes) add(high + w, load(low + w) >> shift | load(low + w + 1) << (64 - shift));
    const V last = load(low + end);
    V after{};
    for (std::size_t i = 1; i < lanes; ++i) after[i - 1] = last[i];
    add(high + end, last >> shift | after << (64 - shift));
  }

  /// One step on one block of more than 2^row_log bits.
  template <MapForm form>
  static void step(ConversionStep s, std::uint64_t* block) {
    const std::size_t half = std::size_t{1} << (s.block - 7);  // words
    std::uint64_t* low = block;
    std::uint64_t* high = block + half;
    if (s.distance < 6) {
      const unsigned shift = 1U << s.distance;
      if constexpr (form == MapForm::forward) high[0] ^= high[half - 1] >> (64 - shift);
      if constexpr (form == MapForm::inverse_transposed) high[half - 1] ^= high[0] << (64 - shift);
      if constexpr (form == MapForm::forward || form == MapForm::inverse) {
        add_shifted_up(low, high, half, shift);
      } else {
        add_shifted_down(high, low, half, shift);
      }
      if constexpr (form == MapForm::inverse) high[0] ^= high[half - 1] >> (64 - shift);
      if constexpr (form == MapForm::transposed) high[half - 1] ^= high[0] << (64 - shift);
      return;
    }
    const std::size_t shift = std::size_t{1} << (s.distance - 6);
    if constexpr (form == MapForm::forward) add_words(high, high + half - shift, shift);
    if constexpr (form == MapForm::inverse_transposed) add_words(high + half - shift, high, shift);
    if constexpr (form == MapForm::forward || form == MapForm::inverse) {
      add_words(low + shift, high, half - shift);
    } else {
      add_words(high, low + shift, half - shift);
    }
    if constexpr (form == MapForm::inverse) add_words(high, high + half - shift, shift);
    if constexpr (form == MapForm::transposed) add_words(high + half - shift, high, shift);
  }

  /// One step within words.
  template <MapForm form, unsigned block, unsigned distance>
  static void step_in_words(V& w) {
    constexpr unsigned half = 1U << (block - 1);
    constexpr unsigned shift = half - (1U << distance);
    constexpr std::uint64_t top = bits_of_each_block(block, 2 * half - (1U << distance), 2 * half);
    constexpr std::uint64_t rest = bits_of_each_block(block, half, 2 * half - (1U << distance));
    if constexpr (form == MapForm::forward) w ^= (w & top) >> shift;
    if constexpr (form == MapForm::forward || form == MapForm::inverse) w ^= (w & rest) >> shift;
    if constexpr (form == MapForm::inverse) w ^= (w & top) >> shift;
    if constexpr (form == MapForm::inverse_transposed) w ^= w << shift & top;
    if constexpr (form == MapForm::transposed || form == MapForm::inverse_transposed) w ^= w << shift & rest;
    if constexpr (form == MapForm::transposed) w ^= w << shift & top;
  }
  static constexpr std::uint64_t bits_of_each_block(unsigned block, unsigned from, unsigned to) {
    std::uint64_t mask = 0;
    for (unsigned i = 0; i < 64; ++i) {
      const unsigned at = i % (1U << block);
      if (at >= from && at < to) mask |= std::uint64_t{1} << i;
    }
    return mask;
  }

  /// What a shift by `shift` <= 64 carries into the next word, or into the one before.
  template <unsigned shift>
  static V carried_up(V v) {
    if constexpr (shift < 64) v >>= 64 - shift;
    return v;
  }
  template <unsigned shift>
  static V carried_down(V v) {
    if constexpr (shift < 64) v <<= 64 - shift;
    return v;
  }

  /// One step on the 2 half words of a block, distance up to a word.
  template <MapForm form, unsigned distance, std::size_t half>
  static void step_across_words(V* low) {
    constexpr unsigned shift = 1U << distance;
    V* high = low + half;
    if constexpr (form == MapForm::forward) high[0] ^= carried_up<shift>(high[half - 1]);
    if constexpr (form == MapForm::inverse_transposed) high[half - 1] ^= carried_down<shift>(high[0]);
    for (std::size_t w = 0; w < half; ++w) {
      if constexpr (form == MapForm::forward || form == MapForm::inverse) {
        if constexpr (shift < 64) low[w] ^= high[w] << shift;
        if (w > 0) low[w] ^= carried_up<shift>(high[w - 1]);
      } else {
        if constexpr (shift < 64) high[w] ^= low[w] >> shift;
        if (w + 1 < half) high[w] ^= carried_down<shift>(low[w + 1]);
      }
    }
    if constexpr (form == MapForm::inverse) high[0] ^= carried_up<shift>(high[half - 1]);
    if constexpr (form == MapForm::transposed) high[half - 1] ^= carried_down<shift>(high[0]);
  }

  template <MapForm form, unsigned block, unsigned distance>
  static void step_in_rows(std::array<V, 4>& w) {
    if constexpr (block == 8) {
      step_across_words<form, distance, 2>(w.data());
    } else if constexpr (block == 7) {
      step_across_words<form, distance, 1>(w.data());
      step_across_words<form, distance, 1>(w.data() + 2);
    } else {
      for (V& v : w) step_in_words<form, block, distance>(v);
    }
  }

  /// The steps of ConversionPlan::add(8, 8, 0), on rows whose words stand in w[0] … w[3].
  template <MapForm form>
  static void rows(std::array<V, 4>& w) {
    if constexpr (!undoes_in_reverse(form)) {
      step_in_rows<form, 8, 3>(w);
      step_in_rows<form, 7, 2>(w);
      step_in_rows<form, 6, 1>(w);
      step_in_rows<form, 5, 0>(w);
      step_in_rows<form, 4, 1>(w);
      step_in_rows<form, 3, 0>(w);
      step_in_rows<form, 2, 0>(w);
      step_in_rows<form, 4, 2>(w);
      step_in_rows<form, 8, 5>(w);
      step_in_rows<form, 7, 4>(w);
      step_in_rows<form, 6, 4>(w);
      step_in_rows<form, 8, 6>(w);
    } else {
      step_in_rows<form, 8, 6>(w);
      step_in_rows<form, 6, 4>(w);
      step_in_rows<form, 7, 4>(w);
      step_in_rows<form, 8, 5>(w);
      step_in_rows<form, 4, 2>(w);
      step_in_rows<form, 2, 0>(w);
      step_in_rows<form, 3, 0>(w);
      step_in_rows<form, 4, 1>(w);
      step_in_rows<form, 5, 0>(w);
      step_in_rows<form, 6, 1>(w);
      step_in_rows<form, 7, 2>(w);
      step_in_rows<form, 8, 3>(w);
    }
  }
  static constexpr std::size_t row_steps = 12;

  /// Word i of `lanes` rows of four words <-> w[i].
  static void load_rows(const std::uint64_t* at, std::array<V, 4>& w) {
    if constexpr (lanes == 4) {
      const V a = load(at);
      const V b = load(at + 4);
      const V c = load(at + 8);
      const V d = load(at + 12);
      transpose(a, b, c, d, w);
    } else {
      const V a = load(at);
      const V b = load(at + 2);
      const V c = load(at + 4);
      const V d = load(at + 6);
      w = {__builtin_shufflevector(a, c, 0, 2), __builtin_shufflevector(a, c, 1, 3), __builtin_shufflevector(b, d, 0, 2), __builtin_shufflevector(b, d, 1, 3)};
    }
  }
  static void store_rows(std::uint64_t* at, const std::array<V, 4>& w) {
    if constexpr (lanes == 4) {
      std::array<V, 4> r;
      transpose(w[0], w[1], w[2], w[3], r);
      for (std::size_t i = 0; i < 4; ++i) store(at + 4 * i, r[i]);
    } else {
      store(at, __builtin_shufflevector(w[0], w[1], 0, 2));
      store(at + 2, __builtin_shufflevector(w[2], w[3], 0, 2));
      store(at + 4, __builtin_shufflevector(w[0], w[1], 1, 3));
      store(at + 6, __builtin_shufflevector(w[2], w[3], 1, 3));
    }
  }
  static void transpose(V a, V b, V c, V d, std::array<V, 4>& out)
    requires(lanes == 4)
  {
    const V even_ab = __builtin_shufflevector(a, b, 0, 4, 2, 6);
    const V odd_ab = __builtin_shufflevector(a, b, 1, 5, 3, 7);
    const V even_cd = __builtin_shufflevector(c, d, 0, 4, 2, 6);
    const V odd_cd = __builtin_shufflevector(c, d, 1, 5, 3, 7);
    out[0] = __builtin_shufflevector(even_ab, even_cd, 0, 1, 4, 5);
    out[1] = __builtin_shufflevector(odd_ab, odd_cd, 0, 1, 4, 5);
    out[2] = __builtin_shufflevector(even_ab, even_cd, 2, 3, 6, 7);
    out[3] = __builtin_shufflevector(odd_ab, odd_cd, 2, 3, 6, 7);
  }

  /// All of `steps` on a region of 2^region bits, in the first-level cache.
  template <MapForm form>
  static void leaf(std::span<const ConversionStep> steps, std::uint64_t* words, unsigned region) {
    const std::size_t size = std::size_t{1} << (region - 6);
    for (std::size_t i = 0; i < steps.size();) {
      if (steps[i].block > row_log) {
        for (std::size_t at = 0; at < size; at += std::size_t{1} << (steps[i].block - 6)) step<form>(steps[i], words + at);
        ++i;
        continue;
      }
      for (std::size_t at = 0; at < size; at += 4 * lanes) {
        std::array<V, 4> w;
        load_rows(words + at, w);
        rows<form>(w);
        store_rows(words + at, w);
      }
      i += row_steps;
    }
  }

  /// Depth first: what concerns a half of the region alone is done with while that half is in the cache.
  template <MapForm form>
  static void run(std::span<const ConversionStep> steps, std::uint64_t* words, unsigned region) {
    if (region <= leaf_log) return leaf<form>(steps, words, region);
    for (std::size_t i = 0; i < steps.size();) {
      if (steps[i].block == region) {
        step<form>(steps[i], words);
        ++i;
        continue;
      }
      std::size_t end = i;
      while (end < steps.size() && steps[end].block < region) ++end;
      run<form>(steps.subspan(i, end - i), words, region - 1);
      run<form>(steps.subspan(i, end - i), words + (std::size_t{1} << (region - 7)), region - 1);
      i = end;
    }
  }

  static void convert(std::uint64_t* words, unsigned bits_log, MapForm form) {
    const ConversionPlan plan = conversion_plan(bits_log, undoes_in_reverse(form));
    const std::span steps(plan.steps.data(), plan.count);
    switch (form) {
      case MapForm::forward:
        return run<MapForm::forward>(steps, words, bits_log);
      case MapForm::inverse:
        return run<MapForm::inverse>(steps, words, bits_log);
      case MapForm::transposed:
        return run<MapForm::transposed>(steps, words, bits_log);
      case MapForm::inverse_transposed:
        return run<MapForm::inverse_transposed>(steps, words, bits_log);
    }
  }
};

}  // namespace qanat::qkd::gf2
