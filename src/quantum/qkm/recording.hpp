// Key events into the audit record.
#pragma once

#include "node/node.hpp"
#include "quantum/qkm/relay_node.hpp"

namespace qanat::qkm {

/// Durable when it returns. One record per event, however many keys it names.
Result<void> record_together(node::Node& node, std::span<const KeyEvent> events);
/// The answer, once its refusal is on record; what succeeded is not recorded: it is no deed, or stands under its keys' own events.
Result<net::Response> refusal_recorded(node::Node& node, std::string_view action, const net::Request& request, std::string_view object,
                                       Result<net::Response> answer);

}  // namespace qanat::qkm
