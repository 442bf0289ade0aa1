#include "terminal/gateway/initiator.hpp"

#include <algorithm>

#include "node/crash_point.hpp"

namespace qanat::terminal::gateway {
namespace {

constexpr std::chrono::milliseconds initiator_step_max{15000};
constexpr std::chrono::milliseconds pause_idle{500};
constexpr UnixMs agreement_holds_ms = 5000;  // then the responder is asked again: its gateway may have been restarted
constexpr std::chrono::milliseconds last_word_max{2000};  // to the responder, when the process is to end

/// What the responder is to keep. What retires is kept at both ends until a key is in force whose change was not interrupted: the tunnel may run on it.
std::vector<KeyId> told_of(const std::vector<GatewayKeyRow>& rows) {
  const bool is_known = active_of(rows) != nullptr;
  std::vector<KeyId> out;
  for (const GatewayKeyRow& row : rows) {
    if (row.state == GatewayKeyState::taken || (row.state == GatewayKeyState::retiring && is_known)) continue;
    out.push_back(row.id);
  }
  return out;
}

}  // namespace

Result<RotationView> Initiator::look(Deadline deadline) {
  TRY(tunnel_->prepare(deadline));
  ASSIGN_OR_RETURN(const std::vector<GatewayKeyRow> before, records_.live(plan_.name));
  // A change that was interrupted: which key the tunnel runs on is not known, and will be after a further one.
  if (std::ranges::find(before, GatewayKeyState::switching, &GatewayKeyRow::state) != before.end()) asked_ = true;
  ASSIGN_OR_RETURN(const bool changed, reconcile(deadline));
  if (changed) agreed_ = false;
  ASSIGN_OR_RETURN(const TunnelCondition condition, tunnel_->condition(deadline));
  RotationView out;
  ASSIGN_OR_RETURN(out.keys, records_.live(plan_.name));
  publish(out.keys, condition.up);
  out.now_ms = now();
  // What stands in the future was set by a clock that was set back since.
  out.agreed = agreed_ && agreed_ms_ <= out.now_ms && out.now_ms - agreed_ms_ < agreement_holds_ms;
  out.up = condition.up;
  out.octets = condition.octets;
  out.asked = asked_;
  out.changeable = condition.changeable;
  for (std::size_t i = 0; i < pauses_.size(); ++i) {
    const UnixMs latest = out.now_ms + static_cast<UnixMs>(rotation_pause(pauses_[i].failures).count());
    out.pauses[i] = {.failures = pauses_[i].failures, .not_before_ms = std::min(pauses_[i].not_before_ms, latest)};
  }
  return out;
}

Result<std::chrono::milliseconds> Initiator::step() {
  const auto view = look(Deadline::after(initiator_step_max));
  if (!view) {
    failed(RotationStep::none);
    return fail(view.error());
  }
  succeeded(RotationStep::none);
  const RotationStep next = next_step(*view, plan_.policy);
  if (next == RotationStep::none) return pause_idle;
  const auto done = do_step(next, view->keys);
  if (!done) {
    failed(next);
    return fail(done.error());
  }
  succeeded(next);
  return std::chrono::milliseconds(0);  // something else may be due at once
}

void Initiator::succeeded(RotationStep step) { pauses_[index_of(step)] = {}; }

void Initiator::failed(RotationStep step) {
  StepPause& pause = pauses_[index_of(step)];
  ++pause.failures;
  pause.not_before_ms = now() + static_cast<UnixMs>(rotation_pause(pause.failures).count());
  agreed_ = agreed_ && step == RotationStep::take;
}

Result<void> Initiator::do_step(RotationStep step, const std::vector<GatewayKeyRow>& rows) {
  switch (step) {
    case RotationStep::none:
      return {};
    case RotationStep::agree:
      return agree(Deadline::after(initiator_step_max));
    case RotationStep::take:
      return take(Deadline::after(initiator_step_max));
    case RotationStep::put_in_force: {
      const auto oldest = std::ranges::find(rows, GatewayKeyState::ready, &GatewayKeyRow::state);
      return put_in_force(oldest->id, rows);
    }
  }
  return {};
}

Result<std::vector<KeyId>> Initiator::tell(const std::optional<KeyId>& in_force, const std::vector<GatewayKeyRow>& rows, Deadline deadline) {
  Dx1Loaded message{.tunnel = plan_.name, .turn = 0, .in_force = in_force, .keep = told_of(rows)};
  ASSIGN_OR_RETURN(message.turn, records_.next_turn(plan_.name, now()));
  return ports_.agree(message, deadline);
}

Result<void> Initiator::agree(Deadline deadline) {
  ASSIGN_OR_RETURN(const std::vector<GatewayKeyRow> rows, records_.live(plan_.name));
  const GatewayKeyRow* const active = active_of(rows);
  ASSIGN_OR_RETURN(const std::vector<KeyId> far, tell(active == nullptr ? std::optional<KeyId>() : std::optional(active->id), rows, deadline));
  for (const GatewayKeyRow& row : rows) {
    const bool held_there = std::ranges::find(far, row.id) != far.end();
    const bool over = row.state == GatewayKeyState::retiring && active != nullptr;
    if (over || !held_there) TRY(forget(row.id, deadline));
  }
  agreed_ = true;
  agreed_ms_ = now();
  return {};
}

Result<void> Initiator::take(Deadline deadline) {
  ASSIGN_OR_RETURN(const kme::Key key, ports_.fresh(deadline));
  TRY(records_.take(plan_.name, key.id, now()));
  node::crash_point("gateway.taken");
  const auto both = [&]() -> Result<void> {
    TRY(ports_.offer({.tunnel = plan_.name, .key = key.id}, deadline));
    node::crash_point("gateway.offered");
    TRY(load(key.id, key.octets, deadline));
    node::crash_point("gateway.loaded");
    return move({{.id = key.id, .to = GatewayKeyState::ready}});
  }();
  if (both) return {};
  TRY(forget(key.id, deadline));
  return both;
}

Result<void> Initiator::put_in_force(const KeyId& id, const std::vector<GatewayKeyRow>& rows) {
  TRY(move({{.id = id, .to = GatewayKeyState::switching}}));
  node::crash_point("gateway.switching");
  const Deadline deadline = Deadline::after(tunnel_->patience() + initiator_step_max);
  const auto changed = change(id, rows, deadline);
  if (changed) {
    asked_ = false;
    return {};
  }
  // The key was shown to the other end, or may have been: it is not tried again. The tunnel is on the key before; an error here is less than the one before it.
  agreed_ = false;
  (void)ports_.record("gateway.rotation", object_of(id), &changed.error());
  const Deadline again = Deadline::after(is_to_end() ? last_word_max : initiator_step_max);
  TRY(forget(id, again));
  (void)agree(again);
  return fail_in("key " + id.hex() + " could not be put in force", changed.error());
}

Result<void> Initiator::change(const KeyId& id, const std::vector<GatewayKeyRow>& rows, Deadline deadline) {
  ASSIGN_OR_RETURN(const std::vector<KeyId> far, tell(id, rows, deadline.sooner_of(initiator_step_max)));
  if (std::ranges::find(far, id) == far.end()) return fail(ErrorCode::not_found, "the responder no longer holds it");
  node::crash_point("gateway.told");
  const GatewayKeyRow* const former = active_of(rows);
  TRY(tunnel_->put_in_force(id, former == nullptr ? std::optional<KeyId>() : std::optional(former->id), deadline));
  node::crash_point("gateway.changed");
  std::vector<KeyRecords::Move> moves;
  if (former != nullptr) moves.push_back({.id = former->id, .to = GatewayKeyState::retiring});
  moves.push_back({.id = id, .to = GatewayKeyState::active});
  TRY(move(moves));
  agreed_ = false;  // the responder hears that it has worked, and forgets the former key
  return {};
}

}  // namespace qanat::terminal::gateway
