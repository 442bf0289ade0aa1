#include "quantum/qkm/sae_settings.hpp"

#include <algorithm>

#include "kme/etsi004.hpp"
#include "kme/listener_settings.hpp"
#include "net/foreign_client.hpp"

namespace qanat::qkm {
namespace {

std::vector<SaeStandard> read_standards(node::Config& table) {
  std::vector<SaeStandard> out;
  for (const std::string& name : table.texts("serve")) {
    if (name == "etsi014") {
      out.push_back(SaeStandard::etsi014);
    } else if (name == "skip") {
      out.push_back(SaeStandard::skip);
    } else if (name == "etsi020") {
      out.push_back(SaeStandard::etsi020);
    } else if (name == "etsi004") {
      out.push_back(SaeStandard::etsi004);
    } else {
      table.reject("serve", "'" + name + "' is none of etsi014, skip, etsi020, etsi004");
    }
  }
  return out;
}

kme::SaeRegistry read_names(node::Config& table, const std::string& own_domain) {
  std::vector<kme::Sae> out;
  node::Config names = table.table("names");
  for (const std::string& name : names.table_names()) {
    node::Config entry = names.table(name);
    const std::string pattern = entry.text("pattern", "");
    kme::Sae sae{.id = kme::SaeId(pattern.empty() ? entry.text("id", name) : pattern),
                 .domain = entry.text("domain"),
                 .kme = entry.text("kme"),
                 .here = false,
                 .keys_per_second = 0,
                 .pattern = !pattern.empty()};
    sae.here = sae.domain == own_domain;
    sae.keys_per_second = static_cast<std::uint32_t>(entry.integer("keys_per_second", 0, 1000000, 0));
    const bool plain = std::ranges::none_of(sae.id.text(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
    if (!plain) entry.reject("id", "must not hold control characters");
    out.push_back(std::move(sae));
  }
  auto registry = kme::SaeRegistry::make(std::move(out));
  if (registry) return *std::move(registry);
  table.reject("names", registry.error().message);
  return {};
}

std::map<std::string, NeighbourSettings> read_kmes(node::Config& table) {
  std::map<std::string, NeighbourSettings> out;
  node::Config kmes = table.table("kmes");
  for (const std::string& name : kmes.table_names()) {
    node::Config entry = kmes.table(name);
    NeighbourSettings kme{.url = entry.text("url"), .tls = {}};
    if (!net::ForeignUrl::parse(kme.url) || !kme.url.ends_with('/')) entry.reject("url", "must be https://host:port/ with a path that ends in '/'");
    kme.tls.chains.push_back({.certificate = entry.text("certificate"), .key = entry.text("key")});
    kme.tls.roots = entry.text("roots");
    kme.tls.crls = entry.text("crls", "");
    out.emplace(name, std::move(kme));
  }
  return out;
}

void read_streams(node::Config& table, SaeSettings& out) {
  out.stream_port = static_cast<std::uint16_t>(table.integer("stream_port", 0, 65535, kme::etsi004::default_port));
  out.stream_connections_max = static_cast<std::size_t>(table.integer("stream_connections_max", 1, 100000, static_cast<std::int64_t>(out.stream_connections_max)));
  out.streams.streams_max = static_cast<std::uint32_t>(table.integer("streams_max", 1, 10000, out.streams.streams_max));
  kme::StreamBounds& bounds = out.streams.bounds;
  bounds.bps_max = static_cast<std::uint32_t>(table.integer("stream_bps_max", 1, 1000000000, bounds.bps_max));
  bounds.ttl_s_max = static_cast<std::uint32_t>(out.lifetime.count() / 1000);
  out.streams.idle_max = std::chrono::milliseconds(table.integer("stream_idle_ms", 1000, 30LL * 86400000, out.streams.idle_max.count()));
}

}  // namespace

std::optional<SaeSettings> SaeSettings::read(node::Config& config, const std::string& own_domain) {
  const std::vector<std::string> tables = config.table_names();
  if (std::ranges::find(tables, "sae") == tables.end()) return std::nullopt;
  node::Config table = config.table("sae");
  SaeSettings out;
  out.listener = kme::read_listener(table);
  out.served = read_standards(table);
  out.registry = read_names(table, own_domain);
  out.lifetime = std::chrono::milliseconds(table.integer("key_lifetime_ms", 1000, 30LL * 86400000, out.lifetime.count()));
  out.max_key_count = table.integer("max_key_count", 1, 1000000000, out.max_key_count);
  read_streams(table, out);
  node::Config callbacks = table.table("callbacks");
  for (const std::string& kme : callbacks.table_names()) {
    node::Config entry = callbacks.table(kme);
    const std::string prefix = entry.text("prefix");
    const auto url = net::ForeignUrl::parse(prefix);
    if (!url || !prefix.ends_with('/')) entry.reject("prefix", "must be https://host:port/ with a path that ends in '/'");
    out.callbacks.emplace(kme, prefix);
  }
  out.kmes = read_kmes(table);
  out.ack_callback_url = table.text("ack_callback_url", "");
  const bool receives = std::ranges::find(out.served, SaeStandard::etsi020) != out.served.end();
  if (!out.kmes.empty() && (!receives || !net::ForeignUrl::parse(out.ack_callback_url))) {
    table.reject("ack_callback_url", "must be https://…/kmapi/v1/ext_keys/ack of this listener, and etsi020 be served, where there are kmes");
  }
  return out;
}

}  // namespace qanat::qkm
