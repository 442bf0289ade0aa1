#include "quantum/qkdnc/topology.hpp"

#include <algorithm>

namespace qanat::qkdnc {
namespace {

bool same_shape(const std::vector<ReportedLink>& a, const std::vector<ReportedLink>& b) {
  return std::ranges::equal(a, b, [](const ReportedLink& x, const ReportedLink& y) {
    return x.peer == y.peer && x.state.alive == y.state.alive && (cost_of(x.state) == cost_of(y.state));
  });
}

/// Links that `before` had alive and `after` has not.
bool lost_a_link(const std::vector<ReportedLink>& before, const std::vector<ReportedLink>& after) {
  return std::ranges::any_of(before, [&](const ReportedLink& old) {
    if (!old.state.alive) return false;
    const auto now = std::ranges::find(after, old.peer, &ReportedLink::peer);
    return now == after.end() || !now->state.alive;
  });
}

}  // namespace

void Topology::report(const ElementName& qkm, std::vector<ReportedLink> links, UnixMs now) {
  const NodeIndex node = graph_.add(qkm);
  const bool came_back = !graph_.is_open(node) || !entries_.contains(qkm);
  Entry& entry = entries_[qkm];
  const bool reshaped = !same_shape(entry.links, links);
  const bool lost = lost_a_link(entry.links, links);
  entry.links = std::move(links);
  entry.reported_ms = now;
  graph_.set_open(node, true);
  if (reshaped || came_back) rebuild_arcs(qkm);
  if (lost) reroute_around(qkm);
}

void Topology::remember(const ElementName& qkm, std::vector<ReportedLink> links) {
  graph_.set_open(graph_.add(qkm), false);
  entries_[qkm] = Entry{.links = std::move(links), .reported_ms = 0};
  rebuild_arcs(qkm);
}

void Topology::rebuild_arcs(const ElementName& qkm) {
  std::vector<Arc> arcs;
  for (const ReportedLink& link : entries_.at(qkm).links) {
    const bool is_known = graph_.find(link.peer).has_value();
    const NodeIndex peer = graph_.add(link.peer);
    if (!is_known) graph_.set_open(peer, false);  // until it speaks for itself
    arcs.push_back({.to = peer, .cost = cost_of(link.state)});
  }
  graph_.set_arcs(*graph_.find(qkm), std::move(arcs));
}

void Topology::expire(UnixMs now) {
  for (const auto& [qkm, entry] : entries_) {
    const NodeIndex node = *graph_.find(qkm);
    if (!graph_.is_open(node) || is_fresh(entry, now)) continue;
    graph_.set_open(node, false);
    reroute_around(qkm);
  }
  for (auto lease = leases_.begin(); lease != leases_.end();) {
    const auto next = std::next(lease);
    if (now >= lease->second.until_ms) release(lease->first);
    lease = next;
  }
}

Route Topology::named(const NodePath& path) const {
  Route out;
  out.path.reserve(path.size());
  for (const NodeIndex node : path) out.path.push_back(graph_.name(node));
  out.id = path_id_of(out.path);
  return out;
}

std::vector<Route> Topology::find(NodeIndex from, NodeIndex to, std::size_t count) {
  std::vector<NodePath> paths;
  if (count > 1) {
    paths = search_.disjoint(from, to, count);
  } else if (auto path = search_.cheapest(from, to)) {
    // A path of plenty may be longer than a relay may be where one of fewer nodes is not.
    if (path->size() > path_nodes_max) path = search_.shortest(from, to);
    paths.push_back(std::move(*path));
  }
  std::vector<Route> out;
  for (const NodePath& path : paths) {
    if (path.size() <= path_nodes_max) out.push_back(named(path));
  }
  return out;
}

const LinkState* Topology::link(const Hop& hop) const {
  const auto entry = entries_.find(hop.first);
  if (entry == entries_.end()) return nullptr;
  const auto found = std::ranges::find(entry->second.links, hop.second, &ReportedLink::peer);
  return found == entry->second.links.end() ? nullptr : &found->state;
}

Result<void> Topology::admit(const Demand& demand, const std::vector<Route>& routes, UnixMs now) const {
  const auto own = leases_.find({demand.from, demand.to});
  for (const Route& route : routes) {
    for (std::size_t i = 0; i + 1 < route.path.size(); ++i) {
      const Hop hop{route.path[i], route.path[i + 1]};
      const LinkState* const state = link(hop);
      const std::string where = "from " + hop.first.text() + " to " + hop.second.text();
      if (state == nullptr) return fail(ErrorCode::unavailable, "the link " + where + " has gone");
      if (demand.priority == Priority::background && state->stock < policy_.background_reserve) {
        return fail(ErrorCode::exhausted, "the link " + where + " has " + std::to_string(state->stock) + " keys, and background demands leave " +
                                              std::to_string(policy_.background_reserve));
      }
      if (demand.keys_per_s <= 0.0 || demand.priority == Priority::urgent) continue;
      const auto promised = reserved_.find(hop);
      double others = promised == reserved_.end() ? 0.0 : promised->second;
      const bool holds_it = own != leases_.end() && now < own->second.until_ms && std::ranges::any_of(own->second.routes, [&](const Route& mine) {
        const auto at = std::ranges::find(mine.path, hop.first);
        return at != mine.path.end() && std::next(at) != mine.path.end() && *std::next(at) == hop.second;
      });
      if (holds_it) others -= own->second.demand.keys_per_s;
      if (others + demand.keys_per_s > relays_per_second(*state)) {
        return fail(ErrorCode::exhausted, "the link " + where + " sustains " + std::to_string(relays_per_second(*state)) + " keys per second and " +
                                              std::to_string(others) + " are promised already");
      }
    }
  }
  return {};
}

Result<std::vector<Route>> Topology::routes(const Demand& demand, UnixMs now) {
  if (demand.from == demand.to) return fail(ErrorCode::invalid_argument, demand.to.text() + " needs no route to itself");
  if (!entries_.contains(demand.to)) return fail(ErrorCode::not_found, "no QKM " + demand.to.text() + " has reported");
  expire(now);
  for (const ElementName& end : {demand.from, demand.to}) {
    const auto entry = entries_.find(end);
    if (entry == entries_.end() || !is_fresh(entry->second, now)) return fail(ErrorCode::unavailable, "QKM " + end.text() + " has not reported lately");
  }
  std::vector<Route> found = find(*graph_.find(demand.from), *graph_.find(demand.to), std::clamp<std::size_t>(demand.paths, 1, paths_max));
  if (found.empty()) return fail(ErrorCode::unavailable, "no path leads from " + demand.from.text() + " to " + demand.to.text() + " at present");
  TRY(admit(demand, found, now));
  install({demand.from, demand.to}, Lease{.demand = demand, .routes = found, .until_ms = now + policy_.lease_ms});
  return found;
}

void Topology::release(const LeaseKey& key) {
  const auto lease = leases_.find(key);
  if (lease == leases_.end()) return;
  for (const Route& route : lease->second.routes) {
    for (const ElementName& node : route.path) {
      const auto through = through_.find(node);
      if (through == through_.end()) continue;
      through->second.erase(key);
      if (through->second.empty()) through_.erase(through);
    }
    for (std::size_t i = 0; i + 1 < route.path.size() && lease->second.demand.keys_per_s > 0.0; ++i) {
      const auto reserved = reserved_.find({route.path[i], route.path[i + 1]});
      if (reserved == reserved_.end()) continue;
      reserved->second -= lease->second.demand.keys_per_s;
      if (reserved->second <= 1e-9) reserved_.erase(reserved);
    }
  }
  leases_.erase(lease);
}

void Topology::install(const LeaseKey& key, Lease lease) {
  release(key);
  for (const Route& route : lease.routes) {
    for (const ElementName& node : route.path) through_[node].insert(key);
    for (std::size_t i = 0; i + 1 < route.path.size() && lease.demand.keys_per_s > 0.0; ++i) reserved_[{route.path[i], route.path[i + 1]}] += lease.demand.keys_per_s;
  }
  leases_.emplace(key, std::move(lease));
}

bool Topology::holds(const Route& route) const {
  for (std::size_t i = 0; i < route.path.size(); ++i) {
    const auto node = graph_.find(route.path[i]);
    if (!node || !graph_.is_open(*node)) return false;
    if (i + 1 == route.path.size()) break;
    const LinkState* const state = link({route.path[i], route.path[i + 1]});
    if (state == nullptr || !state->alive) return false;
  }
  return true;
}

void Topology::reroute_around(const ElementName& qkm) {
  const auto touched = through_.find(qkm);
  if (touched == through_.end()) return;
  const std::set<LeaseKey> keys = touched->second;
  for (const LeaseKey& key : keys) {
    Lease lease = leases_.at(key);
    if (std::ranges::all_of(lease.routes, [this](const Route& route) { return holds(route); })) continue;
    ++rerouted_;
    changed_[key.first].insert(key.second);
    std::vector<Route> other = find(*graph_.find(key.first), *graph_.find(key.second), lease.demand.paths);
    if (other.empty()) {
      release(key);  // the QKM hears it when it asks
      continue;
    }
    lease.routes = std::move(other);
    install(key, std::move(lease));
  }
}

std::vector<ElementName> Topology::changed(const ElementName& qkm) {
  const auto found = changed_.find(qkm);
  if (found == changed_.end()) return {};
  std::vector<ElementName> out(found->second.begin(), found->second.end());
  changed_.erase(found);
  return out;
}

Topology::Counts Topology::counts() const {
  Counts out{.nodes = entries_.size(), .links = 0, .routes_in_use = leases_.size(), .rerouted = rerouted_};
  for (const auto& [qkm, entry] : entries_) out.links += entry.links.size();
  return out;
}

}  // namespace qanat::qkdnc
