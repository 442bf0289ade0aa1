// What the counters of a WireGuard peer say from one look to the next: whether its tunnel is down or merely idle, when it makes its next handshake, and whether
// a preshared key that was set has acted. No I/O; times are Unix times in nanoseconds, as the peer's own.
//
// Numbers of the protocol (WireGuard: Next Generation Kernel Network Tunnel, §6.1): who sends makes a new handshake when the last one is 120 s old
// (REKEY_AFTER_TIME) and tries it each 5 s (REKEY_TIMEOUT); a session is not used after 180 s (REJECT_AFTER_TIME); who only receives sends a keepalive in 10 s.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "terminal/gateway/uapi_message.hpp"

namespace qanat::terminal::gateway {

class PeerWatch {
 public:
  void look(const UapiPeer& peer, std::uint64_t now_ns);

  /// There is a session, or nothing was sent since the last one ended: an idle tunnel has none. False before the first handshake, and when a handshake is asked
  /// for in vain for 15 s (three attempts).
  [[nodiscard]] bool up() const noexcept;
  /// WireGuard makes a handshake by itself soon: something was sent within 15 s, and the last handshake is 90 s to 130 s old or its session is over.
  [[nodiscard]] bool shakes_soon() const noexcept;

 private:
  std::optional<std::uint64_t> tx_octets_;      // at the last look
  std::optional<std::uint64_t> sent_ns_;        // when they were seen to have grown
  std::optional<std::uint64_t> unanswered_ns_;  // when that was for the first time without a session
  bool was_over_ = false;                       // at the look before
  std::uint64_t handshake_ns_ = 0;
  std::uint64_t now_ns_ = 0;
};

/// How long to wait for that handshake, so that both ends are back on the former key while its session lasts: until the last one is 155 s old; 30 s if that
/// is over.
std::chrono::milliseconds handshake_wait(std::uint64_t handshake_ns, std::uint64_t now_ns) noexcept;

/// Responder: a key that was set because the initiator is about to set it.
struct UnprovenKey {
  std::uint64_t handshake_ns = 0;  // the last one when it was set
  std::uint64_t set_ns = 0;
};
enum class Proof : std::uint8_t {
  acts,     // a handshake came: both have it
  open,     // none yet
  overdue,  // none for 46 s, which is more than an initiator takes, and the last one is 165 s old: the former key is needed before the session ends
};
Proof proof_of(const UnprovenKey& key, std::uint64_t handshake_ns, std::uint64_t now_ns) noexcept;

}  // namespace qanat::terminal::gateway
