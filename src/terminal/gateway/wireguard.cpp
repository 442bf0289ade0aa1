#include "terminal/gateway/wireguard.hpp"

#include <algorithm>
#include <atomic>
#include <map>
#include <thread>

#include "terminal/gateway/peer_watch.hpp"
#include "terminal/gateway/uapi_message.hpp"
#include "terminal/gateway/unix_stream.hpp"

namespace qanat::terminal::gateway {
namespace {

constexpr std::chrono::milliseconds look_again{20};
constexpr std::chrono::milliseconds forced_max{16000};   // three attempts of WireGuard
constexpr std::chrono::milliseconds awaited_max{70000};  // a change begins when the last handshake is 90 s old, and is given up when it is 155 s old
constexpr std::string_view some_keepalive_s = "25";
constexpr std::size_t answer_first = 16UL * 1024;  // octets: of a hundred peers

std::uint64_t unix_ns() {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count());
}

class WireGuard final : public Tunnel {
 public:
  WireGuard(WireGuardSettings settings, crypto::Rng& rng) : settings_(std::move(settings)), rng_(rng) {}

  Result<void> prepare(Deadline deadline) override {
    ASSIGN_OR_RETURN(const UapiPeer peer, get(deadline));
    if (!equal_secret(peer.preshared_key, Secret(wireguard_key_octets))) return {};
    // No preshared key: the interface is new, so what was in force here is no longer, and the tunnel would come up without one. Nobody has this one.
    held_.clear();
    former_.reset();
    return set_key(rng_.secret(wireguard_key_octets), deadline);
  }

  Result<void> load(const KeyId& id, const Secret& key, Deadline /*deadline*/) override {
    held_.insert_or_assign(id, key.duplicate());
    return {};
  }
  Result<void> unload(const KeyId& id, Deadline /*deadline*/) override {
    held_.erase(id);
    return {};
  }
  Result<std::vector<KeyId>> loaded(Deadline deadline) override {
    TRY(get(deadline));  // without an interface nothing is loaded, and it is not said that nothing is
    std::vector<KeyId> out;
    out.reserve(held_.size());
    for (const auto& [id, key] : held_) out.push_back(id);
    return out;
  }

  Result<void> follow(const KeyId& id, Deadline deadline) override {
    const auto found = held_.find(id);
    if (found == held_.end()) return fail(ErrorCode::not_found, "WireGuard: key " + id.hex() + " is not held");
    ASSIGN_OR_RETURN(UapiPeer peer, get(deadline));
    if (equal_secret(peer.preshared_key, found->second)) {
      former_.reset();  // said again: the initiator has put it in force
      return {};
    }
    const UnprovenKey since{.handshake_ns = peer.handshake_ns, .set_ns = unix_ns()};
    // What the tunnel runs on is the key that acted last, not one that was set after it and has not.
    const bool has_acted = !former_ || proof_of(former_->since, peer.handshake_ns, since.set_ns) == Proof::acts;
    TRY(set_key(found->second, deadline));
    if (has_acted) {
      former_.emplace(std::move(peer.preshared_key), since);
    } else if (equal_secret(former_->key, found->second)) {
      former_.reset();
    } else {
      former_->since = since;
    }
    return {};
  }

  Result<void> unfollow(Deadline deadline) override {
    if (!former_) return {};
    TRY(set_key(former_->key, deadline));
    former_.reset();
    return {};
  }

  Result<void> put_in_force(const KeyId& id, const std::optional<KeyId>& /*former*/, Deadline deadline) override {
    const auto found = held_.find(id);
    if (found == held_.end()) return fail(ErrorCode::not_found, "WireGuard: key " + id.hex() + " is not held");
    ASSIGN_OR_RETURN(const UapiPeer before, get(deadline));
    const auto shaken = set_and_await(found->second, before, deadline);
    if (shaken) {
      octets_before_ = *shaken;
      return {};
    }
    TRY(set_key(before.preshared_key, Deadline::after(back_max)));
    return fail(shaken.error());
  }

  [[nodiscard]] std::chrono::milliseconds patience() const override { return settings_.handshake == Handshake::forced ? forced_max : awaited_max; }

  Result<TunnelCondition> condition(Deadline deadline) override {
    ASSIGN_OR_RETURN(const UapiPeer peer, get(deadline));
    const std::uint64_t now_ns = unix_ns();
    watch_.look(peer, now_ns);
    const Proof proof = former_ ? proof_of(former_->since, peer.handshake_ns, now_ns) : Proof::acts;
    if (proof == Proof::acts) former_.reset();
    const std::uint64_t octets = octets_of(peer);
    return TunnelCondition{.up = watch_.up(),
                           .octets = octets - std::min(octets, octets_before_),
                           .changeable = settings_.handshake == Handshake::forced || watch_.shakes_soon(),
                           .overdue = proof == Proof::overdue};
  }

  void interrupt() noexcept override { interrupted_ = true; }

 private:
  static constexpr std::chrono::milliseconds back_max{2000};

  static std::uint64_t octets_of(const UapiPeer& peer) { return peer.rx_octets + peer.tx_octets; }

  /// In memory for secrets, which is wiped however this ends.
  struct Answer {
    Secret memory;
    std::size_t size = 0;
    std::span<std::uint8_t> octets() { return memory.writable().first(size); }
  };

  /// What is sent may hold keys, and so may the answer.
  Result<Answer> ask(UapiRequest request, Deadline deadline) const {
    ASSIGN_OR_RETURN(UnixStream stream, UnixStream::connect(settings_.socket, deadline));
    const Secret octets = std::move(request).finish();
    TRY(stream.send(octets.reveal(), deadline));
    Answer answer{.memory = Secret(answer_first)};
    while (!uapi_complete(answer.octets())) {
      if (answer.size == answer.memory.size()) {
        if (answer.size >= uapi_answer_max)
          return fail(ErrorCode::invalid_argument, "WireGuard: an answer of more than " + std::to_string(uapi_answer_max) + " octets");
        Secret larger(2 * answer.size);
        std::ranges::copy(answer.octets(), larger.writable().begin());
        answer.memory = std::move(larger);
      }
      ASSIGN_OR_RETURN(const std::size_t got, stream.receive_some(answer.memory.writable().subspan(answer.size), deadline));
      answer.size += got;
    }
    return Result<Answer>(std::move(answer));
  }

  Result<UapiPeer> get(Deadline deadline) const {
    ASSIGN_OR_RETURN(Answer answer, ask(UapiRequest("get"), deadline));
    return read_uapi_get(answer.octets(), settings_.peer_key);
  }

  Result<void> set(UapiRequest request, Deadline deadline) const {
    ASSIGN_OR_RETURN(Answer answer, ask(std::move(request), deadline));
    return read_uapi_set(answer.octets());
  }

  Result<void> set_key(const Secret& key, Deadline deadline) const {
    UapiRequest request("set");
    request.line("public_key", settings_.peer_key).line("update_only", "true").line("preshared_key", key);
    return set(std::move(request), deadline);
  }

  /// A handshake, now. One request, so that no other comes between: the interface is never left with the other private key. Not the preshared key, which must be
  /// there before: traffic begins a handshake as soon as the private key is back, whose answer may come before the next line is read; it would be
  /// dropped, and WireGuard's next attempt is five seconds later.
  Result<void> shake(const UapiPeer& before, Deadline deadline) const {
    if (before.private_key.empty()) return fail(ErrorCode::conflict, "WireGuard: the interface has no private key");
    const std::string keepalive = std::to_string(before.keepalive_s);
    UapiRequest request("set");
    request.line("private_key", rng_.secret(wireguard_key_octets)).line("private_key", before.private_key);
    request.line("public_key", settings_.peer_key).line("update_only", "true");
    // From none to some: a keepalive goes out at once, and with it the handshake, although there be no traffic.
    request.line("persistent_keepalive_interval", "0").line("persistent_keepalive_interval", before.keepalive_s == 0 ? some_keepalive_s : keepalive);
    TRY(set(std::move(request), deadline));
    if (before.keepalive_s != 0) return {};
    UapiRequest restore("set");
    restore.line("public_key", settings_.peer_key).line("update_only", "true").line("persistent_keepalive_interval", "0");
    return set(std::move(restore), deadline);
  }

  /// The octets of the peer when a handshake later than that of `before` is there.
  Result<std::uint64_t> set_and_await(const Secret& key, const UapiPeer& before, Deadline deadline) const {
    TRY(set_key(key, deadline));
    if (settings_.handshake == Handshake::forced) {
      TRY(shake(before, deadline));
      return await_handshake(before.handshake_ns, deadline);
    }
    return await_handshake(before.handshake_ns, deadline.sooner_of(handshake_wait(before.handshake_ns, unix_ns())));
  }
  Result<std::uint64_t> await_handshake(std::uint64_t former_ns, Deadline deadline) const {
    while (!deadline.passed()) {
      ASSIGN_OR_RETURN(const UapiPeer peer, get(deadline));
      if (peer.handshake_ns > former_ns) return octets_of(peer);
      if (interrupted_) return fail(ErrorCode::unavailable, "WireGuard: no handshake under the new key before the agent's end");
      std::this_thread::sleep_for(std::min(look_again, deadline.remaining()));
    }
    return fail(ErrorCode::deadline_exceeded, "WireGuard: no handshake under the new key");
  }

  const WireGuardSettings settings_;
  crypto::Rng& rng_;
  std::map<KeyId, Secret> held_;
  std::uint64_t octets_before_ = 0;
  PeerWatch watch_;
  struct Former {
    Former(Secret its_key, UnprovenKey its_since) : key(std::move(its_key)), since(its_since) {}
    Secret key;
    UnprovenKey since;  // of the one that followed
  };
  std::optional<Former> former_;  // responder: what unfollow() sets
  std::atomic<bool> interrupted_ = false;
};

}  // namespace

std::unique_ptr<Tunnel> open_wireguard(const WireGuardSettings& settings, crypto::Rng& rng) { return std::make_unique<WireGuard>(settings, rng); }

}  // namespace qanat::terminal::gateway
