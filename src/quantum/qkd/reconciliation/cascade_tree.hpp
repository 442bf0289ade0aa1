// Bob's tree of a pass while he searches: which parities are known and which differ. Held in blocks of two levels, one cache line each, so that
// the way from a bit up to its block touches few lines: the trees of all frames do not fit into a cache, and this way is what costs time.
#pragma once

#include "quantum/qkd/reconciliation/cascade_frames.hpp"

namespace qanat::qkd::cascade {

/// 256 blocks of the levels over 2 and 4 bits, 64 of the next two levels, and so on. Of a block's eight words 1 to 3 are parities (the upper
/// level, then the two words of the lower one) and 5 to 7 "both halves are known"; word 0 of the plain tree has its place in the last block.
inline constexpr std::size_t tree_block_words = 8;
inline constexpr std::array<std::size_t, 6> tree_blocks_before{0, 256, 320, 336, 340, 341};
inline constexpr std::size_t tree_words = tree_blocks_before.back() * tree_block_words;

/// Where word h of the plain tree is.
inline constexpr std::array<std::uint16_t, frame_words> tree_slots = [] {
  std::array<std::uint16_t, frame_words> slots{};
  slots[0] = static_cast<std::uint16_t>(tree_blocks_before[4] * tree_block_words);
  for (std::size_t h = 1; h < frame_words; ++h) {
    const auto level = static_cast<std::size_t>(10 - std::bit_width(h));  // 0 right above the bits, 9 at word 1
    const std::size_t within = h - std::bit_floor(h);
    const bool upper = level % 2 == 1;
    const std::size_t block = tree_blocks_before[level / 2] + (upper ? within : within / 2);
    slots[h] = static_cast<std::uint16_t>(block * tree_block_words + (upper ? 1 : 2 + within % 2));
  }
  return slots;
}();

class SearchTree {
 public:
  explicit SearchTree(std::uint64_t* words) noexcept : words_(words) {}

  /// Bob's parity while Alice's is not known; then whether the two differ.
  [[nodiscard]] bool parity(Node node) const noexcept { return (words_[slot(node)] >> (node & 63U) & 1U) != 0; }
  [[nodiscard]] bool known_below(Node node) const noexcept { return (words_[slot(node) + 4] >> (node & 63U) & 1U) != 0; }
  void set_even(Node node) noexcept { words_[slot(node)] &= ~bit(node); }
  void set_odd(Node node) noexcept { words_[slot(node)] |= bit(node); }
  void set_known_below(Node node) noexcept { words_[slot(node) + 4] |= bit(node); }
  void prefetch(Node node) const noexcept { __builtin_prefetch(words_ + slot(node)); }
  /// The lowest blocks over the word at a place, which are about to be changed.
  void prefetch_above(std::size_t place) const noexcept {
    __builtin_prefetch(words_ + (place / 4) * tree_block_words, 1);
    __builtin_prefetch(words_ + (tree_blocks_before[1] + place / 16) * tree_block_words, 1);
    __builtin_prefetch(words_ + (tree_blocks_before[2] + place / 64) * tree_block_words, 1);
    __builtin_prefetch(words_ + (tree_blocks_before[3] + place / 256) * tree_block_words, 1);
  }
  /// Those besides them that settle_search() changes.
  void prefetch_siblings(std::size_t place) const noexcept {
    __builtin_prefetch(words_ + (place / 4 ^ 1U) * tree_block_words, 1);
    __builtin_prefetch(words_ + (tree_blocks_before[1] + (place / 16 ^ 1U)) * tree_block_words, 1);
  }

  /// From a plain tree and plain words of "known below"; with a null pointer nothing is.
  void fill(const std::uint64_t* plain, const std::uint64_t* known) noexcept {
    for (std::size_t h = 0; h < frame_words; ++h) {
      words_[tree_slots[h]] = plain[h];
      words_[tree_slots[h] + 4] = known == nullptr ? 0 : known[h];
    }
  }

  /// The search that began at the first node above the bit that is known below ended in the bit: everything on the way is known, and even once the
  /// bit is flipped; what is above changes. `exponent`: of the pass's blocks.
  void settle_search(std::uint32_t place, std::uint32_t lane, unsigned exponent) noexcept {
    unsigned start = 0;
    while (start + 1 < exponent && !known_below(above(place, lane, start))) ++start;
    for (unsigned level = 0; level < exponent; ++level) {
      const Node node = above(place, lane, level);
      const std::uint64_t way = level < start ? ~std::uint64_t{0} : 0;  // the same steps for all, because a branch would often be foreseen wrongly
      const Node sibling = node < 128 ? node ^ 1U : node ^ 64U;
      std::uint64_t* words = words_ + slot(node);
      words[0] = (words[0] ^ (bit(node) & ~way)) & ~(bit(node) & way);
      words[4] |= bit(node) & way;
      words_[slot(sibling)] &= ~(bit(sibling) & way);
    }
  }

  /// The bit was flipped by another pass: everything above it changes. The smallest known piece that holds it if that is odd now; otherwise,
  /// or if the bit itself is known, 0.
  Node flip_above(std::uint32_t place, std::uint32_t lane, unsigned exponent) noexcept {
    std::uint32_t known = 0;
    std::uint32_t odd = 0;
    for (unsigned level = 0; level < exponent; ++level) {
      const Node node = above(place, lane, level);
      std::uint64_t* words = words_ + slot(node);
      words[0] ^= bit(node);
      odd |= static_cast<std::uint32_t>(words[0] >> (node & 63U) & 1U) << level;
      known |= static_cast<std::uint32_t>(words[4] >> (node & 63U) & 1U) << level;
    }
    const unsigned level = known == 0 ? exponent - 1 : static_cast<unsigned>(std::countr_zero(known)) - 1;
    return (known & 1U) == 0 && (odd >> level & 1U) != 0 ? above(place, lane, level) : 0;
  }

 private:
  /// The node `level` levels above the first one over the bit.
  static Node above(std::uint32_t place, std::uint32_t lane, unsigned level) noexcept {
    return level < 10 ? ((Node{frame_words} + place) >> (level + 1)) << 6 | lane : (64 + lane) >> (level - 9);
  }
  static std::size_t slot(Node node) noexcept { return tree_slots[node >> 6]; }
  static std::uint64_t bit(Node node) noexcept { return std::uint64_t{1} << (node & 63U); }
  std::uint64_t* words_;
};

}  // namespace qanat::qkd::cascade
