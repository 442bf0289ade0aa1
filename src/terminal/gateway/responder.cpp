#include "terminal/gateway/responder.hpp"

#include <algorithm>

#include "node/crash_point.hpp"

namespace qanat::terminal::gateway {
namespace {

constexpr std::chrono::milliseconds responder_step_max{10000};
constexpr std::chrono::milliseconds responder_pause{1000};

}  // namespace

Result<std::chrono::milliseconds> Responder::step() {
  const Deadline deadline = Deadline::after(responder_step_max);
  TRY(tunnel_->prepare(deadline));
  ASSIGN_OR_RETURN(const bool changed, reconcile(deadline));
  (void)changed;
  ASSIGN_OR_RETURN(const TunnelCondition condition, tunnel_->condition(deadline));
  if (condition.overdue) TRY(go_back(deadline));
  ASSIGN_OR_RETURN(const std::vector<GatewayKeyRow> rows, records_.live(plan_.name));
  publish(rows, condition.up);
  return responder_pause;
}

Result<void> Responder::take(const KeyId& id, Deadline deadline) {
  const std::lock_guard lock(work_mutex_);
  TRY(tunnel_->prepare(deadline));
  TRY(reconcile(deadline));
  ASSIGN_OR_RETURN(const auto state, records_.state_of(plan_.name, id));
  if (state == GatewayKeyState::ready || state == GatewayKeyState::active) return {};
  ASSIGN_OR_RETURN(const std::vector<GatewayKeyRow> rows, records_.live(plan_.name));
  if (rows.size() >= dx1_keys_max) return fail(ErrorCode::exhausted, "tunnel " + plan_.name + " holds " + std::to_string(rows.size()) + " keys");
  TRY(records_.take(plan_.name, id, now()));
  node::crash_point("gateway.peer.taken");
  const auto held = [&]() -> Result<void> {
    ASSIGN_OR_RETURN(const Secret key, ports_.by_id(id, deadline));
    node::crash_point("gateway.peer.fetched");
    TRY(load(id, key, deadline));
    node::crash_point("gateway.peer.loaded");
    return move({{.id = id, .to = GatewayKeyState::ready}});
  }();
  if (held) return {};
  TRY(forget(id, deadline));
  return held;
}

Result<void> Responder::put_in_force(const KeyId& id, const std::vector<GatewayKeyRow>& rows, Deadline deadline) {
  const auto row = std::ranges::find(rows, id, &GatewayKeyRow::id);
  if (row == rows.end()) return {};  // the initiator sees from the answer that it is not held
  TRY(tunnel_->follow(id, deadline));
  if (row->state == GatewayKeyState::active) return {};
  node::crash_point("gateway.peer.followed");
  std::vector<KeyRecords::Move> moves;
  const GatewayKeyRow* const former = active_of(rows);
  former_ = former == nullptr ? std::optional<KeyId>() : std::optional(former->id);
  if (former != nullptr) moves.push_back({.id = former->id, .to = GatewayKeyState::retiring});
  moves.push_back({.id = id, .to = GatewayKeyState::active});
  return move(moves);
}

Result<void> Responder::go_back(Deadline deadline) {
  TRY(tunnel_->unfollow(deadline));
  ASSIGN_OR_RETURN(const std::vector<GatewayKeyRow> rows, records_.live(plan_.name));
  const GatewayKeyRow* const unproven = active_of(rows);
  const Error why{.code = ErrorCode::deadline_exceeded, .message = "the initiator did not put it in force: back to the key before"};
  TRY(ports_.record("gateway.rotation", unproven == nullptr ? plan_.name : object_of(unproven->id), &why));
  if (unproven == nullptr) return {};
  std::vector<KeyRecords::Move> moves{{.id = unproven->id, .to = GatewayKeyState::retiring}};
  const auto former = std::ranges::find_if(rows, [&](const GatewayKeyRow& row) { return row.id == former_ && row.state == GatewayKeyState::retiring; });
  if (former != rows.end()) moves.push_back({.id = former->id, .to = GatewayKeyState::active});
  return move(moves);
}

Result<std::vector<KeyId>> Responder::follow(const Dx1Loaded& message, Deadline deadline) {
  const std::lock_guard lock(work_mutex_);
  TRY(tunnel_->prepare(deadline));
  TRY(records_.follow_turn(plan_.name, message.turn));
  TRY(reconcile(deadline));
  ASSIGN_OR_RETURN(const std::vector<GatewayKeyRow> rows, records_.live(plan_.name));
  if (message.in_force) TRY(put_in_force(*message.in_force, rows, deadline));
  ASSIGN_OR_RETURN(const std::vector<GatewayKeyRow> now_here, records_.live(plan_.name));
  std::vector<KeyId> out;
  for (const GatewayKeyRow& row : now_here) {
    if (std::ranges::find(message.keep, row.id) == message.keep.end()) {
      TRY(forget(row.id, deadline));
    } else {
      out.push_back(row.id);
    }
  }
  return out;
}

}  // namespace qanat::terminal::gateway
