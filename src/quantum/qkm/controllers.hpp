// The controllers of the network as this QKM uses them (Kq-2): each is told the links' state, the first that leads answers.
#pragma once

#include <mutex>

#include "node/node.hpp"
#include "points/central_relay.hpp"
#include "quantum/qkm/links.hpp"
#include "quantum/qkm/routes.hpp"
#include "quantum/qkm/settings.hpp"

namespace qanat::qkm {

/// The routes from `self` in a controller's answer (Kq-2 route): of those that share a node or a link with one before them, none. unavailable without any, or
/// when a path id is not that of its route.
Result<std::vector<Routes::Path>> read_routes(const wire::Json& answer, const std::string& self);

class Controllers {
 public:
  Controllers(node::Node& node, const QkmSettings& settings) : node_(node), settings_(settings) {}

  /// As Routes::Ask.
  Result<std::vector<Routes::Path>> routes(const ElementName& destination, std::size_t paths, Deadline deadline, const std::string& request_id);
  /// A centralised relay: the far end's confirmation.
  Result<points::CentralAnswer> order(const points::CentralHandover& order, Deadline deadline, const std::string& request_id);
  /// To all. The destinations to which routes have changed since they were asked for; the failure of the last that did not answer if none did.
  Result<std::vector<ElementName>> report(std::span<const LinkView> links);
  [[nodiscard]] bool has(const Identity& caller) const;

 private:
  /// What the first answers that is there and leads; one that says no is believed.
  Result<wire::Json> ask(points::Endpoint endpoint, const wire::Json& body, Deadline deadline, const std::string& request_id);

  node::Node& node_;
  const QkmSettings& settings_;
};

}  // namespace qanat::qkm
