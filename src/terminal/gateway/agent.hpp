// What both kinds of agent have in common: one tunnel, its records, its gateway software, and the ways to the outside as functions (tests put their own in).
#pragma once

#include <atomic>
#include <functional>
#include <mutex>

#include "base/secret.hpp"
#include "crypto/suite.hpp"
#include "kme/provider.hpp"
#include "terminal/gateway/dx1.hpp"
#include "terminal/gateway/key_records.hpp"
#include "terminal/gateway/tunnel.hpp"
#include "wire/gateway_key.hpp"

namespace qanat::terminal::gateway {

struct TunnelPlan {
  std::string name;
  Role role = Role::initiator;
  wire::GatewayUse use = wire::GatewayUse::ppk;
  Identity initiator;
  Identity responder;
  RotationPolicy policy;
};

struct AgentPorts {
  const Clock& clock;
  const crypto::Suite& suite;
  /// On the audit record before anybody is answered; `why` empty: it succeeded. A failure to record stops what was to be done.
  std::function<Result<void>(std::string_view action, std::string_view object, const Error* why)> record;
  // Initiator.
  std::function<Result<kme::Key>(Deadline)> fresh;
  std::function<Result<void>(const Dx1Key&, Deadline)> offer;
  std::function<Result<std::vector<KeyId>>(const Dx1Loaded&, Deadline)> agree;
  // Responder.
  std::function<Result<Secret>(const KeyId&, Deadline)> by_id;
};

/// For people and the health answer.
struct TunnelState {
  bool up = false;
  std::optional<KeyId> key;  // in force
  UnixMs since_ms = 0;
  std::size_t ready = 0;
  std::uint64_t changes = 0;  // of the key in force, since the start
  std::string last_failure;   // empty once it works again
};

class Agent {
 public:
  Agent(TunnelPlan plan, AgentPorts ports, KeyRecords& records, std::unique_ptr<Tunnel> tunnel)
      : plan_(std::move(plan)), ports_(std::move(ports)), records_(records), tunnel_(std::move(tunnel)) {}
  virtual ~Agent() = default;
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  [[nodiscard]] const TunnelPlan& plan() const noexcept { return plan_; }
  [[nodiscard]] TunnelState state() const;
  /// What is due now, and how long after it the next look is due. Failures are on record and in state().
  std::chrono::milliseconds work();
  /// The key in force is to be followed by another now.
  virtual void ask() {}
  /// The process is to end: work() that is under way comes to its end soon. From any thread.
  void interrupt() noexcept {
    to_end_ = true;
    tunnel_->interrupt();
  }

 protected:
  [[nodiscard]] bool is_to_end() const noexcept { return to_end_; }
  virtual Result<std::chrono::milliseconds> step() = 0;
  /// True after a failure until what failed has worked.
  [[nodiscard]] virtual bool recovering() const { return false; }

  [[nodiscard]] std::string object_of(const KeyId& id) const;
  [[nodiscard]] UnixMs now() const { return ports_.clock.now_ms(); }
  /// Into the gateway as what is derived from it.
  Result<void> load(const KeyId& id, const Secret& key, Deadline deadline);
  /// Moves the states and puts them on record.
  Result<void> move(const std::vector<KeyRecords::Move>& moves);
  /// Out of the gateway, and gone.
  Result<void> forget(const KeyId& id, Deadline deadline);
  /// Makes records and gateway agree again after whatever happened: what the gateway lost is gone; what was on its way when the agent died is gone; a key whose
  /// change was interrupted retires. True if anything was not as it stood.
  Result<bool> reconcile(Deadline deadline);
  void publish(const std::vector<GatewayKeyRow>& rows, bool up);

  const TunnelPlan plan_;
  const AgentPorts ports_;
  KeyRecords& records_;
  const std::unique_ptr<Tunnel> tunnel_;
  std::mutex work_mutex_;  // over the tunnel and the order of what is done with it

 private:
  mutable std::mutex state_mutex_;
  TunnelState state_;  // under state_mutex_
  std::atomic<bool> to_end_ = false;
};

/// The active key's row, or nullptr.
const GatewayKeyRow* active_of(const std::vector<GatewayKeyRow>& rows) noexcept;

}  // namespace qanat::terminal::gateway
