// Bob's tree of a pass while he searches: which parities are known and which differ. Held in blocks of three levels, two cache lines each, so that
// the way from a bit up to its block touches few lines: the trees of all frames do not fit into a cache, and this way is what costs time.
#pragma once

#include "quantum/qkd/reconciliation/cascade_frames.hpp"

namespace qanat::qkd::cascade {

/// 128 blocks of the levels over 2 to 8 bits, 16 of those up to 64, 2 of those up to 512, and one for the rest. A block is eight words of
/// parities (by the place of the word in a heap of three levels) and eight of "both halves are known".
inline constexpr std::size_t tree_block_words = 16;
inline constexpr std::size_t tree_blocks = 128 + 16 + 2 + 1;
inline constexpr std::size_t tree_words = tree_blocks * tree_block_words;

/// Where word h of the plain tree is.
inline constexpr std::array<std::uint16_t, frame_words> tree_slots = [] {
  std::array<std::uint16_t, frame_words> slots{};
  slots[0] = static_cast<std::uint16_t>((tree_blocks - 1) * tree_block_words);
  slots[1] = static_cast<std::uint16_t>(slots[0] + 1);
  for (std::size_t h = 2; h < frame_words; ++h) {
    const auto level = static_cast<std::size_t>(11 - std::bit_width(h));  // 1 right above the bits, 9 below word 1
    const std::size_t within_level = h - std::bit_floor(h);
    const std::size_t inner = (level - 1) % 3;  // 0: the lowest of the block's levels
    const std::size_t first_block = level <= 3 ? 0 : level <= 6 ? 128 : 144;
    const std::size_t block = first_block + (within_level >> (2 - inner));
    const std::size_t in_heap = (std::size_t{4} >> inner) + (within_level & ((std::size_t{4} >> inner) - 1));
    slots[h] = static_cast<std::uint16_t>(block * tree_block_words + in_heap);
  }
  return slots;
}();

class SearchTree {
 public:
  explicit SearchTree(std::uint64_t* words) noexcept : words_(words) {}

  /// Bob's parity while Alice's is not known; then whether the two differ.
  [[nodiscard]] bool parity(Node node) const noexcept { return (words_[slot(node)] >> (node & 63U) & 1U) != 0; }
  [[nodiscard]] bool known_below(Node node) const noexcept { return (words_[slot(node) + 8] >> (node & 63U) & 1U) != 0; }
  void set_even(Node node) noexcept { words_[slot(node)] &= ~bit(node); }
  void set_odd(Node node) noexcept { words_[slot(node)] |= bit(node); }
  void flip(Node node) noexcept { words_[slot(node)] ^= bit(node); }
  void set_known_below(Node node) noexcept { words_[slot(node) + 8] |= bit(node); }
  void prefetch(Node node) const noexcept { __builtin_prefetch(words_ + slot(node)); }
  /// The lowest block over the word at a place, as if it were about to be changed.
  void prefetch_low(std::size_t place) const noexcept {
    __builtin_prefetch(words_ + (place / 8) * tree_block_words, 1);
    __builtin_prefetch(words_ + (place / 8) * tree_block_words + 8, 1);
  }

  /// From a plain tree and plain words of "known below"; with a null pointer nothing is.
  void fill(const std::uint64_t* plain, const std::uint64_t* known) noexcept {
    for (std::size_t h = 0; h < frame_words; ++h) {
      words_[tree_slots[h]] = plain[h];
      words_[tree_slots[h] + 8] = known == nullptr ? 0 : known[h];
    }
  }

  /// The search that began at the first node above `leaf` that is known below ended there: everything on the way is known, and even once the bit
  /// is flipped; what is above changes.
  void settle_search(Node leaf, Node top_end) noexcept {
    Node node = parent(leaf);
    for (;; node = parent(node)) {
      const Node left = left_child(node);
      if (left < leaf_first) {
        set_even(left);
        set_even(right_sibling(left));
      }
      if (known_below(node)) break;
      set_known_below(node);
    }
    for (flip(node); node >= top_end;) {
      node = parent(node);
      flip(node);
    }
  }

  /// A bit was flipped by another pass: everything above it changes. The smallest known piece that holds it if that is odd now; otherwise,
  /// or if the bit itself is known, 0.
  Node flip_above(Node leaf, Node top_end) noexcept {
    Node node = parent(leaf);
    Node piece = known_below(node) ? 0 : node;
    bool below = piece != 0;
    flip(node);
    while (node >= top_end) {
      node = parent(node);
      flip(node);
      below = below && !known_below(node);
      if (below) piece = node;
    }
    return piece != 0 && parity(piece) ? piece : 0;
  }

 private:
  static std::size_t slot(Node node) noexcept { return tree_slots[node >> 6]; }
  static std::uint64_t bit(Node node) noexcept { return std::uint64_t{1} << (node & 63U); }
  std::uint64_t* words_;
};

}  // namespace qanat::qkd::cascade
