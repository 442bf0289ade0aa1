#include "terminal/gateway/wireguard.hpp"

#include <algorithm>
#include <map>
#include <thread>

#include "terminal/gateway/uapi_message.hpp"
#include "terminal/gateway/unix_stream.hpp"

namespace qanat::terminal::gateway {
namespace {

constexpr std::chrono::milliseconds look_again{20};
constexpr std::chrono::milliseconds forced_max{16000};    // three attempts of WireGuard
constexpr std::chrono::milliseconds awaited_max{150000};  // REKEY_AFTER_TIME of the protocol is 120 s; before REJECT_AFTER_TIME both are back on the former key
constexpr std::uint64_t session_max_ns = 180'000'000'000;  // REJECT_AFTER_TIME of the protocol: a session's keys are no longer used
constexpr std::string_view some_keepalive_s = "25";

class WireGuard final : public Tunnel {
 public:
  WireGuard(WireGuardSettings settings, crypto::Rng& rng) : settings_(std::move(settings)), rng_(rng) {}

  Result<void> prepare(Deadline deadline) override {
    ASSIGN_OR_RETURN(const UapiPeer peer, get(deadline));
    if (!equal_secret(peer.preshared_key, Secret(wireguard_key_octets))) return {};
    // No preshared key: the tunnel would come up without one. Nobody has this one.
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
    ASSIGN_OR_RETURN(const UapiPeer peer, get(deadline));
    if (equal_secret(peer.preshared_key, found->second)) return {};
    return set_key(found->second, deadline);
  }

  Result<void> put_in_force(const KeyId& id, const std::optional<KeyId>& /*former*/, Deadline deadline) override {
    const auto found = held_.find(id);
    if (found == held_.end()) return fail(ErrorCode::not_found, "WireGuard: key " + id.hex() + " is not held");
    ASSIGN_OR_RETURN(const UapiPeer before, get(deadline));
    TRY(settings_.handshake == Handshake::forced ? set_and_shake(found->second, before, deadline) : set_key(found->second, deadline));
    const auto shaken = await_handshake(before.handshake_ns, deadline);
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
    const auto now =
        static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count());
    return TunnelCondition{.up = peer.handshake_ns + session_max_ns > now, .octets = peer.octets - std::min(peer.octets, octets_before_)};
  }

 private:
  static constexpr std::chrono::milliseconds back_max{2000};

  /// What is sent may hold keys, and so may the answer.
  Result<Bytes> ask(UapiRequest request, Deadline deadline) const {
    ASSIGN_OR_RETURN(UnixStream stream, UnixStream::connect(settings_.socket, deadline));
    const Secret octets = std::move(request).finish();
    TRY(stream.send(octets.reveal(), deadline));
    Bytes answer(uapi_answer_max);
    std::size_t size = 0;
    while (!uapi_complete(ByteView(answer).first(size))) {
      if (size == answer.size()) return fail(ErrorCode::invalid_argument, "WireGuard: an answer of more than " + std::to_string(uapi_answer_max) + " octets");
      ASSIGN_OR_RETURN(const std::size_t got, stream.receive_some(std::span(answer).subspan(size), deadline));
      size += got;
    }
    answer.resize(size);
    return answer;
  }

  Result<UapiPeer> get(Deadline deadline) const {
    ASSIGN_OR_RETURN(Bytes answer, ask(UapiRequest("get"), deadline));
    auto peer = read_uapi_get(answer, settings_.peer_key);
    wipe(answer);
    return peer;
  }

  Result<void> set(UapiRequest request, Deadline deadline) const {
    ASSIGN_OR_RETURN(const Bytes answer, ask(std::move(request), deadline));
    return read_uapi_set(answer);
  }

  Result<void> set_key(const Secret& key, Deadline deadline) const {
    UapiRequest request("set");
    request.line("public_key", settings_.peer_key).line("update_only", "true").line("preshared_key", key);
    return set(std::move(request), deadline);
  }

  /// One request, so that no other comes between: the interface is never left with the other private key.
  Result<void> set_and_shake(const Secret& key, const UapiPeer& before, Deadline deadline) const {
    if (before.private_key.empty()) return fail(ErrorCode::conflict, "WireGuard: the interface has no private key");
    const std::string keepalive = std::to_string(before.keepalive_s);
    UapiRequest request("set");
    request.line("private_key", rng_.secret(wireguard_key_octets)).line("private_key", before.private_key);
    request.line("public_key", settings_.peer_key).line("update_only", "true").line("preshared_key", key);
    // From none to some: a keepalive goes out at once, and with it the handshake, although there be no traffic.
    request.line("persistent_keepalive_interval", "0").line("persistent_keepalive_interval", before.keepalive_s == 0 ? some_keepalive_s : keepalive);
    TRY(set(std::move(request), deadline));
    if (before.keepalive_s != 0) return {};
    UapiRequest restore("set");
    restore.line("public_key", settings_.peer_key).line("update_only", "true").line("persistent_keepalive_interval", "0");
    return set(std::move(restore), deadline);
  }

  /// The octets of the peer when a handshake later than this one is there.
  Result<std::uint64_t> await_handshake(std::uint64_t former_ns, Deadline deadline) const {
    while (!deadline.passed()) {
      ASSIGN_OR_RETURN(const UapiPeer peer, get(deadline));
      if (peer.handshake_ns > former_ns) return peer.octets;
      std::this_thread::sleep_for(std::min(look_again, deadline.remaining()));
    }
    return fail(ErrorCode::deadline_exceeded, "WireGuard: no handshake under the new key");
  }

  const WireGuardSettings settings_;
  crypto::Rng& rng_;
  std::map<KeyId, Secret> held_;
  std::uint64_t octets_before_ = 0;
};

}  // namespace

std::unique_ptr<Tunnel> open_wireguard(const WireGuardSettings& settings, crypto::Rng& rng) { return std::make_unique<WireGuard>(settings, rng); }

}  // namespace qanat::terminal::gateway
