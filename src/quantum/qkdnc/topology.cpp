#include "quantum/qkdnc/topology.hpp"

namespace qanat::qkdnc {

void Topology::report(const ElementName& qkm, std::vector<ReportedLink> links, UnixMs now) {
  entries_.insert_or_assign(qkm, Entry{.links = std::move(links), .reported_ms = now});
}

Result<Route> Topology::route(const ElementName& from, const ElementName& to, UnixMs now) const {
  ASSIGN_OR_RETURN(std::vector<Route> found, routes(from, to, 1, now));
  return std::move(found.front());
}

Result<std::vector<Route>> Topology::routes(const ElementName& from, const ElementName& to, std::size_t most, UnixMs now) const {
  if (from == to) return fail(ErrorCode::invalid_argument, to.text() + " needs no route to itself");
  if (!entries_.contains(to)) return fail(ErrorCode::not_found, "no QKM " + to.text() + " has reported");
  for (const ElementName& end : {from, to}) {
    const auto entry = entries_.find(end);
    if (entry == entries_.end() || !is_fresh(entry->second, now)) return fail(ErrorCode::unavailable, "QKM " + end.text() + " has not reported lately");
  }
  std::vector<Edge> edges;
  for (const auto& [qkm, entry] : entries_) {
    if (!is_fresh(entry, now)) continue;
    for (const ReportedLink& link : entry.links) {
      const auto peer = entries_.find(link.peer);
      if (peer == entries_.end() || !is_fresh(peer->second, now)) continue;
      edges.push_back({.from = qkm, .to = link.peer, .stock = link.stock, .alive = link.alive});
    }
  }
  std::vector<Route> out;
  for (std::vector<ElementName>& path : separate_paths(std::move(edges), from, to, most)) {
    const PathId id = path_id_of(path);
    out.push_back({.path = std::move(path), .id = id});
  }
  if (out.empty()) return fail(ErrorCode::unavailable, "no path leads from " + from.text() + " to " + to.text() + " at present");
  return out;
}

}  // namespace qanat::qkdnc
