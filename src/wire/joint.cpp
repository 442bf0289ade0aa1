#include "wire/joint.hpp"

#include <algorithm>

#include "base/check.hpp"
#include "crypto/kdf.hpp"

namespace qanat::wire {
namespace {

constexpr Bytes::value_type of_leaf = 0;
constexpr Bytes::value_type of_node = 1;
constexpr std::size_t place_and_depth = 2;

Bytes node_over(const crypto::Suite& suite, ByteView left, ByteView right) { return crypto::digest(suite.hash, {ByteView(&of_node, 1), left, right}); }

Bytes with_depth(std::size_t depth, ByteView root) {
  Bytes out{static_cast<Bytes::value_type>(depth)};
  append(out, root);
  return out;
}

}  // namespace

Bytes joint_leaf(const crypto::Suite& suite, ByteView tbs) { return crypto::digest(suite.hash, {ByteView(&of_leaf, 1), tbs}); }

JointTree::JointTree(const crypto::Suite& suite, std::vector<Bytes> leaves) {
  CHECK(leaves.size() >= 2 && leaves.size() <= joint_messages_max);
  std::size_t places = 2;
  while (places < leaves.size()) places *= 2;
  leaves.resize(places, joint_leaf(suite, {}));
  levels_.push_back(std::move(leaves));
  while (levels_.back().size() > 1) {
    const std::vector<Bytes>& below = levels_.back();
    std::vector<Bytes> level;
    for (std::size_t i = 0; i < below.size(); i += 2) level.push_back(node_over(suite, below[i], below[i + 1]));
    levels_.push_back(std::move(level));
  }
}

Bytes JointTree::signed_root() const { return with_depth(levels_.size() - 1, levels_.back().front()); }

Bytes JointTree::path(std::size_t place) const {
  CHECK(place < levels_.front().size());
  Bytes out{static_cast<Bytes::value_type>(place), static_cast<Bytes::value_type>(levels_.size() - 1)};
  for (std::size_t level = 0; level + 1 < levels_.size(); ++level) append(out, levels_[level][(place >> level) ^ 1U]);
  return out;
}

Result<void> check_joint_path(const crypto::Suite& suite, ByteView path) {
  if (path.size() < place_and_depth) return fail(ErrorCode::invalid_argument, "joint signature: no place and depth");
  const std::size_t depth = path[1];
  if (depth == 0 || depth > joint_depth_max) return fail(ErrorCode::invalid_argument, "joint signature: depth " + std::to_string(depth));
  if (path[0] >> depth != 0) return fail(ErrorCode::invalid_argument, "joint signature: place " + std::to_string(path[0]) + " at depth " + std::to_string(depth));
  const std::size_t wanted = place_and_depth + depth * suite.digest;
  if (path.size() == wanted) return {};
  return fail(ErrorCode::invalid_argument, "joint signature: " + std::to_string(path.size()) + " octets of path where " + std::to_string(wanted) + " belong");
}

Bytes joint_root(const crypto::Suite& suite, Bytes leaf, ByteView path) {
  CHECK(check_joint_path(suite, path).has_value());
  const std::size_t place = path[0];
  const std::size_t depth = path[1];
  for (std::size_t level = 0; level < depth; ++level) {
    const ByteView other = path.subspan(place_and_depth + level * suite.digest, suite.digest);
    leaf = ((place >> level) & 1U) == 0 ? node_over(suite, leaf, other) : node_over(suite, other, leaf);
  }
  return with_depth(depth, leaf);
}

}  // namespace qanat::wire
