// The trees of a pass while Bob searches: parities, and on his side which of them are known and which differ. Held by subtrees over 256 bits, one
// cache line each, so that a search and the way from a bit up to its block touch one line, two at most: the trees of all frames do not fit into a
// cache, and that is what costs time.
#pragma once

#include <algorithm>

#include "quantum/qkd/reconciliation/cascade_frames.hpp"

/// What walks these trees is compiled once for any processor and once more in cascade_ends_bmi.cpp: this is the namespace that keeps the two apart.
#if !defined(QANAT_CASCADE_PROCESSOR)
#define QANAT_CASCADE_PROCESSOR any_processor
#endif

namespace qanat::qkd::cascade::inline QANAT_CASCADE_PROCESSOR {

/// A subtree over 256 bits of one lane: its root is number 1, the children of number i are 2i and 2i+1, from 256 on they are bits. Its line holds
/// by number the parities, then, Bob's, "both halves are known". What is above lies behind the 256 subtrees in one more line, as in the plain tree.
inline constexpr unsigned subtree_exponent = 8;
inline constexpr Node subtree_roots = first_top(subtree_exponent);

struct SubtreePlace {
  explicit SubtreePlace(Node node) noexcept {
    const Node h = node >> 6;
    const auto depth = static_cast<unsigned>(std::bit_width(h)) - 3;
    line = ((h >> depth) - 4) * 64 + (node & 63U);
    number = (1U << depth) | (h & ((1U << depth) - 1U));
  }
  std::size_t line;
  unsigned number;
};

/// The levels whose parities a search takes along at once.
inline constexpr unsigned levels_below = 5;
/// Their parities below the node with a number, by number as if that node were number 1. Below the bits they mean nothing.
inline std::uint64_t parities_below(const std::uint64_t* line, unsigned number) noexcept {
  std::uint64_t parities = 0;
  for (unsigned level = 1; level <= levels_below; ++level) {
    const unsigned first = number << level;
    const std::uint64_t those = line[first / 64 % 4] >> (first % 64) & ((std::uint64_t{1} << (1U << level)) - 1);
    parities |= those << (1U << level);
  }
  return parities;
}

/// Plain tree words of two subtree roots (4..7), or of one in two trees, into lines of eight words by lane.
using SubtreeLines = std::array<std::array<std::uint64_t, 8>, 64>;
inline void gather_lines(const Kernels& with, const std::uint64_t* first, std::size_t first_root, const std::uint64_t* second, std::size_t second_root,
                         SubtreeLines& lines) {
  lines[0][0] = 0;
  lines[0][4] = 0;
  for (std::size_t top = 1; top < 64; top *= 2) {
    for (std::size_t number = top; number < 2 * top; ++number) {
      lines[number][0] = first[number + (first_root - 1) * top];
      lines[number][4] = second[number + (second_root - 1) * top];
    }
  }
  for (std::size_t i = 0; i < 64; ++i) {
    lines[i][1] = first[first_root * 64 + i];
    lines[i][2] = first[first_root * 128 + i];
    lines[i][3] = first[first_root * 128 + 64 + i];
    lines[i][5] = second[second_root * 64 + i];
    lines[i][6] = second[second_root * 128 + i];
    lines[i][7] = second[second_root * 128 + 64 + i];
  }
  with.transpose(lines);
}

/// Alice's: parities only.
class ParityTree {
 public:
  static constexpr std::size_t words = 256 * 4 + 8;
  explicit ParityTree(std::uint64_t* memory) noexcept : words_(memory) {}

  [[nodiscard]] bool parity(Node node) const noexcept {
    if (node < subtree_roots) return tree_bit(words_ + upper_at, node);
    const SubtreePlace place(node);
    return (words_[place.line * 4 + place.number / 64] >> (place.number % 64) & 1U) != 0;
  }
  /// Parities of the levels below a node that is in a subtree.
  [[nodiscard]] std::uint64_t below(Node node) const noexcept {
    const SubtreePlace place(node);
    return parities_below(words_ + place.line * 4, place.number);
  }
  void prefetch(Node node) const noexcept {
    if (node >= subtree_roots) __builtin_prefetch(words_ + SubtreePlace(node).line * 4);
  }
  void fill(const Kernels& with, const std::uint64_t* plain) noexcept {
    SubtreeLines lines;
    for (std::size_t root = 4; root < 8; root += 2) {
      gather_lines(with, plain, root, plain, root + 1, lines);
      std::uint64_t* to = words_ + (root - 4) * 64 * 4;
      for (std::size_t lane = 0; lane < 64; ++lane) {
        std::copy_n(lines.at(lane).data(), 4, to + lane * 4);
        std::copy_n(lines.at(lane).data() + 4, 4, to + (64 + lane) * 4);
      }
    }
    std::copy_n(plain, 4, words_ + upper_at);
    wipe({reinterpret_cast<std::uint8_t*>(&lines), sizeof(lines)});
  }

 private:
  static constexpr std::size_t upper_at = 256 * 4;
  std::uint64_t* words_;
};

/// Bob's.
class SearchTree {
 public:
  static constexpr std::size_t subtree_words = 8;
  static constexpr std::size_t upper_at = subtree_roots * subtree_words;
  static constexpr std::size_t words = upper_at + subtree_words;
  explicit SearchTree(std::uint64_t* memory) noexcept : words_(memory) {}

  /// Bob's parity while Alice's is not known; then whether the two differ.
  [[nodiscard]] bool parity(Node node) const noexcept { return (word(node)[0] & bit(node)) != 0; }
  [[nodiscard]] bool known_below(Node node) const noexcept { return (word(node)[known] & bit(node)) != 0; }
  /// It differs, and no search has started from it.
  [[nodiscard]] bool searchable(Node node) const noexcept {
    const std::uint64_t* at = word(node);
    return (at[0] & ~at[known] & bit(node)) != 0;
  }
  void set_even(Node node) noexcept { word(node)[0] &= ~bit(node); }
  void set_known_below(Node node) noexcept { word(node)[known] |= bit(node); }
  void prefetch(Node node) const noexcept { __builtin_prefetch(word(node), 1); }
  /// The line over a bit, which is about to be changed.
  void prefetch_above(std::uint32_t place, std::uint32_t lane) const noexcept { __builtin_prefetch(subtree(place, lane), 1); }

  /// Parities of the levels below a node that is in a subtree.
  [[nodiscard]] std::uint64_t below(Node node) const noexcept {
    const SubtreePlace place(node);
    return parities_below(words_ + place.line * subtree_words, place.number);
  }

  /// From a plain tree; nothing is known below.
  void fill(const Kernels& with, const std::uint64_t* plain) noexcept {
    SubtreeLines lines;
    for (std::size_t root = 4; root < 8; root += 2) {
      gather_lines(with, plain, root, plain, root + 1, lines);
      for (std::size_t half = 0; half < 2; ++half) {
        std::uint64_t* to = words_ + (root - 4 + half) * 64 * subtree_words;
        for (std::size_t lane = 0; lane < 64; ++lane, to += subtree_words) {
          std::copy_n(lines[lane].data() + 4 * half, 4, to);
          std::fill_n(to + known, 4, 0);
        }
      }
    }
    std::copy_n(plain, 4, words_ + upper_at);
    std::fill_n(words_ + upper_at + known, 4, 0);
    wipe({reinterpret_cast<std::uint8_t*>(&lines), sizeof(lines)});
  }
  /// From a plain tree and plain words of "known below".
  void fill(const Kernels& with, const std::uint64_t* plain, const std::uint64_t* plain_known) noexcept {
    SubtreeLines lines;
    for (std::size_t root = 4; root < 8; ++root) {
      gather_lines(with, plain, root, plain_known, root, lines);
      std::memcpy(words_ + (root - 4) * 64 * subtree_words, lines.data(), sizeof(lines));
    }
    std::copy_n(plain, 4, words_ + upper_at);
    std::copy_n(plain_known, 4, words_ + upper_at + known);
    wipe({reinterpret_cast<std::uint8_t*>(&lines), sizeof(lines)});
  }

  /// The search that began at the first node above the bit that is known below ended in the bit: everything on the way is known, and even once the
  /// bit is flipped; what is above changes. `exponent`: of the pass's blocks.
  void settle_search(std::uint32_t place, std::uint32_t lane, unsigned exponent) noexcept {
    std::uint64_t* line = subtree(place, lane);
    const Way up(place, exponent);
    const std::uint64_t known_0 = line[known] & up.rest;
    // The same steps for all, because branches would often be foreseen wrongly.
    const std::uint64_t unknown_2 = (line[known + up.last_word] & up.last) == 0 ? ~std::uint64_t{0} : 0;
    const std::uint64_t unknown_1 = (line[known + 1] & up.second) == 0 ? unknown_2 : 0;
    settle_word(line + up.last_word, up.last, unknown_2);
    settle_word(line + 1, up.second, unknown_1);
    settle_word(line, up.rest, known_0 == 0 ? unknown_1 : unknown_1 & ~(~std::uint64_t{0} >> std::countl_zero(known_0)));
    if (exponent > subtree_exponent) settle_upper(place, lane, exponent, known_0 == 0 && unknown_1 != 0);
  }

  /// The bit was flipped by another pass: everything above it changes. The smallest known piece that holds it if that is odd now; otherwise,
  /// or if the bit itself is known, 0.
  Node flip_above(std::uint32_t place, std::uint32_t lane, unsigned exponent) noexcept {
    std::uint64_t* line = subtree(place, lane);
    const Way up(place, exponent);
    line[up.last_word] ^= up.last;
    line[1] ^= up.second;
    line[0] ^= up.rest;
    const unsigned known_last = (line[known + up.last_word] & up.last) != 0 ? 1 : 0;
    const unsigned known_second = (line[known + 1] & up.second) != 0 ? 1 : 0;
    if (exponent > subtree_exponent) return flip_upper(place, lane, exponent, line[known] & up.rest, known_second + known_last);
    // Known are the nodes of the way from the block down to some node. The lowest in word 0 says how many those are; in front of the first
    // stands one that none of them is. The same steps for all, because branches would often be foreseen wrongly.
    const unsigned depth = subtree_exponent - exponent;
    const std::uint64_t known_0 = (line[known] & up.rest) | std::uint64_t{1} << ((1U << depth) - 1);
    const unsigned lowest = 63U - static_cast<unsigned>(std::countl_zero(known_0));
    const unsigned size = exponent + depth - static_cast<unsigned>(std::bit_width(lowest)) - known_second - known_last;  // of the piece: 2^size bits
    const unsigned number = (256U | (place & 255U)) >> size;
    const std::uint64_t odd = size == 0 ? 0 : line[number / 64] >> (number % 64) & 1U;
    return (((Node{frame_words} + place) >> size) << 6 | lane) & (Node{0} - static_cast<Node>(odd));
  }

 private:
  static constexpr std::size_t known = 4;  // words behind the parities

  /// The nodes of a block above a bit, within the subtree's line: by number the first is in word 2 or 3, the second in word 1, the rest in word 0.
  struct Way {
    Way(std::uint32_t place, unsigned exponent) noexcept
        : last_word(2 + (place >> 7 & 1U)),
          last(std::uint64_t{1} << (place >> 1 & 63U)),
          second(std::uint64_t{1} << (place >> 2 & 63U)),
          rest(ways_up[place >> 3 & 31U] & ~std::uint64_t{0} << (exponent < subtree_exponent ? 1U << (subtree_exponent - exponent) : 1U)) {}
    std::size_t last_word;
    std::uint64_t last;
    std::uint64_t second;
    std::uint64_t rest;
  };
  static constexpr std::array<std::uint64_t, 32> ways_up = [] {
    std::array<std::uint64_t, 32> ways{};
    for (std::size_t i = 0; i < 32; ++i) {
      for (std::size_t number = 32 + i; number > 0; number /= 2) ways[i] |= std::uint64_t{1} << number;
    }
    return ways;
  }();

  /// `unknown`: of the nodes `way` those that were not known are among these.
  static void settle_word(std::uint64_t* parities, std::uint64_t way, std::uint64_t unknown) noexcept {
    const std::uint64_t searched = way & unknown;
    constexpr std::uint64_t lefts = 0x5555555555555555ULL;
    const std::uint64_t siblings = (searched & lefts) << 1 | (searched >> 1 & lefts);
    parities[0] = (parities[0] ^ (way & ~unknown)) & ~(searched | siblings);
    parities[known] |= searched;
  }
  void settle_upper(std::uint32_t place, std::uint32_t lane, unsigned exponent, bool searched) noexcept {
    for (unsigned level = subtree_exponent; level < exponent; ++level) {
      if (searched) set_even(sibling(above(place, lane, level - 1)));
      const Node node = above(place, lane, level);
      searched = searched && level + 1 < exponent && !known_below(node);
      if (searched) {
        set_even(node);
        set_known_below(node);
      } else {
        word(node)[0] ^= bit(node);
      }
    }
  }

  /// The part of flip_above() above the subtree, and the piece. `known_0`: of the way's nodes in word 0 those known; `known_lower`: how many below them.
  Node flip_upper(std::uint32_t place, std::uint32_t lane, unsigned exponent, std::uint64_t known_0, unsigned known_lower) noexcept {
    for (unsigned level = subtree_exponent; level < exponent; ++level) {
      const Node node = above(place, lane, level);
      word(node)[0] ^= bit(node);
    }
    if (known_lower == 2) return 0;
    unsigned level = 0;  // of the piece: right below the lowest known node
    if (known_lower == 0) {
      if (known_0 != 0) {
        level = static_cast<unsigned>(7 - std::bit_width(63U - static_cast<unsigned>(std::countl_zero(known_0))));
      } else {
        level = subtree_exponent - 1;
        while (level + 1 < exponent && !known_below(above(place, lane, level + 1))) ++level;
      }
    }
    const Node piece = above(place, lane, level);
    return parity(piece) ? piece : 0;
  }

  /// The node `level` levels above the first one over the bit.
  static Node above(std::uint32_t place, std::uint32_t lane, unsigned level) noexcept {
    return level < 10 ? ((Node{frame_words} + place) >> (level + 1)) << 6 | lane : (64 + lane) >> (level - 9);
  }
  static Node sibling(Node node) noexcept { return node < 128 ? node ^ 1U : node ^ 64U; }
  [[nodiscard]] std::uint64_t* subtree(std::uint32_t place, std::uint32_t lane) const noexcept { return words_ + ((place >> 8) * 64 + lane) * subtree_words; }
  [[nodiscard]] std::uint64_t* word(Node node) const noexcept {
    if (node < subtree_roots) return words_ + upper_at + (node >> 6);
    const SubtreePlace place(node);
    return words_ + place.line * subtree_words + place.number / 64;
  }
  static std::uint64_t bit(Node node) noexcept { return std::uint64_t{1} << ((node < subtree_roots ? node : SubtreePlace(node).number) & 63U); }
  std::uint64_t* words_;
};

}  // namespace qanat::qkd::cascade::inline QANAT_CASCADE_PROCESSOR
