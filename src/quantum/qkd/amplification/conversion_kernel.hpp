// The steps of conversion_plan.hpp on packed words: shifts and XORs only, no table and no branch that depends on the data.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "quantum/qkd/amplification/conversion_plan.hpp"
#include "quantum/qkd/amplification/kernels.hpp"

namespace qanat::qkd::gf2 {

template <class Lanes>
struct Conversion {
  using V = typename Lanes::V;
  static constexpr std::size_t lanes = sizeof(V) / sizeof(std::uint64_t);
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

  /// One step on one block of more than 2^8 bits.
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

  /// sequence_rows, on rows whose words stand in w[0] … w[3].
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
  /// Rows of four words each, in `lanes` rows: v[…] as they stand in memory, w[i] the word i of all.
  template <MapForm form>
  static void rows_in_place(V* v) {
    std::array<V, 4> w;
    if constexpr (lanes == 4) {
      transpose(v[0], v[1], v[2], v[3], w);
      rows<form>(w);
      std::array<V, 4> back;
      transpose(w[0], w[1], w[2], w[3], back);
      for (std::size_t i = 0; i < 4; ++i) v[i] = back[i];
    } else {
      w = {__builtin_shufflevector(v[0], v[2], 0, 2), __builtin_shufflevector(v[0], v[2], 1, 3), __builtin_shufflevector(v[1], v[3], 0, 2),
           __builtin_shufflevector(v[1], v[3], 1, 3)};
      rows<form>(w);
      v[0] = __builtin_shufflevector(w[0], w[1], 0, 2);
      v[1] = __builtin_shufflevector(w[2], w[3], 0, 2);
      v[2] = __builtin_shufflevector(w[0], w[1], 1, 3);
      v[3] = __builtin_shufflevector(w[2], w[3], 1, 3);
    }
  }
  static void transpose(V a, V b, V c, V d, std::array<V, 4>& out) requires(lanes == 4) {
    const V even_ab = __builtin_shufflevector(a, b, 0, 4, 2, 6);
    const V odd_ab = __builtin_shufflevector(a, b, 1, 5, 3, 7);
    const V even_cd = __builtin_shufflevector(c, d, 0, 4, 2, 6);
    const V odd_cd = __builtin_shufflevector(c, d, 1, 5, 3, 7);
    out[0] = __builtin_shufflevector(even_ab, even_cd, 0, 1, 4, 5);
    out[1] = __builtin_shufflevector(odd_ab, odd_cd, 0, 1, 4, 5);
    out[2] = __builtin_shufflevector(even_ab, even_cd, 2, 3, 6, 7);
    out[3] = __builtin_shufflevector(odd_ab, odd_cd, 2, 3, 6, 7);
  }

  /// (…, a3) (b0, b1, b2, b3) -> (a3, b0, b1, b2), and (a0, a1, a2, a3) (b0, …) -> (a1, a2, a3, b0).
  static V before(V a, V b) {
    if constexpr (lanes == 4)
      return __builtin_shufflevector(a, b, 3, 4, 5, 6);
    else
      return __builtin_shufflevector(a, b, 1, 2);
  }
  static V after(V a, V b) {
    if constexpr (lanes == 4)
      return __builtin_shufflevector(a, b, 1, 2, 3, 4);
    else
      return __builtin_shufflevector(a, b, 1, 2);
  }
  /// One step on the block in v[0] … v[2 half - 1]; distance less than a word.
  template <MapForm form, unsigned distance, std::size_t half>
  static void step_in_vectors(V* v) {
    constexpr unsigned shift = 1U << distance;
    constexpr V zero{};
    V* low = v;
    V* high = v + half;
    if constexpr (form == MapForm::forward) high[0] ^= first_from_last(high[half - 1] >> (64 - shift));
    if constexpr (form == MapForm::inverse_transposed) high[half - 1] ^= last_from_first(high[0] << (64 - shift));
    for (std::size_t i = 0; i < half; ++i) {
      if constexpr (form == MapForm::forward || form == MapForm::inverse) {
        low[i] ^= high[i] << shift | before(i > 0 ? high[i - 1] : zero, high[i]) >> (64 - shift);
      } else {
        high[i] ^= low[i] >> shift | after(low[i], i + 1 < half ? low[i + 1] : zero) << (64 - shift);
      }
    }
    if constexpr (form == MapForm::inverse) high[0] ^= first_from_last(high[half - 1] >> (64 - shift));
    if constexpr (form == MapForm::transposed) high[half - 1] ^= last_from_first(high[0] << (64 - shift));
  }
  static V first_from_last(V v) { return before(v, V{}); }
  static V last_from_first(V v) { return after(V{}, v); }

  /// One step on 2 half rows of 256 bits, by one row.
  template <MapForm form, std::size_t half>
  static void step_by_row(V* v) {
    constexpr std::size_t row = 4 / lanes;  // V
    constexpr std::size_t middle = half * row;
    constexpr std::size_t end = 2 * middle;
    if constexpr (form == MapForm::forward) add_vectors<row>(v + middle, v + end - row);
    if constexpr (form == MapForm::inverse_transposed) add_vectors<row>(v + end - row, v + middle);
    if constexpr (form == MapForm::forward || form == MapForm::inverse) {
      add_vectors<middle - row>(v + row, v + middle);
    } else {
      add_vectors<middle - row>(v + middle, v + row);
    }
    if constexpr (form == MapForm::inverse) add_vectors<row>(v + middle, v + end - row);
    if constexpr (form == MapForm::transposed) add_vectors<row>(v + end - row, v + middle);
  }
  template <std::size_t count>
  static void add_vectors(V* to, const V* from) {
    for (std::size_t i = 0; i < count; ++i) to[i] ^= from[i];
  }

  static constexpr std::size_t eight_rows = 8 * 4 / lanes;  // V
  template <MapForm form>
  static void levels(V* v) {
    constexpr std::size_t n = eight_rows;
    if constexpr (!undoes_in_reverse(form)) {
      step_in_vectors<form, 2, n / 2>(v);
      for (std::size_t i = 0; i < n; i += n / 2) step_in_vectors<form, 1, n / 4>(v + i);
      for (std::size_t i = 0; i < n; i += n / 4) step_in_vectors<form, 0, n / 8>(v + i);
    } else {
      for (std::size_t i = 0; i < n; i += n / 4) step_in_vectors<form, 0, n / 8>(v + i);
      for (std::size_t i = 0; i < n; i += n / 2) step_in_vectors<form, 1, n / 4>(v + i);
      step_in_vectors<form, 2, n / 2>(v);
    }
  }
  template <MapForm form>
  static void eight_row_steps(V* v) {
    constexpr std::size_t n = eight_rows;
    if constexpr (!undoes_in_reverse(form)) {
      step_by_row<form, 4>(v);
      step_by_row<form, 2>(v);
      step_by_row<form, 2>(v + n / 2);
    }
    for (std::size_t i = 0; i < n; i += 4) rows_in_place<form>(v + i);
    if constexpr (undoes_in_reverse(form)) {
      step_by_row<form, 2>(v);
      step_by_row<form, 2>(v + n / 2);
      step_by_row<form, 4>(v);
    }
  }
  template <MapForm form>
  static void sequence(std::uint8_t which, std::uint64_t* words, std::size_t size) {
    for (std::size_t at = 0; at < size; at += eight_rows * lanes) {
      std::array<V, eight_rows> v;
      for (std::size_t i = 0; i < eight_rows; ++i) v[i] = load(words + at + i * lanes);
      if (which == sequence_levels) {
        levels<form>(v.data());
      } else if (which == sequence_eight_rows) {
        eight_row_steps<form>(v.data());
      } else {
        for (std::size_t i = 0; i < eight_rows; i += 4) rows_in_place<form>(v.data() + i);
      }
      for (std::size_t i = 0; i < eight_rows; ++i) store(words + at + i * lanes, v[i]);
    }
  }

  /// All of `steps` on a region of 2^region bits, in the first-level cache.
  template <MapForm form>
  static void leaf(std::span<const ConversionStep> steps, std::uint64_t* words, unsigned region) {
    const std::size_t size = std::size_t{1} << (region - 6);
    for (const ConversionStep& s : steps) {
      if (s.distance >= sequence_levels) {
        sequence<form>(s.distance, words, size);
      } else {
        for (std::size_t at = 0; at < size; at += std::size_t{1} << (s.block - 6)) step<form>(s, words + at);
      }
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
