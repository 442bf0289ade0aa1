// The Merkle tree over the audit log's lines (RFC 9162 §2.1, SHA-256): roots, inclusion and consistency proofs and their verifiers. No I/O.
// A leaf is SHA-256(00 ‖ line without LF), a node SHA-256(01 ‖ left ‖ right).
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace qanat::audit {

inline constexpr std::size_t tree_hash_octets = 32;
using TreeHash = std::array<std::uint8_t, tree_hash_octets>;

/// A proof never has more hashes: trees have at most 2^63 leaves.
inline constexpr std::size_t proof_hashes_max = 63;

/// Of a line without its LF.
TreeHash leaf_hash(std::string_view line);
TreeHash node_hash(const TreeHash& left, const TreeHash& right);
/// SHA-256 of nothing.
TreeHash empty_root();
/// invalid_argument unless there are 32 octets.
Result<TreeHash> tree_hash(ByteView octets);

/// What a log says of itself at one size.
struct TreeHead {
  std::uint64_t size = 0;
  TreeHash root{};
  bool operator==(const TreeHead&) const = default;
};

/// The hash over the complete subtree of 2^level leaves that starts at leaf index · 2^level.
using SubtreeReader = std::function<Result<TreeHash>(unsigned level, std::uint64_t index)>;

/// Leaves and all complete subtrees over them, in memory: what an auditor reads a whole log into.
class LeafTree {
 public:
  void append(const TreeHash& leaf);
  [[nodiscard]] std::uint64_t size() const noexcept { return levels_.empty() ? 0 : levels_.front().size(); }
  /// Reads this tree, which must outlive the reader; not_found for a subtree that is not complete.
  [[nodiscard]] SubtreeReader reader() const;

 private:
  std::vector<std::vector<TreeHash>> levels_;
};

/// The root at `size`.
Result<TreeHash> root_at(std::uint64_t size, const SubtreeReader& read);
/// RFC 9162 §2.1.3.1. invalid_argument unless index < size.
Result<std::vector<TreeHash>> prove_inclusion(std::uint64_t index, std::uint64_t size, const SubtreeReader& read);
/// RFC 9162 §2.1.4.1. Empty if old_size is 0 or size; invalid_argument if old_size > size.
Result<std::vector<TreeHash>> prove_consistency(std::uint64_t old_size, std::uint64_t size, const SubtreeReader& read);

/// RFC 9162 §2.1.3.2: `denied` unless the leaf stands at `index` in the tree.
Result<void> verify_inclusion(const TreeHash& leaf, std::uint64_t index, const std::vector<TreeHash>& proof, const TreeHead& tree);
/// RFC 9162 §2.1.4.2: `denied` unless the tree begins with the old one. An empty old tree is consistent with every tree.
Result<void> verify_consistency(const TreeHead& old, const std::vector<TreeHash>& proof, const TreeHead& tree);

}  // namespace qanat::audit
