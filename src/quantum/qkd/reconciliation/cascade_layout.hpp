// How Cascade sees a frame: three passes, each with its own order of the frame's 1024 words and its own turn of every word, and a binary tree
// of parities over that order. Public: everything here follows from the set-up and the seed. What the parities are is in cascade_frames.hpp.
//
// The tree of a pass is a bit array. Word h = 1..1023 holds one node for each of the 64 lanes; the children of node (h, lane) are (2h, lane)
// and (2h+1, lane), and words 1024..2047 would be the bits themselves. So a whole tree costs one xor per word of the frame. Above word 1 the
// lanes are joined in word 0: its bit i has the children 2i and 2i+1, where 64..127 are the lanes of word 1. A node's number is 64 h + lane.
// The nodes over 2^e bits are the numbers 2^(16-e) .. 2^(17-e) - 1 for every e.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <vector>

#include "quantum/qkd/reconciliation/reconciliation.hpp"

namespace qanat::qkd::cascade {

inline constexpr std::size_t frame_words = frame_bits / 64;
inline constexpr std::size_t passes = 3;
/// Keys of up to this many bits are disclosed whole: their parities and the confirmations would be about as many.
inline constexpr std::size_t plain_bits_max = 1024;
/// Random-subset parities at the end: of each frame, then of the whole key in batches.
inline constexpr std::uint32_t frame_confirmations = 6;
inline constexpr std::uint32_t key_confirmations = 32;
inline constexpr std::uint32_t key_batches_max = 32;

using Node = std::uint32_t;
inline constexpr Node leaf_first = frame_bits;            // from here on a node is a bit
inline constexpr Node last_level_first = leaf_first / 2;  // from here on a node's children are bits

constexpr Node left_child(Node node) noexcept { return node < 64 ? 2 * node : ((node & ~63U) << 1) | (node & 63U); }
constexpr Node right_sibling(Node left) noexcept { return left + (left < 128 ? 1 : 64); }
/// The node is over 2^level bits.
constexpr unsigned level_of(Node node) noexcept { return 17U - static_cast<unsigned>(std::bit_width(node)); }
constexpr Node parent(Node node) noexcept { return node < 128 ? node >> 1 : ((node >> 1) & ~63U) | (node & 63U); }

/// Logarithm of the block size of each pass.
using BlockExponents = std::array<std::uint8_t, passes>;
BlockExponents block_exponents(double error_rate) noexcept;
constexpr Node first_top(std::uint8_t exponent) noexcept { return Node{1} << (16 - exponent); }

struct PassLayout {
  std::array<std::uint16_t, frame_words> source{};  // word at place u is the frame's word source[u], turned left by turn[u]
  std::array<std::uint8_t, frame_words> turn{};
  std::array<std::uint16_t, frame_words> place{};  // inverse of source
  std::vector<std::uint64_t> present;              // 2048 words, by node: something other than padding is below it
  Node last_top = 0;                               // the last present block of the pass
  std::uint32_t tops = 0;                          // present blocks

  /// The present blocks in word h of a tree.
  [[nodiscard]] std::uint64_t tops_in(Node h, std::uint8_t exponent) const noexcept {
    const Node top = Node{1} << (16 - exponent);
    return top >= 64 ? present[h] : present[0] & ~std::uint64_t{0} << top & ((std::uint64_t{1} << top << top) - 1);
  }
  [[nodiscard]] bool has(Node node) const noexcept { return (present[node >> 6] >> (node & 63U) & 1U) != 0; }
};

struct FrameLayout {
  std::array<PassLayout, passes> pass;
  std::array<std::uint64_t, frame_words> present{};  // of the frame's words: bits that are not padding
  bool padded = false;
};

/// The half of `node` to walk to without a question because the other is padding only; 0 if both must be asked about.
inline Node only_child(const PassLayout& layout, Node node) noexcept {
  const Node left = left_child(node);
  const Node right = right_sibling(left);
  if (!layout.has(left)) return right;
  return layout.has(right) ? 0 : left;
}

/// All of a key.
struct KeyLayout {
  KeyLayout(const ReconciliationSetup& setup);

  /// 1024 words, the random subset of confirmation `number` in `frame`.
  [[nodiscard]] const std::uint64_t* subset(std::size_t frame, std::uint32_t number) const noexcept { return random.data() + shift[frame] + number; }
  [[nodiscard]] const FrameLayout& of(std::size_t frame) const noexcept { return frame + 1 == frames ? last : full; }

  std::size_t key_bits;
  std::size_t frames;
  BlockExponents exponents;
  FrameLayout full;
  FrameLayout last;
  std::vector<std::uint64_t> random;
  std::vector<std::uint16_t> shift;
};

/// invalid_argument for a set-up that no key can have.
Result<void> check_setup(const ReconciliationSetup& setup, std::size_t key_octets);

}  // namespace qanat::qkd::cascade
