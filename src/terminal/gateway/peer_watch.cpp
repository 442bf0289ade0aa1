#include "terminal/gateway/peer_watch.hpp"

namespace qanat::terminal::gateway {
namespace {

constexpr std::uint64_t second_ns = 1'000'000'000;
constexpr std::uint64_t session_max_ns = 180 * second_ns;  // REJECT_AFTER_TIME
constexpr std::uint64_t due_from_ns = 90 * second_ns;      // who sent lately is likely to send at 120 s, REKEY_AFTER_TIME
constexpr std::uint64_t due_until_ns = 130 * second_ns;    // what the far end makes after a keepalive of ours
constexpr std::uint64_t give_up_ns = 155 * second_ns;      // the initiator; the responder hears of it, or does the same a little later
constexpr std::uint64_t go_back_ns = 165 * second_ns;      // two attempts of WireGuard under the former key are left
constexpr std::uint64_t wait_without_session_ns = 30 * second_ns;
constexpr std::uint64_t initiator_max_ns = 46 * second_ns;  // to be told, to set the key, to give up, to say so
constexpr std::uint64_t unanswered_max_ns = 15 * second_ns;
constexpr std::uint64_t lately_ns = 15 * second_ns;  // a keepalive comes 10 s after what was received
static_assert(due_until_ns < give_up_ns && give_up_ns < go_back_ns && go_back_ns < session_max_ns);

/// Nothing for what lies in the future: a clock was set back.
constexpr std::uint64_t age(std::uint64_t then_ns, std::uint64_t now_ns) { return now_ns > then_ns ? now_ns - then_ns : 0; }
constexpr bool is_over(std::uint64_t handshake_ns, std::uint64_t now_ns) { return handshake_ns == 0 || age(handshake_ns, now_ns) >= session_max_ns; }

}  // namespace

void PeerWatch::look(const UapiPeer& peer, std::uint64_t now_ns) {
  const bool has_sent = tx_octets_ && *tx_octets_ != peer.tx_octets;
  if (has_sent) sent_ns_ = now_ns;
  const bool over = is_over(peer.handshake_ns, now_ns);
  if (!over) {
    unanswered_ns_.reset();
  } else if (was_over_ && has_sent && !unanswered_ns_) {
    unanswered_ns_ = now_ns;  // what went out before the session was seen to be over may have gone under it
  }
  was_over_ = over;
  tx_octets_ = peer.tx_octets;
  handshake_ns_ = peer.handshake_ns;
  now_ns_ = now_ns;
}

bool PeerWatch::up() const noexcept {
  if (handshake_ns_ == 0) return false;
  return !unanswered_ns_ || age(*unanswered_ns_, now_ns_) < unanswered_max_ns;
}

bool PeerWatch::shakes_soon() const noexcept {
  if (!sent_ns_ || age(*sent_ns_, now_ns_) >= lately_ns) return false;
  const std::uint64_t old = age(handshake_ns_, now_ns_);
  return is_over(handshake_ns_, now_ns_) || (old >= due_from_ns && old <= due_until_ns);
}

std::chrono::milliseconds handshake_wait(std::uint64_t handshake_ns, std::uint64_t now_ns) noexcept {
  const std::uint64_t old = age(handshake_ns, now_ns);
  const std::uint64_t left = is_over(handshake_ns, now_ns) ? wait_without_session_ns : old < give_up_ns ? give_up_ns - old : 0;
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::nanoseconds(left));
}

Proof proof_of(const UnprovenKey& key, std::uint64_t handshake_ns, std::uint64_t now_ns) noexcept {
  if (handshake_ns > key.handshake_ns) return Proof::acts;
  if (age(key.set_ns, now_ns) < initiator_max_ns) return Proof::open;
  return is_over(handshake_ns, now_ns) || age(handshake_ns, now_ns) >= go_back_ns ? Proof::overdue : Proof::open;
}

}  // namespace qanat::terminal::gateway
