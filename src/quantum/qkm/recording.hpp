// Several key events into the audit record at once.
#pragma once

#include "node/node.hpp"
#include "quantum/qkm/relay_node.hpp"

namespace qanat::qkm {

/// Durable when it returns. The log commits in groups what several threads append: that is how a few events cost one or two waits for the
/// disk, not one each.
Result<void> record_together(node::Node& node, std::span<const KeyEvent> events);

}  // namespace qanat::qkm
