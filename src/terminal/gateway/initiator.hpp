// The agent at the end that leads: it takes keys, has the responder take them too, and puts one after the other in force.
#pragma once

#include <algorithm>
#include <atomic>

#include "terminal/gateway/agent.hpp"

namespace qanat::terminal::gateway {

class Initiator final : public Agent {
 public:
  using Agent::Agent;
  void ask() override { asked_ = true; }

 protected:
  Result<std::chrono::milliseconds> step() override;
  [[nodiscard]] bool recovering() const override {
    return std::ranges::any_of(pauses_, [](const StepPause& pause) { return pause.failures > 0; });
  }

 private:
  void succeeded(RotationStep step);
  void failed(RotationStep step);
  Result<RotationView> look(Deadline deadline);
  Result<void> do_step(RotationStep step, const std::vector<GatewayKeyRow>& rows);
  Result<void> agree(Deadline deadline);
  /// Tells the responder; what it holds.
  Result<std::vector<KeyId>> tell(const std::optional<KeyId>& in_force, const std::vector<GatewayKeyRow>& rows, Deadline deadline);
  Result<void> take(Deadline deadline);
  Result<void> put_in_force(const KeyId& id, const std::vector<GatewayKeyRow>& rows);
  Result<void> change(const KeyId& id, const std::vector<GatewayKeyRow>& rows, Deadline deadline);

  std::atomic<bool> asked_ = false;
  bool agreed_ = false;
  UnixMs agreed_ms_ = 0;
  StepPauses pauses_{};
};

}  // namespace qanat::terminal::gateway
