// The work on packed bits that Cascade does for every bit of the key: the interleaver, the trees of parities, parities of random subsets, and
// the first pass, which asks about all blocks at once. There is a portable path and one for AVX2 and BMI2; both give the same bits.
#pragma once

#include <span>

#include "quantum/qkd/reconciliation/cascade_layout.hpp"
#include "quantum/qkd/reconciliation/cascade_message.hpp"

namespace qanat::qkd::cascade {

/// The memory of a secret whose size is a multiple of eight octets, as words.
inline std::uint64_t* words_of(Secret& secret) noexcept { return reinterpret_cast<std::uint64_t*>(secret.writable().data()); }

/// Asks the memory for a frame's words, which are soon read in an order that it does not foresee.
inline void fetch_frame(const std::uint64_t* bits) noexcept {
  for (std::size_t w = 0; w < frame_words; w += 8) __builtin_prefetch(bits + w);
}
/// The frame's words in the order of the pass, turned: what is below the tree.
void order_words(const PassLayout& layout, const std::uint64_t* bits, std::uint64_t* ordered);
/// The 1024 words of a pass's tree over a frame's 1024 words.
void build_tree(const PassLayout& layout, const std::uint64_t* bits, std::uint64_t* tree);

/// A frame's bit below a leaf.
struct BitPlace {
  std::uint32_t word;
  std::uint32_t bit;
};
inline BitPlace place_of(const PassLayout& layout, Node leaf) noexcept {
  const std::uint32_t u = (leaf - leaf_first) >> 6;
  return {.word = layout.source[u], .bit = (leaf - layout.turn[u]) & 63U};
}
inline bool tree_bit(const std::uint64_t* tree, Node node) noexcept { return (tree[node >> 6] >> (node & 63U) & 1U) != 0; }
/// Parity of what is below a node, leaves included.
inline bool parity_of(const PassLayout& layout, const std::uint64_t* bits, const std::uint64_t* tree, Node node) noexcept {
  if (node < leaf_first) return tree_bit(tree, node);
  const BitPlace place = place_of(layout, node);
  return (bits[place.word] >> place.bit & 1U) != 0;
}

/// The first pass asks about all of a frame's blocks at once and then halves all that differ, level by level. `level` is the first word of the
/// level that is searched: 1024 / block size at first, 512 at last. `split` holds the differing nodes as the tree would, `words` the parities of
/// the 2 * level nodes below, `below` receives which of those differ.
struct Kernels {
  /// Eight matrices of 64 x 64 bits: row i of matrix c is m[i][c].
  void (*transpose)(std::array<std::array<std::uint64_t, 8>, 64>& m);
  /// The low bits of `value` under the ones of `mask`.
  std::uint64_t (*deposit)(std::uint64_t value, std::uint64_t mask);
  /// The bits of `value` under the ones of `mask`, moved together at the low end.
  std::uint64_t (*extract)(std::uint64_t value, std::uint64_t mask);
  std::uint64_t (*count_ones)(const std::uint64_t* words, std::size_t count);
  bool (*subset_parity)(const std::uint64_t* words, const std::uint64_t* subset, std::size_t count);
  /// Of a frame's 1024 words in the key_confirmations subsets whose words begin at random[0], random[1], ...: the first is the lowest bit.
  std::uint32_t (*window_parities)(const std::uint64_t* words, const std::uint64_t* random);
  void (*put_tops)(const PassLayout& layout, std::size_t level, const std::uint64_t* tree, BitWriter& out);
  /// Bob: reads those, gives which differ in `split` and writes that to `out`.
  void (*take_tops)(const PassLayout& layout, std::size_t level, const std::uint64_t* tree, std::uint64_t* split, BitReader& in, BitWriter& out);
  /// Alice: reads which differ.
  void (*get_tops)(const PassLayout& layout, std::size_t level, std::uint64_t* split, BitReader& in);
  /// Alice: the parities of the left halves, where both halves are present.
  void (*put_halves)(const PassLayout& layout, std::size_t level, const std::uint64_t* words, const std::uint64_t* split, BitWriter& out);
  /// How many those are.
  std::uint64_t (*count_asked)(const PassLayout& layout, std::size_t level, const std::uint64_t* split);
  /// Bob: reads those, gives which nodes below differ and writes whether the left one does.
  void (*take_halves)(const PassLayout& layout, std::size_t level, const std::uint64_t* words, const std::uint64_t* split, std::uint64_t* below, BitReader& in,
                      BitWriter& out);
  /// Alice: reads whether the left halves differ.
  void (*get_halves)(const PassLayout& layout, std::size_t level, const std::uint64_t* split, std::uint64_t* below, BitReader& in);
};

const Kernels& portable_kernels() noexcept;
/// The fastest that this processor has.
const Kernels& kernels() noexcept;
/// x86-64 with AVX2, BMI, LZCNT and POPCNT.
bool has_fast_path() noexcept;

/// Takes the key apart into frames: 64 words that lie far from one another are transposed as a matrix of 64 x 64 bits, so that neighbours in the
/// key get into different words, mostly of different frames. What does not fill a matrix is left as it is. `frames` is zero beforehand.
void spread_key(const Kernels& with, ByteView key, std::size_t key_bits, std::span<std::uint64_t> frames);
/// The inverse.
void gather_key(const Kernels& with, std::span<const std::uint64_t> frames, std::size_t key_bits, std::span<std::uint8_t> key);

}  // namespace qanat::qkd::cascade
