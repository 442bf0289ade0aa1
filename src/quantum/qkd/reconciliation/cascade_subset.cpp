#include "quantum/qkd/reconciliation/cascade_subset.hpp"

namespace qanat::qkd::cascade {
namespace {

/// One to 64 lanes from the first one on.
std::uint64_t lane_mask(const SubsetRange& range) noexcept { return ~std::uint64_t{0} >> ((64 - range.lanes) & 63U) << (range.first_lane & 63U); }

/// Calls visit(frame, first word in the frame, words) for each frame that the range touches, until it returns true.
template <class Visit>
bool any_frame(const SubsetRange& range, Visit&& visit) {
  for (std::size_t at = range.first_word, end = at + range.words; at < end;) {
    const std::size_t inner = at % frame_words;
    const std::size_t count = std::min(end - at, frame_words - inner);
    if (visit(at / frame_words, inner, count)) return true;
    at += count;
  }
  return false;
}

}  // namespace

bool subset_parity(const Kernels& with, const KeyLayout& layout, const std::uint64_t* bits, std::uint32_t number, const SubsetRange& range) {
  if (range.words == 1) {
    const std::uint64_t subset = layout.subset(range.first_word / frame_words, number)[range.first_word % frame_words];
    return (std::popcount(bits[range.first_word] & subset & lane_mask(range)) & 1) != 0;
  }
  bool parity = false;
  any_frame(range, [&](std::size_t frame, std::size_t first, std::size_t count) {
    parity ^= with.subset_parity(bits + frame * frame_words + first, layout.subset(frame, number) + first, count);
    return false;
  });
  return parity;
}

std::uint32_t subset_parities(const Kernels& with, const KeyLayout& layout, const std::uint64_t* bits, std::uint32_t first) {
  std::uint32_t parities = 0;
  for (std::size_t f = 0; f < layout.frames; ++f) parities ^= with.window_parities(bits + f * frame_words, layout.subset(f, first));
  return parities;
}

bool subset_empty(const KeyLayout& layout, std::uint32_t number, const SubsetRange& range) {
  const std::uint64_t lanes = lane_mask(range);
  return !any_frame(range, [&](std::size_t frame, std::size_t first, std::size_t count) {
    const std::uint64_t* subset = layout.subset(frame, number);
    const auto& present = layout.of(frame).present;
    for (std::size_t w = first; w < first + count; ++w) {
      if ((subset[w] & present.at(w) & lanes) != 0) return true;
    }
    return false;
  });
}

SubsetRange settle(const KeyLayout& layout, std::uint32_t number, SubsetRange range) {
  while (!range.is_bit()) {
    const bool left_empty = subset_empty(layout, number, range.left());
    if (!left_empty && !subset_empty(layout, number, range.right())) break;
    range = left_empty ? range.right() : range.left();
  }
  return range;
}

}  // namespace qanat::qkd::cascade
