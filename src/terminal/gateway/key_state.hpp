// The life of a tunnel's key at one end, as a table. What is not in the table does not happen.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace qanat::terminal::gateway {

enum class GatewayKeyState : std::uint8_t {
  taken,      // its id is known here; it is on its way into the gateway
  ready,      // in the gateway, not in force
  switching,  // initiator: is being put in force, or was when the agent died
  active,     // in force
  retiring,   // no longer in force, still in the gateway
  gone,       // nowhere here; the row stays as evidence that it was used
};
inline constexpr std::array all_gateway_key_states{GatewayKeyState::taken,  GatewayKeyState::ready,    GatewayKeyState::switching,
                                                   GatewayKeyState::active, GatewayKeyState::retiring, GatewayKeyState::gone};

struct GatewayKeyTransition {
  GatewayKeyState from;
  GatewayKeyState to;
};
inline constexpr std::array gateway_key_transitions{
    GatewayKeyTransition{GatewayKeyState::taken, GatewayKeyState::ready},
    GatewayKeyTransition{GatewayKeyState::ready, GatewayKeyState::switching},  // initiator
    GatewayKeyTransition{GatewayKeyState::switching, GatewayKeyState::active},
    GatewayKeyTransition{GatewayKeyState::switching, GatewayKeyState::retiring},  // it is not known whether it came in force
    GatewayKeyTransition{GatewayKeyState::ready, GatewayKeyState::active},        // responder: the initiator says so
    GatewayKeyTransition{GatewayKeyState::active, GatewayKeyState::retiring},
    GatewayKeyTransition{GatewayKeyState::retiring, GatewayKeyState::active},  // responder: the initiator's change failed, and the former key is in force again
    GatewayKeyTransition{GatewayKeyState::taken, GatewayKeyState::gone},
    GatewayKeyTransition{GatewayKeyState::ready, GatewayKeyState::gone},
    GatewayKeyTransition{GatewayKeyState::switching, GatewayKeyState::gone},
    GatewayKeyTransition{GatewayKeyState::active, GatewayKeyState::gone},
    GatewayKeyTransition{GatewayKeyState::retiring, GatewayKeyState::gone},
};

constexpr bool may(GatewayKeyState from, GatewayKeyState to) {
  return std::ranges::any_of(gateway_key_transitions, [&](const GatewayKeyTransition& row) { return row.from == from && row.to == to; });
}
/// The name under which the state is stored; part of the database format.
constexpr std::string_view name(GatewayKeyState state) noexcept {
  constexpr std::array<std::string_view, all_gateway_key_states.size()> names{"taken", "ready", "switching", "active", "retiring", "gone"};
  return names[static_cast<std::size_t>(state)];
}
constexpr std::optional<GatewayKeyState> gateway_key_state_from_name(std::string_view text) noexcept {
  for (const GatewayKeyState state : all_gateway_key_states) {
    if (name(state) == text) return state;
  }
  return std::nullopt;
}

namespace gateway_key_proof {
constexpr bool terminal(GatewayKeyState state) {
  return std::ranges::none_of(gateway_key_transitions, [&](const GatewayKeyTransition& row) { return row.from == state; });
}
constexpr bool only_from(GatewayKeyState from, GatewayKeyState to) {
  return std::ranges::all_of(gateway_key_transitions, [&](const GatewayKeyTransition& row) { return row.to != to || row.from == from; });
}
constexpr bool always_removable() {
  return std::ranges::all_of(all_gateway_key_states, [](GatewayKeyState state) { return state == GatewayKeyState::gone || may(state, GatewayKeyState::gone); });
}
}  // namespace gateway_key_proof

static_assert(gateway_key_proof::terminal(GatewayKeyState::gone), "a key that is gone does not come back");
static_assert(gateway_key_proof::only_from(GatewayKeyState::ready, GatewayKeyState::switching), "an initiator tries a key once: nothing leads back to ready");
static_assert(gateway_key_proof::only_from(GatewayKeyState::taken, GatewayKeyState::ready));
static_assert(gateway_key_proof::always_removable());

}  // namespace qanat::terminal::gateway
