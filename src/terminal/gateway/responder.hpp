// The agent at the end that follows: it takes the keys that the initiator names, and does with them what the initiator says.
#pragma once

#include "terminal/gateway/agent.hpp"

namespace qanat::terminal::gateway {

class Responder final : public Agent {
 public:
  using Agent::Agent;

  /// dx1_key. conflict for a key that was here before, exhausted where too many wait; the same key again, while it is held: nothing more happens.
  Result<void> take(const KeyId& id, Deadline deadline);
  /// dx1_loaded: what the gateway holds afterwards. conflict for a message that was overtaken.
  Result<std::vector<KeyId>> follow(const Dx1Loaded& message, Deadline deadline);

 protected:
  Result<std::chrono::milliseconds> step() override;

 private:
  Result<void> put_in_force(const KeyId& id, const std::vector<GatewayKeyRow>& rows, Deadline deadline);
  /// To the key before, because the initiator said that it puts one in force and neither has done so nor been heard of since.
  Result<void> go_back(Deadline deadline);

  std::optional<KeyId> former_;  // what was in force before the last change
};

}  // namespace qanat::terminal::gateway
