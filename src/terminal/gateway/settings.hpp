// What a gateway's agent is configured with beyond the common tables: [gateway] and [gateway.tunnels.<name>].
#pragma once

#include "node/config.hpp"
#include "terminal/gateway/key_source.hpp"
#include "terminal/gateway/rotation.hpp"
#include "terminal/gateway/strongswan.hpp"
#include "terminal/gateway/wireguard.hpp"

namespace qanat::terminal::gateway {

struct TunnelSettings {
  std::string name;
  Role role = Role::initiator;
  std::string peer;     // the other agent: a name among [peers]
  kme::SaeId peer_sae;  // what the other agent is to the key management entities
  RotationPolicy policy;
  std::variant<StrongSwanSettings, WireGuardSettings> software;
};

struct GatewaySettings {
  KmeSettings kme;
  std::vector<TunnelSettings> tunnels;

  static GatewaySettings read(node::Config& config);
};

}  // namespace qanat::terminal::gateway
