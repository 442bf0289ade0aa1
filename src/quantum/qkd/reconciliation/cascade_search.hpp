// Searches for one error by halves, many at a time: what both ends do with them. They are kept in lists by how far they are, so that all of a list
// take the same step without a branch, and both ends move them from list to list alike; that order is the order of the bits on the line.
#pragma once

#include <new>
#include <utility>

#include "quantum/qkd/reconciliation/cascade_tree.hpp"

namespace qanat::qkd::cascade::inline QANAT_CASCADE_PROCESSOR {

/// Where a search is. With it go parities of the levels below, because a line of the tree would have to be fetched anew for every message.
struct Search {
  std::uint64_t parities = 0;  // by number, as if `node` were number 1
  std::uint16_t frame = 0;
  std::uint16_t node = 0;  // whose left half is asked about, or where the parities were taken
  std::uint8_t at = 1;     // number of the node whose left half is asked about
  std::uint8_t pass = 0;
  std::uint8_t level = 0;  // of a fresh search: the node is over 2^level bits; 0: it is a wide one

  /// The node with a number.
  [[nodiscard]] Node below(unsigned number) const noexcept {
    const auto depth = static_cast<unsigned>(std::bit_width(number)) - 1;
    return ((Node{node} >> 6 << depth) + number - (1U << depth)) << 6 | (node & 63U);
  }
};

/// The parities in a search are key material: they lie in a secret's memory, which is locked, wiped, and kept for the next block.
template <class T>
struct SecretAllocator {
  using value_type = T;
  SecretAllocator() = default;
  template <class U>
  explicit SecretAllocator(const SecretAllocator<U>& /*other*/) noexcept {}
  /// The secret itself stands in front of what it holds.
  static constexpr std::size_t front = 32;
  static_assert(sizeof(Secret) <= front && alignof(T) <= front);
  T* allocate(std::size_t count) {
    Secret memory(front + count * sizeof(T));
    std::uint8_t* octets = memory.writable().data();
    new (octets) Secret(std::move(memory));
    return reinterpret_cast<T*>(octets + front);
  }
  void deallocate(T* elements, std::size_t /*count*/) noexcept {
    auto* memory = std::launder(reinterpret_cast<Secret*>(reinterpret_cast<std::uint8_t*>(elements) - front));
    const Secret last = std::move(*memory);
  }
  bool operator==(const SecretAllocator&) const = default;
};
using SearchList = std::vector<Search, SecretAllocator<Search>>;

/// Parities are taken along at the start, and anew on the way from the top of a subtree at this level: from here on they reach down to the bits.
inline constexpr unsigned taken_again_level = 6;
static_assert(taken_again_level - 1 <= levels_below && subtree_exponent - taken_again_level <= levels_below);

/// All searches in pieces.
struct SearchLists {
  std::array<SearchList, subtree_exponent + 1> at_level;  // asked about is the left half of a node over 2^level bits; the first list stays empty
  SearchList wide;                                        // above the subtrees, or in the padded frame, where a step may pass over levels
  SearchList fresh;                                       // started with the last message, in its order

  [[nodiscard]] std::size_t going() const noexcept {
    std::size_t count = wide.size();
    for (const SearchList& list : at_level) count += list.size();
    return count;
  }
  [[nodiscard]] bool empty() const noexcept { return going() == 0 && fresh.empty(); }
};

inline constexpr std::size_t run_max = 64;  // searches whose bits fill a word

/// Calls work(first, count) for stretches of at most run_max.
template <class Work>
void for_runs(SearchList& list, Work&& work) {
  for (std::size_t first = 0; first < list.size(); first += run_max) {
    work(list.data() + first, static_cast<unsigned>(std::min(run_max, list.size() - first)));
  }
}
/// How many fresh searches from `first` on, at most `limit` and run_max, are at the same level. A wide one stands alone.
inline unsigned same_level(const SearchList& list, std::size_t first, std::size_t limit) noexcept {
  const std::size_t end = std::min({list.size(), first + limit, first + (list[first].level == 0 ? 1 : run_max)});
  std::size_t at = first + 1;
  while (at < end && list[at].level == list[first].level) ++at;
  return static_cast<unsigned>(at - first);
}

/// Parities of the left halves, the first search's as the lowest bit. At levels 2 to 8.
inline std::uint64_t left_parities(const Search* run, unsigned count) noexcept {
  std::uint64_t parities = 0;
  for (unsigned i = 0; i < count; ++i) parities |= (run[i].parities >> (2U * run[i].at & 63U) & 1U) << i;
  return parities;
}
/// Each to its left half if its bit says that it differs, else to the right one.
inline void walk(Search* run, unsigned count, std::uint64_t differs) noexcept {
  for (unsigned i = 0; i < count; ++i) run[i].at = static_cast<std::uint8_t>(2U * run[i].at + 1U - (differs >> i & 1U));
}

/// One end's key and its trees.
template <class Tree>
class SearchGround {
 public:
  SearchGround() = default;
  SearchGround(const KeyLayout& layout, std::uint64_t* bits, std::uint64_t* trees) noexcept : layout_(&layout), bits_(bits), trees_(trees) {}

  [[nodiscard]] std::uint64_t* bits(std::size_t frame) const noexcept { return bits_ + frame * frame_words; }
  [[nodiscard]] std::uint64_t* tree_memory(std::size_t frame, std::size_t pass) const noexcept { return trees_ + (frame * passes + pass) * Tree::words; }
  [[nodiscard]] Tree tree(std::size_t frame, std::size_t pass) const noexcept { return Tree(tree_memory(frame, pass)); }

  /// A search that starts at a node; the line over it was fetched.
  [[nodiscard]] Search start(std::size_t frame, std::uint8_t pass, Node node) const noexcept {
    Search search{.frame = static_cast<std::uint16_t>(frame), .node = static_cast<std::uint16_t>(node), .pass = pass};
    const unsigned level = level_of(node);
    if (level > subtree_exponent || layout_->of(frame).padded) return search;
    search.level = static_cast<std::uint8_t>(level);
    if (level > 1) search.parities = tree(frame, pass).below(node);
    return search;
  }

  /// Parities of the left halves at any level that has a list.
  [[nodiscard]] std::uint64_t own_parities(unsigned level, const Search* run, unsigned count) const noexcept {
    return level == 1 ? left_bits(run, count) : left_parities(run, count);
  }

  /// What is done to searches that have come down to a level.
  void arrive(unsigned level, Search* run, unsigned count) const noexcept {
    if (level != 1 && level != taken_again_level) return;
    for (unsigned i = 0; i < count; ++i) {
      run[i].node = static_cast<std::uint16_t>(run[i].below(run[i].at));
      run[i].at = 1;
    }
    if (level == 1) return;
    for (unsigned i = 0; i < count; ++i) tree(run[i].frame, run[i].pass).prefetch(run[i].node);
    for (unsigned i = 0; i < count; ++i) run[i].parities = tree(run[i].frame, run[i].pass).below(run[i].node);
  }

  /// A wide search has come to a node above the bits: into the list where it goes on.
  void put_wide(SearchLists& lists, std::size_t& kept, Search search, Node node) const {
    search.node = static_cast<std::uint16_t>(node);
    if (node < subtree_roots || layout_->of(search.frame).padded) {
      lists.wide[kept++] = search;
    } else {
      search.parities = tree(search.frame, search.pass).below(node);
      lists.at_level[subtree_exponent].push_back(search);
    }
  }

  /// Fresh searches of one level that took a step go where the others of their new level are.
  void join(SearchLists& lists, unsigned level, const Search* run, unsigned count) const {
    SearchList& list = lists.at_level[level];
    const std::size_t before = list.size();
    list.insert(list.end(), run, run + count);
    arrive(level, list.data() + before, count);
  }

 private:
  /// At level 1 the left half is a bit of the key: all of a run are fetched before the first is read.
  [[nodiscard]] std::uint64_t left_bits(const Search* run, unsigned count) const noexcept {
    std::array<const std::uint64_t*, run_max> words;
    std::array<std::uint8_t, run_max> bit;
    for (unsigned i = 0; i < count; ++i) {
      const BitPlace place = place_of(layout_->of(run[i].frame).pass[run[i].pass], left_child(run[i].node));
      words[i] = bits(run[i].frame) + place.word;
      bit[i] = static_cast<std::uint8_t>(place.bit);
      __builtin_prefetch(words[i], 1);
    }
    std::uint64_t parities = 0;
    for (unsigned i = 0; i < count; ++i) parities |= (*words[i] >> bit[i] & 1U) << i;
    return parities;
  }

  const KeyLayout* layout_ = nullptr;
  std::uint64_t* bits_ = nullptr;
  std::uint64_t* trees_ = nullptr;
};

/// The left half of a wide search's node is a bit or has a parity.
template <class Tree>
bool wide_parity(const SearchGround<Tree>& ground, const FrameLayout& layout, const Search& search) noexcept {
  const Node left = left_child(search.node);
  if (left < leaf_first) return ground.tree(search.frame, search.pass).parity(left);
  const BitPlace place = place_of(layout.pass[search.pass], left);
  return (ground.bits(search.frame)[place.word] >> place.bit & 1U) != 0;
}
/// Where a wide search walks to: past halves that are padding only.
inline Node wide_step(const FrameLayout& layout, const Search& search, bool right) noexcept {
  const PassLayout& pass = layout.pass[search.pass];
  Node node = left_child(search.node);
  if (right) node = right_sibling(node);
  if (layout.padded) {
    for (Node only = 0; node < leaf_first && (only = only_child(pass, node)) != 0;) node = only;
  }
  return node;
}

}  // namespace qanat::qkd::cascade::inline QANAT_CASCADE_PROCESSOR
