#include "terminal/gateway/settings.hpp"

#include "terminal/gateway/dx1.hpp"
#include "terminal/gateway/uapi_message.hpp"

namespace qanat::terminal::gateway {
namespace {

constexpr std::int64_t rotate_min_s = 1;
constexpr std::int64_t rotate_max_s = 86400;
constexpr std::int64_t octets_max = std::int64_t{1} << 62U;
constexpr std::int64_t ahead_max = 8;  // half of what one message of Dx-1 names
constexpr std::int64_t overlap_max_ms = 10000;
static_assert(2 * ahead_max <= static_cast<std::int64_t>(dx1_keys_max));

/// One of two words.
template <class T>
T choice(node::Config& table, std::string_view key, std::string_view absent, std::pair<std::string_view, T> one, std::pair<std::string_view, T> other) {
  const std::string text = absent.empty() ? table.text(key) : table.text(key, absent);
  if (text != one.first && text != other.first) table.reject(key, "must be " + std::string(one.first) + " or " + std::string(other.first));
  return text == other.first ? other.second : one.second;
}

// What is the initiator's alone is not read for a responder, and so refused there: it would change nothing.

StrongSwanSettings read_strongswan(node::Config& table, Role role) {
  StrongSwanSettings out;
  out.vici = table.text("vici", "/run/charon.vici");
  out.connection = table.text("connection");
  if (role == Role::responder) return out;
  out.overlap = std::chrono::milliseconds(table.integer("overlap_ms", 0, overlap_max_ms, out.overlap.count()));
  out.hold.queue = static_cast<std::uint16_t>(table.integer("hold_queue", 0, UINT16_MAX, 0));
  out.hold.network_namespace = table.text("hold_namespace", "");
  return out;
}

WireGuardSettings read_wireguard(node::Config& table, Role role) {
  WireGuardSettings out;
  out.socket = table.text("socket");
  const auto key = wireguard_public_key(table.text("peer_key"));
  if (!key) table.reject("peer_key", key.error().message);
  out.peer_key = key.value_or(std::string());
  if (role == Role::responder) return out;
  out.handshake = choice<Handshake>(table, "handshake", "forced", {"forced", Handshake::forced}, {"awaited", Handshake::awaited});
  return out;
}

TunnelSettings read_tunnel(node::Config& table, const std::string& name) {
  enum class Software : std::uint8_t { strongswan, wireguard };
  TunnelSettings out;
  out.name = name;
  const auto software = choice<Software>(table, "software", "", {"strongswan", Software::strongswan}, {"wireguard", Software::wireguard});
  out.role = choice<Role>(table, "role", "", {"initiator", Role::initiator}, {"responder", Role::responder});
  if (!is_tunnel_name(name))
    table.reject("role", "the tunnel's name has other characters than a-z, 0-9 and -, or more than " + std::to_string(tunnel_name_max));
  out.peer = table.text("peer");
  out.peer_sae = kme::SaeId(table.text("peer_sae"));
  if (out.peer_sae.text().size() > kme::sae_id_size_max) table.reject("peer_sae", "is longer than 256 octets");
  if (out.role == Role::initiator) {
    out.policy.rotate_after = std::chrono::seconds(table.integer("rotate_s", rotate_min_s, rotate_max_s, 3600));
    out.policy.rotate_octets = static_cast<std::uint64_t>(table.integer("rotate_octets", 0, octets_max, 0));
    out.policy.ahead = static_cast<std::size_t>(table.integer("ahead", 1, ahead_max, static_cast<std::int64_t>(out.policy.ahead)));
  }
  if (software == Software::wireguard) {
    out.software = read_wireguard(table, out.role);
  } else {
    out.software = read_strongswan(table, out.role);
  }
  return out;
}

}  // namespace

GatewaySettings GatewaySettings::read(node::Config& config) {
  GatewaySettings out;
  node::Config table = config.table("gateway");
  const auto url = net::ForeignUrl::parse(table.text("kme"));
  if (!url) table.reject("kme", url.error().message);
  if (url) out.kme.url = *url;
  out.kme.tls.chains = {{.certificate = table.text("kme_certificate"), .key = table.text("kme_key")}};
  out.kme.tls.roots = table.text("kme_roots");
  out.kme.tls.crls = table.text("kme_crls", "");
  node::Config tunnels = table.table("tunnels");
  for (const std::string& name : tunnels.table_names()) {
    node::Config one = tunnels.table(name);
    out.tunnels.push_back(read_tunnel(one, name));
  }
  if (out.tunnels.empty()) table.reject("tunnels", "there is no [gateway.tunnels.<name>]");
  return out;
}

}  // namespace qanat::terminal::gateway
