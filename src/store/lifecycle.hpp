// The life of a symmetric key as a table, for working keys (KMS) and link keys (QKM). A transition that is not in the table does not exist.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace qanat::store {

enum class KeyState : std::uint8_t {
  generated,  // made, not promised to anybody
  reserved,   // promised to one session, not handed out
  delivered,  // handed out to those who asked
  confirmed,  // its receivers proved that they hold it
  destroyed,  // the octets are gone; the row stays as evidence
};
inline constexpr std::array all_key_states{KeyState::generated, KeyState::reserved, KeyState::delivered, KeyState::confirmed, KeyState::destroyed};

struct KeyTransition {
  KeyState from;
  KeyState to;
};
inline constexpr std::array key_transitions{
    KeyTransition{KeyState::generated, KeyState::reserved},  KeyTransition{KeyState::reserved, KeyState::delivered},
    KeyTransition{KeyState::delivered, KeyState::confirmed}, KeyTransition{KeyState::generated, KeyState::destroyed},
    KeyTransition{KeyState::reserved, KeyState::destroyed},  KeyTransition{KeyState::delivered, KeyState::destroyed},
    KeyTransition{KeyState::confirmed, KeyState::destroyed},
};

constexpr bool may(KeyState from, KeyState to) {
  return std::ranges::any_of(key_transitions, [&](const KeyTransition& row) { return row.from == from && row.to == to; });
}

/// The name under which the state is stored; part of the database format.
constexpr std::string_view name(KeyState state) noexcept {
  switch (state) {
    case KeyState::generated:
      return "generated";
    case KeyState::reserved:
      return "reserved";
    case KeyState::delivered:
      return "delivered";
    case KeyState::confirmed:
      return "confirmed";
    case KeyState::destroyed:
      return "destroyed";
  }
  return "?";
}

/// The state with this name, or nothing: a stored row that has none was written by another program.
constexpr std::optional<KeyState> key_state_from_name(std::string_view text) noexcept {
  for (const KeyState state : all_key_states) {
    if (name(state) == text) return state;
  }
  return std::nullopt;
}

/// `conflict`, naming the key and both states, if the table has no such transition. `what` names the key: "link key 0a1b…".
inline Result<void> check_transition(KeyState from, KeyState to, std::string_view what) {
  if (may(from, to)) return {};
  return fail(ErrorCode::conflict, std::string(what) + ": is " + std::string(name(from)) + ", cannot become " + std::string(name(to)));
}

namespace lifecycle_proof {

/// Every transition leads to a later state. Hence there is no cycle, and no way back from any state to itself or to one before it.
constexpr bool only_forward() {
  return std::ranges::all_of(key_transitions, [](const KeyTransition& row) { return row.from < row.to; });
}
constexpr bool terminal(KeyState state) {
  return std::ranges::none_of(key_transitions, [&](const KeyTransition& row) { return row.from == state; });
}
constexpr bool only_from(KeyState from, KeyState to) {
  return std::ranges::all_of(key_transitions, [&](const KeyTransition& row) { return row.to != to || row.from == from; });
}
constexpr bool always_destroyable() {
  return std::ranges::all_of(all_key_states, [](KeyState state) { return state == KeyState::destroyed || may(state, KeyState::destroyed); });
}

}  // namespace lifecycle_proof

static_assert(lifecycle_proof::only_forward(), "a key is delivered once: nothing leads back to delivered or to a state before it");
static_assert(lifecycle_proof::only_from(KeyState::reserved, KeyState::delivered), "only a key that was reserved for a session is delivered");
static_assert(lifecycle_proof::only_from(KeyState::delivered, KeyState::confirmed), "only a delivered key is confirmed");
static_assert(lifecycle_proof::terminal(KeyState::destroyed), "a destroyed key stays destroyed");
static_assert(lifecycle_proof::always_destroyable(), "a key can be destroyed at any time");

}  // namespace qanat::store
