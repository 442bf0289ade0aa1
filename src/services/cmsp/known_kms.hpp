// Which KMS calls.
#pragma once

#include "base/id.hpp"
#include "node/node.hpp"

namespace qanat::cmsp {

/// The caller's name if it is the KMS that this network knows by that name: another domain's might bear the same.
inline Result<ElementName> known_kms(const node::Node& node, const Identity& caller) {
  const auto peer = node.settings().peers.find(caller.name);
  if (peer == node.settings().peers.end() || peer->second.expected != caller) return fail(ErrorCode::denied, caller.uri() + " is no KMS of this network");
  return ElementName(caller.name);
}

}  // namespace qanat::cmsp
