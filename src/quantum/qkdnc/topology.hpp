// The relay network as the QKMs last reported it.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "quantum/qkdnc/routing.hpp"

namespace qanat::qkdnc {

struct ReportedLink {
  std::string link;
  ElementName peer;
  std::int64_t stock = 0;
  double rate_bps = 0.0;
  double qber = 0.0;
  bool alive = false;
};

struct Route {
  std::vector<ElementName> path;  // with both ends
  PathId id;
};

class Topology {
 public:
  /// `fresh_ms`: how long a report counts.
  explicit Topology(UnixMs fresh_ms) : fresh_ms_(fresh_ms) {}

  void report(const ElementName& qkm, std::vector<ReportedLink> links, UnixMs now);
  /// not_found: `to` has never reported. unavailable: one of the ends is silent, or no path of reporting QKMs joins them.
  [[nodiscard]] Result<Route> route(const ElementName& from, const ElementName& to, UnixMs now) const;
  /// Up to `most` routes, the best first, no two with a common node between the ends.
  [[nodiscard]] Result<std::vector<Route>> routes(const ElementName& from, const ElementName& to, std::size_t most, UnixMs now) const;

  struct Entry {
    std::vector<ReportedLink> links;
    UnixMs reported_ms = 0;
  };
  [[nodiscard]] const std::map<ElementName, Entry>& entries() const noexcept { return entries_; }
  [[nodiscard]] bool is_fresh(const Entry& entry, UnixMs now) const { return now < entry.reported_ms + fresh_ms_; }

 private:
  UnixMs fresh_ms_;
  std::map<ElementName, Entry> entries_;
};

}  // namespace qanat::qkdnc
