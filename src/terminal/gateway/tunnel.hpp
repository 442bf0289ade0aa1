// A gateway's own software, as far as an agent drives it: where keys are put for one tunnel, which of them is in force, and how the tunnel is.
#pragma once

#include <chrono>
#include <optional>
#include <vector>

#include "base/clock.hpp"
#include "base/id.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

namespace qanat::terminal::gateway {

/// Which end of a tunnel: the initiator takes keys and puts them in force, the responder follows.
enum class Role : std::uint8_t { initiator, responder };

struct TunnelCondition {
  bool up = false;           // traffic passes under a key of the agents, or would if there were any
  std::uint64_t octets = 0;  // both ways, since the key in force was put in force, as far as this process was there
  bool changeable = true;    // initiator: a change that begins now comes to its end
  bool overdue = false;      // responder: the key of the last follow() has not acted, and what runs without it ends soon
};

/// Not thread-safe but for interrupt(): its agent uses it from one thread at a time. Whatever fails, what was in force before still is, unless said otherwise.
class Tunnel {
 public:
  virtual ~Tunnel() = default;

  /// All but the keys: the tunnel is set up so that it does not come up without one. Idempotent; called again when the software has been restarted.
  virtual Result<void> prepare(Deadline deadline) = 0;
  /// Held from now on under this id, not in force yet. The same again changes nothing.
  virtual Result<void> load(const KeyId& id, const Secret& key, Deadline deadline) = 0;
  /// Forgotten; no failure if it is not held.
  virtual Result<void> unload(const KeyId& id, Deadline deadline) = 0;
  /// What is held now.
  virtual Result<std::vector<KeyId>> loaded(Deadline deadline) = 0;
  /// Responder: the peer puts (or has put) this key in force. not_found if it is not held.
  virtual Result<void> follow(const KeyId& id, Deadline deadline) = 0;
  /// Responder: what was there before the last follow() is there again. No failure if there is nothing to undo.
  virtual Result<void> unfollow(Deadline deadline) = 0;
  /// Initiator: puts a held key in force, the far end holds it too; `former` is the one before, if any. Afterwards nothing runs on another key. denied if the
  /// far end did not accept the key, unavailable or deadline_exceeded if it did not answer.
  virtual Result<void> put_in_force(const KeyId& id, const std::optional<KeyId>& former, Deadline deadline) = 0;
  /// How long put_in_force() may have to be given.
  [[nodiscard]] virtual std::chrono::milliseconds patience() const = 0;
  virtual Result<TunnelCondition> condition(Deadline deadline) = 0;
  /// The process is to end: a put_in_force() that would wait for more than seconds gives up, now and later. From any thread.
  virtual void interrupt() noexcept = 0;
};

}  // namespace qanat::terminal::gateway
