// The life of a key of the CSA as a table. A change that is not in the table does not exist.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string_view>

#include "store/lifecycle.hpp"

namespace qanat::kms::csa {

enum class State : std::uint8_t {
  enabled,
  disabled,            // kept, and refused
  deletion_scheduled,  // refused, and destroyed when its time comes
  expired,             // past its time: opens and verifies what it sealed and signed, and protects nothing new
  suspended,           // came with a database that was put back (kma/incarnation.hpp): refused, and in the hands of operators alone; destroyed when its time comes
  destroyed,           // the octets are gone; the row stays as evidence
};
inline constexpr std::array all_states{State::enabled, State::disabled, State::deletion_scheduled, State::expired, State::suspended, State::destroyed};

enum class Change : std::uint8_t { enable, disable, schedule_deletion, cancel_deletion, destroy, trim, expire };

struct Transition {
  Change change;
  State from;
  State to;
};
/// `trim` erases the versions below the minimum. A key that goes at its time goes by `destroy` too. `expire` is nobody's request, and what follows `enable` of a key
/// that is past its time.
inline constexpr std::array transitions{
    Transition{Change::enable, State::disabled, State::enabled},
    Transition{Change::disable, State::enabled, State::disabled},
    Transition{Change::schedule_deletion, State::enabled, State::deletion_scheduled},
    Transition{Change::schedule_deletion, State::disabled, State::deletion_scheduled},
    Transition{Change::cancel_deletion, State::deletion_scheduled, State::disabled},
    Transition{Change::destroy, State::disabled, State::destroyed},
    Transition{Change::destroy, State::deletion_scheduled, State::destroyed},
    Transition{Change::trim, State::enabled, State::enabled},
    Transition{Change::trim, State::disabled, State::disabled},
    Transition{Change::expire, State::enabled, State::expired},
    // It cannot be taken back, so it is not disabled; until the time of its deletion it opens what it sealed.
    Transition{Change::schedule_deletion, State::expired, State::expired},
    Transition{Change::cancel_deletion, State::expired, State::expired},
    Transition{Change::destroy, State::expired, State::destroyed},
    Transition{Change::trim, State::expired, State::expired},
    // Operators' alone (below). From `disabled` its owner may go on: an operator has looked.
    Transition{Change::enable, State::suspended, State::enabled},
    Transition{Change::disable, State::suspended, State::disabled},
    Transition{Change::destroy, State::suspended, State::destroyed},
    Transition{Change::trim, State::suspended, State::suspended},
};
/// Whether operators alone make the change, and not a key's owner who is none.
constexpr bool operators_alone(State from, Change change) { return change == Change::destroy || from == State::suspended; }

/// Where the change leads; nothing if there is no such transition.
constexpr std::optional<State> after(State from, Change change) {
  for (const Transition& line : transitions) {
    if (line.from == from && line.change == change) return line.to;
  }
  return std::nullopt;
}
constexpr bool nothing_leaves(State state) {
  return std::ranges::none_of(transitions, [state](const Transition& line) { return line.from == state; });
}
/// The same in the words of the table of all kinds of key (store/lifecycle.hpp), of the version in force: what is refused and kept is suspended.
constexpr store::KeyState key_state(State state) noexcept {
  switch (state) {
    case State::enabled:
      return store::KeyState::active;
    case State::disabled:
    case State::deletion_scheduled:
    case State::suspended:
      return store::KeyState::suspended;
    case State::expired:
      return store::KeyState::expired;
    case State::destroyed:
      return store::KeyState::destroyed;
  }
  return store::KeyState::destroyed;
}
constexpr bool follows_the_lifecycle() {
  return std::ranges::all_of(transitions, [](const Transition& line) {
    const store::KeyState from = key_state(line.from);
    const store::KeyState to = key_state(line.to);
    return from == to || store::may(store::KeyKind::data, from, to);
  });
}
static_assert(follows_the_lifecycle(), "a key of the CSA lives as data keys do");
static_assert(nothing_leaves(State::destroyed), "what is destroyed stays so");
static_assert(!after(State::enabled, Change::destroy), "a key in use is not destroyed by one word");
static_assert(!after(State::expired, Change::enable), "what is past its time stays so");

constexpr std::string_view name(State state) noexcept {
  switch (state) {
    case State::enabled:
      return "enabled";
    case State::disabled:
      return "disabled";
    case State::deletion_scheduled:
      return "deletion_scheduled";
    case State::expired:
      return "expired";
    case State::suspended:
      return "suspended";
    case State::destroyed:
      return "destroyed";
  }
  return {};
}

/// Those that can be asked for.
struct ChangeName {
  Change change;
  std::string_view name;
};
inline constexpr std::array change_names{ChangeName{Change::enable, "enable"},
                                         ChangeName{Change::disable, "disable"},
                                         ChangeName{Change::schedule_deletion, "schedule_deletion"},
                                         ChangeName{Change::cancel_deletion, "cancel_deletion"},
                                         ChangeName{Change::destroy, "destroy"},
                                         ChangeName{Change::trim, "trim"}};

}  // namespace qanat::kms::csa
