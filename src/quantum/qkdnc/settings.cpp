#include "quantum/qkdnc/settings.hpp"

#include "node/configured_names.hpp"

namespace qanat::qkdnc {

QkdncSettings QkdncSettings::read(node::Config& config) {
  QkdncSettings out;
  node::Config table = config.table("qkdnc");
  const auto milliseconds = [&table](std::string_view key, std::int64_t low, std::int64_t high, UnixMs absent) {
    return static_cast<UnixMs>(table.integer(key, low, high, static_cast<std::int64_t>(absent)));
  };
  out.topology.report_fresh_ms = milliseconds("report_fresh_ms", 100, 600000, out.topology.report_fresh_ms);
  out.topology.lease_ms = milliseconds("lease_ms", 1000, 600000, out.topology.lease_ms);
  out.topology.background_reserve = table.integer("background_reserve", 0, 1000000, out.topology.background_reserve);
  out.takeover_ms = milliseconds("takeover_ms", 500, 60000, out.takeover_ms);
  node::Config keys = table.table("controller_keys");
  for (const std::string& qkm : keys.table_names()) {
    node::Config entry = keys.table(qkm);
    out.controller_keys.emplace(ElementName(qkm), entry.text("file"));
  }
  out.other = node::optional_element_name(table, "other");
  return out;
}

}  // namespace qanat::qkdnc
