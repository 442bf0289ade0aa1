#include "audit/merkle.hpp"

#include <algorithm>
#include <bit>
#include <string>

#include "crypto/kdf.hpp"

namespace qanat::audit {
namespace {

constexpr std::array<std::uint8_t, 1> leaf_prefix{0x00};
constexpr std::array<std::uint8_t, 1> node_prefix{0x01};

TreeHash sha256(std::initializer_list<ByteView> parts) {
  const Bytes octets = crypto::digest(crypto::Hash::sha256, parts);
  TreeHash out;
  std::ranges::copy(octets, out.begin());
  return out;
}

/// The largest power of two below `count`, for count > 1: where RFC 9162 §2.1.1 splits.
constexpr std::uint64_t split(std::uint64_t count) noexcept { return std::bit_floor(count - 1); }

/// MTH(D[begin : begin + count]); begin is a multiple of the largest power of two in count, as every range here is.
Result<TreeHash> range_hash(std::uint64_t begin, std::uint64_t count, const SubtreeReader& read) {
  if (std::has_single_bit(count)) {
    const auto level = static_cast<unsigned>(std::countr_zero(count));
    return read(level, begin >> level);
  }
  const std::uint64_t left = split(count);
  ASSIGN_OR_RETURN(const TreeHash left_hash, range_hash(begin, left, read));
  ASSIGN_OR_RETURN(const TreeHash right_hash, range_hash(begin + left, count - left, read));
  return node_hash(left_hash, right_hash);
}

/// Lists are made from the root downwards and turned round at the end.
Result<std::vector<TreeHash>> siblings_of(std::uint64_t index, std::uint64_t size, const SubtreeReader& read) {
  std::vector<TreeHash> out;
  std::uint64_t begin = 0;
  std::uint64_t count = size;
  while (count > 1) {
    const std::uint64_t left = split(count);
    const bool goes_left = index - begin < left;
    ASSIGN_OR_RETURN(const TreeHash sibling, goes_left ? range_hash(begin + left, count - left, read) : range_hash(begin, left, read));
    out.push_back(sibling);
    if (!goes_left) begin += left;
    count = goes_left ? left : count - left;
  }
  std::ranges::reverse(out);
  return out;
}

std::unexpected<Error> not_proved(std::string_view what) { return fail(ErrorCode::denied, "proof: " + std::string(what)); }

}  // namespace

TreeHash leaf_hash(std::string_view line) { return sha256({leaf_prefix, as_bytes(line)}); }
TreeHash node_hash(const TreeHash& left, const TreeHash& right) { return sha256({node_prefix, left, right}); }
TreeHash empty_root() { return sha256({}); }

Result<TreeHash> tree_hash(ByteView octets) {
  if (octets.size() != tree_hash_octets) return fail(ErrorCode::invalid_argument, "tree hash: " + std::to_string(octets.size()) + " octets where 32 belong");
  TreeHash out;
  std::ranges::copy(octets, out.begin());
  return out;
}

void LeafTree::append(const TreeHash& leaf) {
  TreeHash hash = leaf;
  for (std::size_t level = 0;; ++level) {
    if (level == levels_.size()) levels_.emplace_back();
    std::vector<TreeHash>& hashes = levels_[level];
    hashes.push_back(hash);
    if (hashes.size() % 2 != 0) return;
    hash = node_hash(hashes[hashes.size() - 2], hashes.back());
  }
}

SubtreeReader LeafTree::reader() const {
  return [this](unsigned level, std::uint64_t index) -> Result<TreeHash> {
    if (level >= levels_.size() || index >= levels_[level].size()) return fail(ErrorCode::not_found, "the log has no such complete subtree");
    return levels_[level][index];
  };
}

Result<TreeHash> root_at(std::uint64_t size, const SubtreeReader& read) {
  if (size == 0) return empty_root();
  return range_hash(0, size, read);
}

Result<std::vector<TreeHash>> prove_inclusion(std::uint64_t index, std::uint64_t size, const SubtreeReader& read) {
  if (index >= size) return fail(ErrorCode::invalid_argument, "inclusion proof: leaf " + std::to_string(index) + " of a tree of " + std::to_string(size));
  return siblings_of(index, size, read);
}

Result<std::vector<TreeHash>> prove_consistency(std::uint64_t old_size, std::uint64_t size, const SubtreeReader& read) {
  if (old_size > size) return fail(ErrorCode::invalid_argument, "consistency proof: from " + std::to_string(old_size) + " back to " + std::to_string(size));
  std::vector<TreeHash> out;
  if (old_size == 0 || old_size == size) return out;
  // SUBPROOF(m, D_n, b): down the side where the old tree ends, until what is left of it is one whole subtree.
  std::uint64_t begin = 0;
  std::uint64_t count = size;
  std::uint64_t rest = old_size;
  bool whole = true;  // the subtree at hand begins the old tree: its hash is the old root, which the verifier has
  while (rest != count) {
    const std::uint64_t left = split(count);
    const bool goes_left = rest <= left;
    ASSIGN_OR_RETURN(const TreeHash other, goes_left ? range_hash(begin + left, count - left, read) : range_hash(begin, left, read));
    out.push_back(other);
    if (goes_left) {
      count = left;
    } else {
      begin += left;
      count -= left;
      rest -= left;
      whole = false;
    }
  }
  if (!whole) {
    ASSIGN_OR_RETURN(const TreeHash last, range_hash(begin, count, read));
    out.push_back(last);
  }
  std::ranges::reverse(out);
  return out;
}

Result<void> verify_inclusion(const TreeHash& leaf, std::uint64_t index, const std::vector<TreeHash>& proof, const TreeHead& tree) {
  if (index >= tree.size) return not_proved("the leaf's index is not below the size of the tree");
  std::uint64_t fn = index;
  std::uint64_t sn = tree.size - 1;
  TreeHash r = leaf;
  for (const TreeHash& p : proof) {
    if (sn == 0) return not_proved("more hashes than the tree has levels");
    if ((fn & 1U) != 0 || fn == sn) {
      r = node_hash(p, r);
      while ((fn & 1U) == 0 && fn != 0) {
        fn >>= 1U;
        sn >>= 1U;
      }
    } else {
      r = node_hash(r, p);
    }
    fn >>= 1U;
    sn >>= 1U;
  }
  if (sn != 0) return not_proved("fewer hashes than the tree has levels");
  if (r != tree.root) return not_proved("leads to another root");
  return {};
}

Result<void> verify_consistency(const TreeHead& old, const std::vector<TreeHash>& proof, const TreeHead& tree) {
  if (old.size > tree.size) return not_proved("the older tree is the larger one");
  if (old.size == 0) {
    if (old.root != empty_root()) return not_proved("an empty tree with a root of its own");
    return proof.empty() ? Result<void>{} : not_proved("hashes where none belong");
  }
  if (old.size == tree.size) {
    if (!proof.empty()) return not_proved("hashes where none belong");
    return old.root == tree.root ? Result<void>{} : not_proved("two roots of one size");
  }
  std::vector<TreeHash> path;
  path.reserve(proof.size() + 1);
  if (std::has_single_bit(old.size)) path.push_back(old.root);
  path.insert(path.end(), proof.begin(), proof.end());
  if (path.empty()) return not_proved("empty");
  std::uint64_t fn = old.size - 1;
  std::uint64_t sn = tree.size - 1;
  while ((fn & 1U) != 0) {
    fn >>= 1U;
    sn >>= 1U;
  }
  TreeHash fr = path.front();
  TreeHash sr = path.front();
  for (std::size_t i = 1; i < path.size(); ++i) {
    const TreeHash& c = path[i];
    if (sn == 0) return not_proved("more hashes than the tree has levels");
    if ((fn & 1U) != 0 || fn == sn) {
      fr = node_hash(c, fr);
      sr = node_hash(c, sr);
      while ((fn & 1U) == 0 && fn != 0) {
        fn >>= 1U;
        sn >>= 1U;
      }
    } else {
      sr = node_hash(sr, c);
    }
    fn >>= 1U;
    sn >>= 1U;
  }
  if (sn != 0) return not_proved("fewer hashes than the tree has levels");
  if (fr != old.root) return not_proved("leads to another old root");
  if (sr != tree.root) return not_proved("leads to another root");
  return {};
}

}  // namespace qanat::audit
