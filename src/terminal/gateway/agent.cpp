#include "terminal/gateway/agent.hpp"

#include <algorithm>

#include "kme/key_id_text.hpp"

namespace qanat::terminal::gateway {

const GatewayKeyRow* active_of(const std::vector<GatewayKeyRow>& rows) noexcept {
  const auto found = std::ranges::find(rows, GatewayKeyState::active, &GatewayKeyRow::state);
  return found == rows.end() ? nullptr : &*found;
}

TunnelState Agent::state() const {
  const std::lock_guard lock(state_mutex_);
  return state_;
}

std::chrono::milliseconds Agent::work() {
  const std::lock_guard lock(work_mutex_);
  const auto done = step();
  bool is_new = false;
  {
    const std::lock_guard state_lock(state_mutex_);
    is_new = !done && done.error().message != state_.last_failure;
    if (!done) {
      state_.last_failure = done.error().message;
    } else if (!recovering()) {
      state_.last_failure.clear();
    }
  }
  // Once, not at each attempt; a key that was refused has been recorded where that happened.
  if (is_new) (void)ports_.record("gateway.failure", plan_.name, &done.error());
  return done.value_or(std::chrono::milliseconds(1000));
}

std::string Agent::object_of(const KeyId& id) const { return plan_.name + "/" + kme::to_uuid(id); }

Result<void> Agent::load(const KeyId& id, const Secret& key, Deadline deadline) {
  if (key.size() != wire::gateway_key_octets) return fail(ErrorCode::invalid_argument, "key " + id.hex() + " has " + std::to_string(key.size()) + " octets");
  const Secret derived = wire::gateway_key(ports_.suite, plan_.use, key, id, {.initiator = plan_.initiator, .responder = plan_.responder});
  return tunnel_->load(id, derived, deadline);
}

Result<void> Agent::move(const std::vector<KeyRecords::Move>& moves) {
  TRY(records_.move(plan_.name, moves, now()));
  for (const KeyRecords::Move& one : moves) TRY(ports_.record("gateway.key." + std::string(name(one.to)), object_of(one.id), nullptr));
  return {};
}

Result<void> Agent::forget(const KeyId& id, Deadline deadline) {
  TRY(tunnel_->unload(id, deadline));
  return move({{.id = id, .to = GatewayKeyState::gone}});
}

Result<bool> Agent::reconcile(Deadline deadline) {
  ASSIGN_OR_RETURN(const std::vector<KeyId> held, tunnel_->loaded(deadline));
  ASSIGN_OR_RETURN(const std::vector<GatewayKeyRow> rows, records_.live(plan_.name));
  bool changed = false;
  for (const GatewayKeyRow& row : rows) {
    const bool is_held = std::ranges::find(held, row.id) != held.end();
    if (row.state == GatewayKeyState::taken || !is_held) {
      TRY(forget(row.id, deadline));
    } else if (row.state == GatewayKeyState::switching) {
      TRY(move({{.id = row.id, .to = GatewayKeyState::retiring}}));
    } else {
      continue;
    }
    changed = true;
  }
  for (const KeyId& id : held) {
    if (std::ranges::find(rows, id, &GatewayKeyRow::id) != rows.end()) continue;
    ASSIGN_OR_RETURN(const auto state, records_.state_of(plan_.name, id));
    if (state) TRY(tunnel_->unload(id, deadline));  // ours, and gone by the records; keys of other tunnels and of operators stay
  }
  return changed;
}

void Agent::publish(const std::vector<GatewayKeyRow>& rows, bool up) {
  const GatewayKeyRow* const active = active_of(rows);
  const std::lock_guard lock(state_mutex_);
  state_.up = up;
  const std::optional<KeyId> key = active == nullptr ? std::optional<KeyId>() : std::optional(active->id);
  if (key && key != state_.key) ++state_.changes;
  state_.key = key;
  state_.since_ms = active == nullptr ? 0 : active->since_ms;
  state_.ready = static_cast<std::size_t>(std::ranges::count(rows, GatewayKeyState::ready, &GatewayKeyRow::state));
}

}  // namespace qanat::terminal::gateway
