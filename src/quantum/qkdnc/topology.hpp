// The relay network as the QKMs last reported it, the routes that were given over it, and what was promised on its links. No I/O.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "quantum/qkdnc/graph.hpp"
#include "quantum/qkdnc/routing.hpp"

namespace qanat::qkdnc {

struct ReportedLink {
  std::string link;
  ElementName peer;
  LinkState state;
};

struct Route {
  std::vector<ElementName> path;  // with both ends
  PathId id;
  bool operator==(const Route&) const = default;
};

/// What a QKM asks for.
struct Demand {
  ElementName from;
  ElementName to;
  std::size_t paths = 1;  // node-disjoint, at most paths_max; fewer are given where there are no more
  Priority priority = Priority::normal;
  double keys_per_s = 0.0;  // 0: no rate is reserved
};

struct TopologyPolicy {
  UnixMs report_fresh_ms = 10000;      // a QKM that has been silent for longer is not relayed over
  UnixMs lease_ms = 10000;             // of a reserved rate, and of the controller's memory that a route is in use
  std::int64_t background_reserve = 64;  // keys that background demands leave on every link
};

class Topology {
 public:
  explicit Topology(TopologyPolicy policy) : policy_(policy), search_(graph_) {}

  /// What a QKM says of its links. Routes in use that this cuts are computed anew: see changed().
  void report(const ElementName& qkm, std::vector<ReportedLink> links, UnixMs now);
  /// Links known from before a restart: they count only once they are reported again.
  void remember(const ElementName& qkm, std::vector<ReportedLink> links);
  /// Closes what has gone silent; routes over it are computed anew.
  void expire(UnixMs now);

  /// Cheapest first. not_found: `to` has never reported. unavailable: one of the ends is silent, or no path of reporting QKMs joins them.
  /// exhausted: there are paths, but none with the keys or the rate that the demand may have; names the link.
  [[nodiscard]] Result<std::vector<Route>> routes(const Demand& demand, UnixMs now);
  /// Destinations to which `qkm` was given a route that no longer holds, since it asked last.
  [[nodiscard]] std::vector<ElementName> changed(const ElementName& qkm);

  struct Entry {
    std::vector<ReportedLink> links;
    UnixMs reported_ms = 0;
  };
  [[nodiscard]] const std::map<ElementName, Entry>& entries() const noexcept { return entries_; }
  [[nodiscard]] bool is_fresh(const Entry& entry, UnixMs now) const { return entry.reported_ms != 0 && now < entry.reported_ms + policy_.report_fresh_ms; }
  struct Counts {
    std::size_t nodes = 0;
    std::size_t links = 0;         // directions
    std::size_t routes_in_use = 0;
    std::uint64_t rerouted = 0;    // since the start
  };
  [[nodiscard]] Counts counts() const;

 private:
  struct Lease {
    Demand demand;
    std::vector<Route> routes;
    UnixMs until_ms = 0;
  };
  using LeaseKey = std::pair<ElementName, ElementName>;
  using Hop = std::pair<ElementName, ElementName>;

  [[nodiscard]] std::vector<Route> find(NodeIndex from, NodeIndex to, std::size_t count);
  [[nodiscard]] Result<void> admit(const Demand& demand, const std::vector<Route>& routes, UnixMs now) const;
  [[nodiscard]] const LinkState* link(const Hop& hop) const;
  [[nodiscard]] bool holds(const Route& route) const;
  [[nodiscard]] Route named(const NodePath& path) const;
  NodeIndex node_of(const ElementName& qkm);
  void rebuild_arcs(const ElementName& qkm);
  void reroute_around(const ElementName& qkm);
  [[nodiscard]] std::optional<Route> detour(const Route& route);
  [[nodiscard]] std::optional<Route> joined(const NodePath& path, std::size_t last_good, std::size_t first_good);
  void release(const LeaseKey& key);
  void install(const LeaseKey& key, Lease lease);

  const TopologyPolicy policy_;
  Graph graph_;
  Search search_;
  std::map<ElementName, Entry> entries_;
  std::map<LeaseKey, Lease> leases_;
  std::vector<const Entry*> entry_at_;                 // by node; entries_ keeps them where they are
  std::vector<std::set<const LeaseKey*>> through_;     // by node: keys in leases_ of those whose routes touch it
  std::map<Hop, double> reserved_;                     // keys per second
  std::map<ElementName, std::set<ElementName>> changed_;
  std::uint64_t rerouted_ = 0;
  UnixMs nothing_ends_before_ms_ = 0;  // neither a report's freshness nor a lease: reports only put it off, a new lease may bring it forward
};

}  // namespace qanat::qkdnc
