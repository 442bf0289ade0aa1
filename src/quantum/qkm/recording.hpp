// Key events into the audit record.
#pragma once

#include "node/node.hpp"
#include "quantum/qkm/relay_node.hpp"

namespace qanat::qkm {

/// Durable when it returns. One record per event, however many keys it names.
Result<void> record_together(node::Node& node, std::span<const KeyEvent> events);

}  // namespace qanat::qkm
