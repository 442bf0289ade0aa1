#include "quantum/qkm/settings.hpp"

#include <algorithm>

#include "node/configured_names.hpp"

namespace qanat::qkm {
namespace {

RelayWay read_relay(node::Config& table) {
  const std::string text = table.text("relay", "hop_by_hop");
  if (text == "centralised") return RelayWay::centralised;
  if (text != "hop_by_hop") table.reject("relay", "must be \"hop_by_hop\" or \"centralised\"");
  return RelayWay::hop_by_hop;
}

void read_links(node::Config& table, QkmSettings& out) {
  node::Config links = table.table("links");
  for (const std::string& name : links.table_names()) {
    node::Config link = links.table(name);
    const LinkSettings settings{.peer = node::element_name(link, "peer"), .qkd = node::element_name(link, "qkd")};
    if (std::ranges::any_of(out.links, [&](const auto& other) { return other.second.peer == settings.peer; })) {
      link.reject("peer", "another link leads to the same QKM");
    }
    out.links.emplace(LinkId(name), settings);
  }
}

}  // namespace

QkmSettings QkmSettings::read(node::Config& config) {
  QkmSettings out;
  node::Config table = config.table("qkm");
  out.site_key = table.text("site_key", "");
  out.km3_chained_alone = table.flag("km3_chained_alone", false);
  if (out.km3_chained_alone && out.site_key.empty()) table.reject("km3_chained_alone", "needs a site_key");
  out.controllers = node::element_names(table, "controllers");
  out.relay = read_relay(table);
  out.controller_key = table.text("controller_key", "");
  if (out.relay == RelayWay::centralised && (out.controllers.empty() || out.controller_key.empty()))
    table.reject("relay", "\"centralised\" needs controllers and a controller_key");
  out.paths = static_cast<std::size_t>(table.integer("paths", 1, static_cast<std::int64_t>(paths_max), static_cast<std::int64_t>(out.paths)));
  out.marks.low = table.integer("low_water", 2, 10000000, out.marks.low);
  out.marks.high = table.integer("high_water", 2, 10000000, out.marks.high);
  if (out.marks.high < out.marks.low) table.reject("high_water", "must not be below low_water");
  out.keys_max = table.integer("keys_max", 4, 40000000, std::max(out.keys_max, 4 * out.marks.high));
  if (out.keys_max < 4 * out.marks.high) table.reject("keys_max", "must be at least four times high_water");
  out.pool_target = static_cast<std::size_t>(table.integer("pool_target", 0, 1000, static_cast<std::int64_t>(out.pool_target)));
  out.lifetime = std::chrono::milliseconds(table.integer("relayed_key_lifetime_ms", 1000, 3600000, out.lifetime.count()));
  out.route_fresh = std::chrono::milliseconds(table.integer("route_fresh_ms", 0, 60000, out.route_fresh.count()));
  read_links(table, out);
  node::Config domains = table.table("domains");
  for (const std::string& domain : domains.table_names()) {
    node::Config entry = domains.table(domain);
    out.domains.emplace(domain, node::element_name(entry, "qkm"));
  }
  node::Config node = config.table("node");
  const auto self = Identity::parse_uri(node.text("identity", ""));
  out.sae = SaeSettings::read(config, self ? self->domain : "");
  return out;
}

}  // namespace qanat::qkm
