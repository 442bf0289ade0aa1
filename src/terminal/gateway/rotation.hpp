// What an initiator does next for its tunnel: a function of what is known of its keys, of the tunnel and of the time. No I/O.
#pragma once

#include <array>
#include <chrono>
#include <vector>

#include "base/clock.hpp"
#include "base/id.hpp"
#include "terminal/gateway/key_state.hpp"

namespace qanat::terminal::gateway {

struct GatewayKeyRow {
  KeyId id;
  GatewayKeyState state{};
  UnixMs since_ms = 0;
};

struct RotationPolicy {
  std::chrono::milliseconds rotate_after{3600000};
  std::uint64_t rotate_octets = 0;  // both ways; 0: whatever the traffic
  std::size_t ahead = 2;            // keys at both ends that are not in force yet
};

/// Why the key in force is to be followed by another.
enum class RotationReason : std::uint8_t { none, no_key, tunnel_down, asked, age, traffic };
std::string_view name(RotationReason reason) noexcept;

enum class RotationStep : std::uint8_t {
  none,
  agree,         // say to the responder what is in force and what it is to keep, and hear what it holds
  take,          // one more key, to both ends
  put_in_force,  // the oldest that is ready
};

/// Of one step: how often in a row it failed, and until when it is not tried again. Other steps are.
struct StepPause {
  unsigned failures = 0;
  UnixMs not_before_ms = 0;
};
using StepPauses = std::array<StepPause, 4>;  // by step; none: before any step
constexpr std::size_t index_of(RotationStep step) noexcept { return static_cast<std::size_t>(step); }
static_assert(std::tuple_size_v<StepPauses> == index_of(RotationStep::put_in_force) + 1);

struct RotationView {
  std::vector<GatewayKeyRow> keys;  // oldest first
  bool agreed = false;              // since the start and since the last change
  bool up = false;                  // the tunnel
  bool changeable = true;           // a change that begins now comes to its end
  std::uint64_t octets = 0;         // under the key in force
  bool asked = false;               // somebody wants a change now
  UnixMs now_ms = 0;
  StepPauses pauses{};
};

RotationReason rotation_reason(const RotationView& view, const RotationPolicy& policy) noexcept;
RotationStep next_step(const RotationView& view, const RotationPolicy& policy) noexcept;
/// How long nothing is tried after the `failures`-th failure in a row (1, 2 …): one second, doubled to a minute.
std::chrono::milliseconds rotation_pause(unsigned failures) noexcept;

}  // namespace qanat::terminal::gateway
