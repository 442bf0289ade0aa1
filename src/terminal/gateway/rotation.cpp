#include "terminal/gateway/rotation.hpp"

namespace qanat::terminal::gateway {
namespace {

constexpr std::chrono::milliseconds pause_first{1000};
constexpr std::chrono::milliseconds pause_max{60000};

std::size_t count(const std::vector<GatewayKeyRow>& keys, GatewayKeyState state) {
  return static_cast<std::size_t>(std::ranges::count(keys, state, &GatewayKeyRow::state));
}

}  // namespace

std::string_view name(RotationReason reason) noexcept {
  switch (reason) {
    case RotationReason::none:
      return "none";
    case RotationReason::no_key:
      return "no key in force";
    case RotationReason::tunnel_down:
      return "the tunnel is down";
    case RotationReason::asked:
      return "asked for";
    case RotationReason::age:
      return "age";
    case RotationReason::traffic:
      return "traffic";
  }
  return "?";
}

RotationReason rotation_reason(const RotationView& view, const RotationPolicy& policy) noexcept {
  const auto active = std::ranges::find(view.keys, GatewayKeyState::active, &GatewayKeyRow::state);
  if (active == view.keys.end()) return RotationReason::no_key;
  if (view.asked) return RotationReason::asked;
  if (!view.up) return RotationReason::tunnel_down;
  // A clock that was set back does not keep a key in force for longer than the policy says from then on.
  const UnixMs age = view.now_ms > active->since_ms ? view.now_ms - active->since_ms : 0;
  if (age >= static_cast<UnixMs>(policy.rotate_after.count())) return RotationReason::age;
  if (policy.rotate_octets != 0 && view.octets >= policy.rotate_octets) return RotationReason::traffic;
  return RotationReason::none;
}

RotationStep next_step(const RotationView& view, const RotationPolicy& policy) noexcept {
  const auto may_try = [&](RotationStep step) { return view.now_ms >= view.pauses[index_of(step)].not_before_ms; };
  if (!view.agreed) return may_try(RotationStep::agree) ? RotationStep::agree : RotationStep::none;
  const std::size_t ready = count(view.keys, GatewayKeyState::ready);
  const bool wanted = rotation_reason(view, policy) != RotationReason::none;
  if (ready > 0 && wanted && view.changeable && may_try(RotationStep::put_in_force)) return RotationStep::put_in_force;
  if (ready < policy.ahead && may_try(RotationStep::take)) return RotationStep::take;
  return RotationStep::none;
}

std::chrono::milliseconds rotation_pause(unsigned failures) noexcept {
  std::chrono::milliseconds out = pause_first;
  for (unsigned i = 1; i < failures && out < pause_max; ++i) out *= 2;
  return std::min(out, pause_max);
}

}  // namespace qanat::terminal::gateway
