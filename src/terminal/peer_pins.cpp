#include "terminal/peer_pins.hpp"

namespace qanat::terminal {
namespace {

TerminalStore::PeerSeen seen_of(const crypto::Certificate& certificate, UnixMs now) {
  return {.fingerprint = certificate.fingerprint(crypto::Hash::sha256),
          .not_before = certificate.not_before(),
          .not_after = certificate.not_after(),
          .last_ms = now};
}

Uid uid_of(const crypto::Certificate& certificate) { return Uid(certificate.names().element->name); }

}  // namespace

std::string_view name(PeerPin pin) noexcept {
  switch (pin) {
    case PeerPin::unseen:
      return "unseen";
    case PeerPin::first:
      return "first";
    case PeerPin::same:
      return "same";
    case PeerPin::renewed:
      return "renewed";
    case PeerPin::changed:
      return "changed";
  }
  return "";
}

PeerPin judge_pin(const std::optional<TerminalStore::PeerSeen>& last, const crypto::Certificate& shown, UnixMs now) {
  if (!last) return PeerPin::first;
  if (last->fingerprint == shown.fingerprint(crypto::Hash::sha256)) return PeerPin::same;
  // A terminal renews when two thirds of the life are over; half is allowed for clocks and for operators who renew by hand.
  const UnixMs half = last->not_before + (last->not_after - last->not_before) / 2;
  return now >= half ? PeerPin::renewed : PeerPin::changed;
}

CheckPeer PeerPins::check() {
  return [this](ByteView classical_der, ByteView ml_dsa_der) -> Result<std::shared_ptr<const node::Sender>> {
    ASSIGN_OR_RETURN(std::shared_ptr<const node::Sender> sender, checked_(classical_der, ml_dsa_der));
    TRY(look(sender->ml_dsa));
    return sender;
  };
}

Result<void> PeerPins::look(const crypto::Certificate& shown) {
  ASSIGN_OR_RETURN(const auto last, store_.peer_seen(uid_of(shown)));
  const PeerPin pin = judge_pin(last, shown, clock_.now_ms());
  {
    const std::lock_guard lock(mutex_);
    shown_ = shown;
    pin_ = pin;
  }
  if (pin == PeerPin::changed) changed_(uid_of(shown), *last);
  return {};
}

Result<PeerPin> PeerPins::keep() {
  const std::lock_guard lock(mutex_);
  if (shown_) TRY(store_.save_peer_seen(uid_of(*shown_), seen_of(*shown_, clock_.now_ms())));
  return pin_;
}

}  // namespace qanat::terminal
