// A tunnel of WireGuard: keys are the preshared key of one peer, set over the socket of a userspace implementation.
//
// WireGuard has one preshared key at a time, and it acts at the next handshake: until then, and for 180 s after the last one, traffic goes on under the keys of
// the handshake before. So the order is: the responder sets the key, then the initiator sets it and makes a handshake; should that not come, both go back to
// the key before, which the interface had: the initiator at once, the responder when it hears so, or by itself before the session ends. Held keys wait in this
// process's locked memory, and so does the responder's former one.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "crypto/random.hpp"
#include "terminal/gateway/tunnel.hpp"

namespace qanat::terminal::gateway {

/// How the initiator comes to the handshake in which a new key acts.
enum class Handshake : std::uint8_t {
  forced,   // the interface's private key is set to another one and back, in one request: that is how this protocol ends the keys for sending of all its peers
  awaited,  // the one that WireGuard makes by itself where there is traffic: a change begins when it is near (peer_watch.hpp)
};

struct WireGuardSettings {
  std::filesystem::path socket;  // /var/run/wireguard/NAME.sock
  std::string peer_key;          // hexadecimal
  Handshake handshake = Handshake::forced;
};

/// The interface need not be there yet.
std::unique_ptr<Tunnel> open_wireguard(const WireGuardSettings& settings, crypto::Rng& rng);

}  // namespace qanat::terminal::gateway
