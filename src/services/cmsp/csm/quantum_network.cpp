#include "services/cmsp/csm/quantum_network.hpp"

namespace qanat::cmsp {

Result<QuantumView> read_quantum_view(const wire::Json& answer) {
  ASSIGN_OR_RETURN(const std::vector<wire::Json> nodes, answer.array("etsi-qkd-sdn-node:qkd_node"));
  QuantumView out;
  for (const wire::Json& node : nodes) {
    ++out.nodes;
    ASSIGN_OR_RETURN(const std::string status, node.text("qkdn_status"));
    if (status == "UP") ++out.nodes_up;
    ASSIGN_OR_RETURN(const wire::Json links, node.object("qkd_links"));
    ASSIGN_OR_RETURN(const std::vector<wire::Json> list, links.array("qkd_link"));
    for (const wire::Json& link : list) {
      ++out.links;
      ASSIGN_OR_RETURN(const std::string link_status, link.text("qkdl_status"));
      if (link_status == "ACTIVE") ++out.links_active;
    }
  }
  return out;
}

wire::Json quantum_networks(node::Node& node, Deadline deadline) {
  wire::Json out = wire::Json::array();
  for (const auto& [name, peer] : node.settings().peers) {
    if (peer.expected.kind != Kind::qkdnc) continue;
    const auto view = [&, &controller = name]() -> Result<QuantumView> {
      ASSIGN_OR_RETURN(const wire::Json answer, node.call_json(points::Endpoint::x8_nodes, controller, wire::Json::object(), deadline, node.new_request_id()));
      return read_quantum_view(answer);
    }();
    wire::Json entry = wire::Json::object({{"controller", name}});
    if (view) {
      entry.set("nodes", static_cast<std::int64_t>(view->nodes)).set("nodes_up", static_cast<std::int64_t>(view->nodes_up));
      entry.set("links", static_cast<std::int64_t>(view->links)).set("links_active", static_cast<std::int64_t>(view->links_active));
    } else {
      entry.set("unknown", view.error().message);
    }
    out.push(entry);
  }
  return out;
}

}  // namespace qanat::cmsp
