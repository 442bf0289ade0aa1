// What a gateway is given instead of the key that came from the key management entity: a labelled Expand of it, as of every key that leaves for other software
// (docs/protocol/qfc2.md). The same at both ends of a tunnel, another for another use, key id, or pair of gateways.
#pragma once

#include "base/id.hpp"
#include "base/identity.hpp"
#include "base/secret.hpp"
#include "crypto/suite.hpp"

namespace qanat::wire {

enum class GatewayUse : std::uint8_t { ppk, wireguard_psk };

inline constexpr std::size_t gateway_key_octets = 32;

struct GatewayPair {
  const Identity& initiator;
  const Identity& responder;
};
/// Expand(key, label ‖ 00 ‖ key id ‖ u8 length ‖ initiator's URI ‖ u8 length ‖ responder's URI, 32). `key` has 32 octets, uniformly random: it stands in the
/// place of a PRK.
Secret gateway_key(const crypto::Suite& suite, GatewayUse use, const Secret& key, const KeyId& id, const GatewayPair& pair);

}  // namespace qanat::wire
