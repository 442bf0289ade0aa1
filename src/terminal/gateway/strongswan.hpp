// A tunnel of strongSwan: keys are PPKs of IKEv2 (RFC 8784), loaded, put in force and taken out over vici. The PPK_ID is the key_ID of ETSI GS QKD 014.
//
// The order that loses no packet on the initiator's side (docs/operations/gateway.md): the new PPK is at both ends; the connection is loaded with its id; a new
// IKE SA is made beside the old one, while packets of the far end wait (packet_hold.hpp); `overlap` later the old one is deleted.
#pragma once

#include <memory>

#include "terminal/gateway/connection_file.hpp"
#include "terminal/gateway/packet_hold.hpp"
#include "terminal/gateway/tunnel.hpp"

namespace qanat::terminal::gateway {

struct StrongSwanSettings {
  std::filesystem::path vici;              // the daemon's socket
  std::filesystem::path connection;        // file with the connection
  std::chrono::milliseconds overlap{200};  // how long old and new stand side by side
  HoldSettings hold{};                     // of an initiator
};

/// invalid_argument for a connection that cannot be read. The daemon need not run yet.
Result<std::unique_ptr<Tunnel>> open_strongswan(const StrongSwanSettings& settings, Role role);

}  // namespace qanat::terminal::gateway
