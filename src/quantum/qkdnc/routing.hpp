// The cheapest path through the relay network, as a pure function of its links.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/id.hpp"

namespace qanat::qkdnc {

inline constexpr std::size_t path_nodes_max = 16;  // with both ends; longer than a relay may be is no path

/// One direction of a link: what `from` may send with.
struct Edge {
  ElementName from;
  ElementName to;
  std::int64_t stock = 0;  // keys
  bool alive = true;       // its QKDs make new ones
};

/// What an edge costs: a hop, more when keys run short, far more when there are not enough for one relay: such an edge is taken only where
/// there is no other way.
std::int64_t cost_of(const Edge& edge);

/// The nodes from `from` to `to`, both included; of several cheapest paths the one that sorts first. Nothing if there is none.
std::optional<std::vector<ElementName>> cheapest_path(std::span<const Edge> edges, const ElementName& from, const ElementName& to);

/// Up to `most` paths, no two with a common node between the ends: the cheapest, then the cheapest without its nodes, and so on. Not always as many
/// as there could be: a cheapest path may block two others.
std::vector<std::vector<ElementName>> separate_paths(std::vector<Edge> edges, const ElementName& from, const ElementName& to, std::size_t most);

/// The first 8 octets of SHA-256 over the nodes' names, each behind its length (one octet). The QKMs compute the same.
PathId path_id_of(std::span<const ElementName> path);

}  // namespace qanat::qkdnc
