#include "quantum/qkdnc/topology.hpp"

#include <algorithm>

namespace qanat::qkdnc {
namespace {

bool same_shape(const std::vector<ReportedLink>& a, const std::vector<ReportedLink>& b) {
  return std::ranges::equal(a, b, [](const ReportedLink& x, const ReportedLink& y) {
    return x.peer == y.peer && cost_of(x.state) == cost_of(y.state);
  });
}

/// A link that could be relayed over and no longer can.
bool lost_a_link(const std::vector<ReportedLink>& before, const std::vector<ReportedLink>& after) {
  return std::ranges::any_of(before, [&](const ReportedLink& old) {
    if (!is_usable(old.state)) return false;
    const auto now = std::ranges::find(after, old.peer, &ReportedLink::peer);
    return now == after.end() || !is_usable(now->state);
  });
}

}  // namespace

NodeIndex Topology::node_of(const ElementName& qkm) {
  const NodeIndex node = graph_.add(qkm);
  entry_at_.resize(graph_.size());
  through_.resize(graph_.size());
  return node;
}

void Topology::report(const ElementName& qkm, std::vector<ReportedLink> links, UnixMs now) {
  const NodeIndex node = node_of(qkm);
  const bool came_back = !graph_.is_open(node) || !entries_.contains(qkm);
  Entry& entry = entries_[qkm];
  entry_at_[node] = &entry;
  const bool reshaped = !same_shape(entry.links, links);
  const bool lost = lost_a_link(entry.links, links);
  entry.links = std::move(links);
  entry.reported_ms = now;
  graph_.set_open(node, true);
  if (reshaped || came_back) rebuild_arcs(qkm);
  if (lost) reroute_around(qkm);
}

void Topology::remember(const ElementName& qkm, std::vector<ReportedLink> links) {
  const NodeIndex node = node_of(qkm);
  graph_.set_open(node, false);
  Entry& entry = entries_[qkm];
  entry = Entry{.links = std::move(links), .reported_ms = 0};
  entry_at_[node] = &entry;
  rebuild_arcs(qkm);
}

void Topology::rebuild_arcs(const ElementName& qkm) {
  std::vector<Arc> arcs;
  for (const ReportedLink& link : entries_.at(qkm).links) {
    const bool is_known = graph_.find(link.peer).has_value();
    const NodeIndex peer = node_of(link.peer);
    if (!is_known) graph_.set_open(peer, false);  // until it speaks for itself
    arcs.push_back({.to = peer, .cost = cost_of(link.state)});
  }
  graph_.set_arcs(*graph_.find(qkm), std::move(arcs));
}

void Topology::expire(UnixMs now) {
  if (now < nothing_ends_before_ms_) return;
  UnixMs next = now + policy_.report_fresh_ms;
  for (const auto& [qkm, entry] : entries_) {
    const NodeIndex node = *graph_.find(qkm);
    if (!graph_.is_open(node)) continue;
    if (is_fresh(entry, now)) {
      next = std::min(next, entry.reported_ms + policy_.report_fresh_ms);
      continue;
    }
    graph_.set_open(node, false);
    reroute_around(qkm);
  }
  for (auto lease = leases_.begin(); lease != leases_.end();) {
    const auto after = std::next(lease);
    if (now >= lease->second.until_ms) {
      release(lease->first);
    } else {
      next = std::min(next, lease->second.until_ms);
    }
    lease = after;
  }
  nothing_ends_before_ms_ = next;
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
  const auto node = graph_.find(hop.first);
  if (!node || entry_at_[*node] == nullptr) return nullptr;
  const std::vector<ReportedLink>& links = entry_at_[*node]->links;
  const auto found = std::ranges::find(links, hop.second, &ReportedLink::peer);
  return found == links.end() ? nullptr : &found->state;
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
    for (const ElementName& node : route.path) through_[*graph_.find(node)].erase(&lease->first);
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
  const auto& [place, installed] = *leases_.emplace(key, std::move(lease)).first;
  nothing_ends_before_ms_ = std::min(nothing_ends_before_ms_, installed.until_ms);
  for (const Route& route : installed.routes) {
    for (const ElementName& node : route.path) through_[*graph_.find(node)].insert(&place);
    for (std::size_t i = 0; i + 1 < route.path.size() && installed.demand.keys_per_s > 0.0; ++i) {
      reserved_[{route.path[i], route.path[i + 1]}] += installed.demand.keys_per_s;
    }
  }
}

bool Topology::holds(const Route& route) const {
  for (std::size_t i = 0; i < route.path.size(); ++i) {
    const auto node = graph_.find(route.path[i]);
    if (!node || !graph_.is_open(*node)) return false;
    if (i + 1 == route.path.size()) break;
    const LinkState* const state = link({route.path[i], route.path[i + 1]});
    if (state == nullptr || !is_usable(*state)) return false;
  }
  return true;
}

/// The path's good head and tail, joined by the cheapest way that touches neither elsewhere.
std::optional<Route> Topology::joined(const NodePath& path, std::size_t last_good, std::size_t first_good) {
  const auto at = [&path](std::size_t i) { return path.begin() + static_cast<std::ptrdiff_t>(i); };
  NodePath avoided(path.begin(), at(last_good));
  avoided.insert(avoided.end(), at(last_good + 1), path.end());
  std::erase(avoided, path[first_good]);
  const auto round = search_.cheapest_around(path[last_good], path[first_good], avoided);
  if (!round || last_good + round->size() + (path.size() - first_good - 1) > path_nodes_max) return std::nullopt;
  NodePath whole(path.begin(), at(last_good));
  whole.insert(whole.end(), round->begin(), round->end());
  whole.insert(whole.end(), at(first_good + 1), path.end());
  Route out = named(whole);
  return holds(out) ? std::optional(std::move(out)) : std::nullopt;
}

/// The route with what broke of it gone round: searched for near the break, however long the route is. Valid at once; the cheapest of all
/// comes with the QKM's next question.
std::optional<Route> Topology::detour(const Route& route) {
  NodePath path;
  for (const ElementName& name : route.path) path.push_back(*graph_.find(name));
  const auto is_whole = [&](std::size_t i) {
    const LinkState* const state = link({route.path[i], route.path[i + 1]});
    return graph_.is_open(path[i]) && graph_.is_open(path[i + 1]) && state != nullptr && is_usable(*state);
  };
  std::size_t last_good = 0;
  while (last_good + 1 < path.size() && is_whole(last_good)) ++last_good;
  std::size_t first_good = path.size() - 1;
  while (first_good > 0 && is_whole(first_good - 1)) --first_good;
  if (last_good >= first_good) return std::nullopt;
  if (auto out = joined(path, last_good, first_good)) return out;
  // The node before the break may itself have lost everything: from the one before it.
  return last_good > 0 ? joined(path, last_good - 1, first_good) : std::nullopt;
}

void Topology::reroute_around(const ElementName& qkm) {
  std::vector<LeaseKey> keys;
  for (const LeaseKey* key : through_[*graph_.find(qkm)]) keys.push_back(*key);
  for (const LeaseKey& key : keys) {
    Lease lease = leases_.at(key);
    if (std::ranges::all_of(lease.routes, [this](const Route& route) { return holds(route); })) continue;
    ++rerouted_;
    changed_[key.first].insert(key.second);
    std::vector<Route> other;
    // Detours of disjoint routes could meet; these are searched for together.
    if (lease.routes.size() == 1) {
      if (auto around = detour(lease.routes.front())) other.push_back(std::move(*around));
    }
    if (other.empty()) other = find(*graph_.find(key.first), *graph_.find(key.second), lease.demand.paths);
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
