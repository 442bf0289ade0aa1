// Cascade's confirmations: the search for one differing bit within a random subset of the key, by halves. Both ends walk the same way.
#pragma once

#include <algorithm>

#include "quantum/qkd/reconciliation/cascade_frames.hpp"

namespace qanat::qkd::cascade {

/// Words first_word .. first_word + words - 1 of all frames' words, one after the other; once one word is left, lanes of it.
struct SubsetRange {
  std::uint32_t first_word = 0;
  std::uint32_t words = 0;
  std::uint32_t first_lane = 0;
  std::uint32_t lanes = 64;

  /// Of a single bit, within its frame.
  [[nodiscard]] BitPlace bit_place() const noexcept { return {.word = static_cast<std::uint32_t>(first_word % frame_words), .bit = first_lane}; }
  [[nodiscard]] bool is_bit() const noexcept { return words == 1 && lanes == 1; }
  [[nodiscard]] SubsetRange left() const noexcept {
    SubsetRange half = *this;
    if (words > 1) {
      half.words = std::bit_ceil(words) / 2;
    } else {
      half.lanes = lanes / 2;
    }
    return half;
  }
  [[nodiscard]] SubsetRange right() const noexcept {
    SubsetRange half = *this;
    const SubsetRange other = left();
    if (words > 1) {
      half.first_word += other.words;
      half.words -= other.words;
    } else {
      half.first_lane += other.lanes;
      half.lanes -= other.lanes;
    }
    return half;
  }
};

/// The whole of a frame, or of the key.
inline SubsetRange whole_frame(std::size_t frame) noexcept { return {.first_word = static_cast<std::uint32_t>(frame * frame_words), .words = frame_words}; }
inline SubsetRange whole_key(const KeyLayout& layout) noexcept { return {.words = static_cast<std::uint32_t>(layout.frames * frame_words)}; }

/// Parity of the bits of `range` in random subset `number`. `bits`: all frames' words.
bool subset_parity(const Kernels& with, const KeyLayout& layout, const std::uint64_t* bits, std::uint32_t number, const SubsetRange& range);
/// Those of the whole key in the key_confirmations subsets from `first` on, the first as the lowest bit.
std::uint32_t subset_parities(const Kernels& with, const KeyLayout& layout, const std::uint64_t* bits, std::uint32_t first);
/// Does the subset have nothing but padding there?
bool subset_empty(const KeyLayout& layout, std::uint32_t number, const SubsetRange& range);
/// Walks on while one half is empty: to a bit, or to a range both of whose halves hold something.
SubsetRange settle(const KeyLayout& layout, std::uint32_t number, SubsetRange range);

}  // namespace qanat::qkd::cascade
