// CSM: what the CMSP's monitor sees of the quantum networks that serve its domains, asked of their controllers (X-8; who may ask is Ia-11).
#pragma once

#include "base/clock.hpp"
#include "node/node.hpp"

namespace qanat::cmsp {

struct QuantumView {
  std::size_t nodes = 0;
  std::size_t nodes_up = 0;
  std::size_t links = 0;  // directions
  std::size_t links_active = 0;
  bool operator==(const QuantumView&) const = default;
};

/// Counts what a controller answered in the names of ETSI GS QKD 015.
Result<QuantumView> read_quantum_view(const wire::Json& answer);
/// Each controller that is a peer of this element, with what it says or why it says nothing.
wire::Json quantum_networks(node::Node& node, Deadline deadline);

}  // namespace qanat::cmsp
