// Which certificates a subscriber showed at the last call. Another's certificate in his name, however well issued, shows as a change that no renewal explains.
#pragma once

#include <mutex>

#include "terminal/peer_check.hpp"
#include "terminal/terminal_store.hpp"

namespace qanat::terminal {

enum class PeerPin : std::uint8_t {
  unseen,   // no call came to Ax yet, or the peer never showed certificates
  first,    // never seen before
  same,     // as at the last call
  renewed,  // others, when those of the last call were due to be renewed
  changed,  // others, when they were not: renewed early, enrolled anew, or somebody else
};
std::string_view name(PeerPin pin) noexcept;

/// What the certificate now means after the one seen last; `shown` is good and names the same subscriber.
PeerPin judge_pin(const std::optional<TerminalStore::PeerSeen>& last, const crypto::Certificate& shown, UnixMs now);

class PeerPins {
 public:
  /// Told of a change before anything is said. `checked` is the check that is made of a peer's certificates.
  using Changed = std::function<void(const Uid& peer, const TerminalStore::PeerSeen& last)>;
  PeerPins(TerminalStore& store, const Clock& clock, CheckPeer checked, Changed changed)
      : store_(store), clock_(clock), checked_(std::move(checked)), changed_(std::move(changed)) {}

  /// The check, with the look at what was seen before. The object outlives it.
  CheckPeer check();
  /// The call was held: the peer that it was held with is remembered. What it showed, against what it showed before.
  Result<PeerPin> keep();

 private:
  Result<void> look(const crypto::Certificate& shown);

  TerminalStore& store_;
  const Clock& clock_;
  const CheckPeer checked_;
  const Changed changed_;
  std::mutex mutex_;
  std::optional<crypto::Certificate> shown_;
  PeerPin pin_ = PeerPin::unseen;
};

}  // namespace qanat::terminal
