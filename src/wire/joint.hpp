// One signature over several messages of one signer: each goes out with its path to the root that was signed (docs/protocol/joint.md, a design of this project).
#pragma once

#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "crypto/suite.hpp"

namespace qanat::wire {

inline constexpr std::size_t joint_depth_max = 6;
inline constexpr std::size_t joint_messages_max = std::size_t{1} << joint_depth_max;

/// A message's leaf; `tbs` is what it would be signed as by itself.
Bytes joint_leaf(const crypto::Suite& suite, ByteView tbs);

/// The hash tree over the messages' leaves, all at the same depth. Places behind the last message have the leaf of no octets, which is no message's.
class JointTree {
 public:
  /// 2 … joint_messages_max leaves of joint_leaf.
  JointTree(const crypto::Suite& suite, std::vector<Bytes> leaves);

  /// What the one signature is made over, in place of a message (joint_tbs in signed.hpp): u8 depth ‖ root[dg].
  [[nodiscard]] Bytes signed_root() const;
  /// What goes out behind the signature block of the message at `place`: u8 place ‖ u8 depth ‖ depth × node[dg], the lowest first.
  [[nodiscard]] Bytes path(std::size_t place) const;

 private:
  std::vector<std::vector<Bytes>> levels_;  // leaves first, root last
};

/// Grammar of a path alone.
Result<void> check_joint_path(const crypto::Suite& suite, ByteView path);
/// The signed_root() to which a leaf leads by a path of good grammar.
Bytes joint_root(const crypto::Suite& suite, Bytes leaf, ByteView path);

}  // namespace qanat::wire
