// The life of every kind of key as one table. A transition that is not in the table does not exist.
//
// Who moves by it: the ledger of working keys, the stocks of link-derived keys, the pool keys (master), terminals' encryption keys
// (kp/encryption_state.hpp). The CSA (data) and KP's libraries have tables in words of their own, and beside each a proof that it goes no way that is not here
// (csa/lifecycle.hpp, kp/library.hpp).
//
// Two ways of living: keys that are handed out once (working keys at the KMS, link-derived keys at the QKM) and keys that are used where they
// are (data keys, terminals' encryption keys, master keys). A key begins as `generated`.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace qanat::store {

enum class KeyKind : std::uint8_t {
  working,              // WK of one session and leg, at a KMS
  link,                 // link keys and what is relayed under them, at a QKM
  data,                 // envelope keys of applications: one version of one
  terminal_encryption,  // a terminal's encryption pair, as long as the KMS has to do with it
  master,               // what other keys are derived from or sealed under
};
inline constexpr std::array all_key_kinds{KeyKind::working, KeyKind::link, KeyKind::data, KeyKind::terminal_encryption, KeyKind::master};

enum class KeyState : std::uint8_t {
  generated,   // made, not promised to anybody
  reserved,    // promised to one session, not handed out
  active,      // in use, for new work too
  delivered,   // handed out to those who asked
  confirmed,   // its receivers proved that they hold it
  suspended,   // not to be used until it is recovered
  used_up,     // its limit of uses is reached: opens what it sealed, seals nothing new
  superseded,  // another took its place: opens what it sealed, seals nothing new
  expired,     // past its time: as before, until it is archived or destroyed
  archived,    // kept for recovery alone, under a policy of its own
  destroyed,   // the octets are gone; the row stays as evidence, or goes into an archive
};
inline constexpr std::array all_key_states{KeyState::generated, KeyState::reserved,  KeyState::active,   KeyState::delivered,
                                           KeyState::confirmed, KeyState::suspended, KeyState::used_up,  KeyState::superseded,
                                           KeyState::expired,   KeyState::archived,  KeyState::destroyed};

enum class KeyEvent : std::uint8_t { reserve, activate, deliver, confirm, use_up, update, suspend, recover, expire, archive, destroy };
inline constexpr std::array all_key_events{KeyEvent::reserve, KeyEvent::activate, KeyEvent::deliver, KeyEvent::confirm, KeyEvent::use_up, KeyEvent::update,
                                           KeyEvent::suspend, KeyEvent::recover,  KeyEvent::expire,  KeyEvent::archive, KeyEvent::destroy};

/// A set of kinds: whose transition a row is.
class KeyKindSet {
 public:
  constexpr KeyKindSet(std::initializer_list<KeyKind> kinds) {
    for (const KeyKind kind : kinds) bits_ = static_cast<std::uint8_t>(bits_ | 1U << static_cast<unsigned>(kind));
  }
  [[nodiscard]] constexpr bool has(KeyKind kind) const { return (bits_ >> static_cast<unsigned>(kind) & 1U) != 0; }

 private:
  std::uint8_t bits_ = 0;
};
inline constexpr KeyKindSet handed_out{KeyKind::working, KeyKind::link};
inline constexpr KeyKindSet used_in_place{KeyKind::data, KeyKind::terminal_encryption, KeyKind::master};
inline constexpr KeyKindSet only_working{KeyKind::working};
inline constexpr KeyKindSet only_encryption{KeyKind::terminal_encryption};
inline constexpr KeyKindSet archivable{KeyKind::data, KeyKind::terminal_encryption};

struct KeyTransition {
  KeyKindSet kinds;
  KeyEvent event;
  KeyState from;
  KeyState to;
};
inline constexpr std::array key_transitions{
    // What is handed out once. Past its time it is destroyed, not kept.
    KeyTransition{handed_out, KeyEvent::reserve, KeyState::generated, KeyState::reserved},
    KeyTransition{handed_out, KeyEvent::deliver, KeyState::reserved, KeyState::delivered},
    KeyTransition{handed_out, KeyEvent::confirm, KeyState::delivered, KeyState::confirmed},
    KeyTransition{handed_out, KeyEvent::expire, KeyState::generated, KeyState::destroyed},
    KeyTransition{handed_out, KeyEvent::expire, KeyState::reserved, KeyState::destroyed},
    KeyTransition{handed_out, KeyEvent::expire, KeyState::delivered, KeyState::destroyed},
    KeyTransition{handed_out, KeyEvent::expire, KeyState::confirmed, KeyState::destroyed},
    KeyTransition{handed_out, KeyEvent::destroy, KeyState::generated, KeyState::destroyed},
    KeyTransition{handed_out, KeyEvent::destroy, KeyState::reserved, KeyState::destroyed},
    KeyTransition{handed_out, KeyEvent::destroy, KeyState::delivered, KeyState::destroyed},
    KeyTransition{handed_out, KeyEvent::destroy, KeyState::confirmed, KeyState::destroyed},
    // A later key of the same call is confirmed: nobody needs the former one here.
    KeyTransition{only_working, KeyEvent::update, KeyState::delivered, KeyState::destroyed},
    KeyTransition{only_working, KeyEvent::update, KeyState::confirmed, KeyState::destroyed},
    // A key that has left cannot be held back; only one that is still promised can.
    KeyTransition{only_working, KeyEvent::suspend, KeyState::reserved, KeyState::suspended},
    KeyTransition{only_working, KeyEvent::recover, KeyState::suspended, KeyState::reserved},
    KeyTransition{only_working, KeyEvent::expire, KeyState::suspended, KeyState::destroyed},
    KeyTransition{only_working, KeyEvent::destroy, KeyState::suspended, KeyState::destroyed},
    // What is used where it is.
    KeyTransition{used_in_place, KeyEvent::activate, KeyState::generated, KeyState::active},
    KeyTransition{used_in_place, KeyEvent::use_up, KeyState::active, KeyState::used_up},
    KeyTransition{used_in_place, KeyEvent::update, KeyState::active, KeyState::superseded},
    KeyTransition{used_in_place, KeyEvent::update, KeyState::used_up, KeyState::superseded},
    KeyTransition{used_in_place, KeyEvent::suspend, KeyState::active, KeyState::suspended},
    KeyTransition{used_in_place, KeyEvent::recover, KeyState::suspended, KeyState::active},
    KeyTransition{used_in_place, KeyEvent::expire, KeyState::active, KeyState::expired},
    KeyTransition{used_in_place, KeyEvent::expire, KeyState::suspended, KeyState::expired},
    KeyTransition{used_in_place, KeyEvent::expire, KeyState::used_up, KeyState::expired},
    KeyTransition{used_in_place, KeyEvent::expire, KeyState::superseded, KeyState::expired},
    KeyTransition{archivable, KeyEvent::archive, KeyState::used_up, KeyState::archived},
    KeyTransition{archivable, KeyEvent::archive, KeyState::superseded, KeyState::archived},
    KeyTransition{archivable, KeyEvent::archive, KeyState::expired, KeyState::archived},
    KeyTransition{archivable, KeyEvent::destroy, KeyState::archived, KeyState::destroyed},
    KeyTransition{used_in_place, KeyEvent::destroy, KeyState::generated, KeyState::destroyed},
    KeyTransition{used_in_place, KeyEvent::destroy, KeyState::active, KeyState::destroyed},
    KeyTransition{used_in_place, KeyEvent::destroy, KeyState::suspended, KeyState::destroyed},
    KeyTransition{used_in_place, KeyEvent::destroy, KeyState::used_up, KeyState::destroyed},
    KeyTransition{used_in_place, KeyEvent::destroy, KeyState::superseded, KeyState::destroyed},
    KeyTransition{used_in_place, KeyEvent::destroy, KeyState::expired, KeyState::destroyed},
    // An encryption pair that the KMS made goes to its terminal before it is used.
    KeyTransition{only_encryption, KeyEvent::deliver, KeyState::generated, KeyState::delivered},
    KeyTransition{only_encryption, KeyEvent::confirm, KeyState::delivered, KeyState::confirmed},
    KeyTransition{only_encryption, KeyEvent::activate, KeyState::confirmed, KeyState::active},
    KeyTransition{only_encryption, KeyEvent::destroy, KeyState::delivered, KeyState::destroyed},
    KeyTransition{only_encryption, KeyEvent::destroy, KeyState::confirmed, KeyState::destroyed},
};

/// Where the event leads, or nothing if a key of this kind has no such event in this state.
constexpr std::optional<KeyState> after(KeyKind kind, KeyState from, KeyEvent event) {
  for (const KeyTransition& row : key_transitions) {
    if (row.kinds.has(kind) && row.from == from && row.event == event) return row.to;
  }
  return std::nullopt;
}

constexpr bool may(KeyKind kind, KeyState from, KeyState to) {
  return std::ranges::any_of(key_transitions, [&](const KeyTransition& row) { return row.kinds.has(kind) && row.from == from && row.to == to; });
}

/// The name under which the state is stored; part of the database format.
constexpr std::string_view name(KeyState state) noexcept {
  switch (state) {
    case KeyState::generated:
      return "generated";
    case KeyState::reserved:
      return "reserved";
    case KeyState::active:
      return "active";
    case KeyState::delivered:
      return "delivered";
    case KeyState::confirmed:
      return "confirmed";
    case KeyState::suspended:
      return "suspended";
    case KeyState::used_up:
      return "used_up";
    case KeyState::superseded:
      return "superseded";
    case KeyState::expired:
      return "expired";
    case KeyState::archived:
      return "archived";
    case KeyState::destroyed:
      return "destroyed";
  }
  return "?";
}

/// "working" …: part of what a key's commitment is bound to.
constexpr std::string_view name(KeyKind kind) noexcept {
  switch (kind) {
    case KeyKind::working:
      return "working";
    case KeyKind::link:
      return "link";
    case KeyKind::data:
      return "data";
    case KeyKind::terminal_encryption:
      return "terminal_encryption";
    case KeyKind::master:
      return "master";
  }
  return "?";
}

constexpr std::string_view name(KeyEvent event) noexcept {
  switch (event) {
    case KeyEvent::reserve:
      return "reserve";
    case KeyEvent::activate:
      return "activate";
    case KeyEvent::deliver:
      return "deliver";
    case KeyEvent::confirm:
      return "confirm";
    case KeyEvent::use_up:
      return "use_up";
    case KeyEvent::update:
      return "update";
    case KeyEvent::suspend:
      return "suspend";
    case KeyEvent::recover:
      return "recover";
    case KeyEvent::expire:
      return "expire";
    case KeyEvent::archive:
      return "archive";
    case KeyEvent::destroy:
      return "destroy";
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
inline Result<void> check_transition(KeyKind kind, KeyState from, KeyState to, std::string_view what) {
  if (may(kind, from, to)) return {};
  return fail(ErrorCode::conflict, std::string(what) + ": is " + std::string(name(from)) + ", cannot become " + std::string(name(to)));
}

/// Where the event leads; `conflict`, naming the key, its state and the event, if it leads nowhere.
inline Result<KeyState> advance(KeyKind kind, KeyState from, KeyEvent event, std::string_view what) {
  if (const auto to = after(kind, from, event)) return *to;
  return fail(ErrorCode::conflict, std::string(what) + ": is " + std::string(name(from)) + ", there is no '" + std::string(name(event)) + "' of such a key");
}

namespace lifecycle_proof {

/// Whether a key of this kind that is in `from` can come to be in `to` by one transition or more.
constexpr bool leads(KeyKind kind, KeyState from, KeyState to) {
  std::array<bool, all_key_states.size()> reached{};
  for (std::size_t round = 0; round < all_key_states.size(); ++round) {
    for (const KeyTransition& row : key_transitions) {
      if (row.kinds.has(kind) && (row.from == from || reached[static_cast<std::size_t>(row.from)])) reached[static_cast<std::size_t>(row.to)] = true;
    }
  }
  return reached[static_cast<std::size_t>(to)];
}
constexpr bool lives_in(KeyKind kind, KeyState state) { return state == KeyState::generated || leads(kind, KeyState::generated, state); }
template <class Claim>
constexpr bool of_every_kind(Claim&& claim) {
  return std::ranges::all_of(all_key_kinds, claim);
}
constexpr bool only_from(KeyKind kind, KeyState from, KeyState to) {
  return std::ranges::all_of(key_transitions, [&](const KeyTransition& row) { return !row.kinds.has(kind) || row.to != to || row.from == from; });
}
constexpr bool final(KeyKind kind) {
  return std::ranges::none_of(key_transitions, [&](const KeyTransition& row) { return row.kinds.has(kind) && row.from == KeyState::destroyed; });
}
constexpr bool always_destroyable(KeyKind kind) {
  return std::ranges::all_of(all_key_states, [&](KeyState state) {
    return !lives_in(kind, state) || state == KeyState::destroyed || after(kind, state, KeyEvent::destroy) == KeyState::destroyed;
  });
}
/// No row is of a state that keys of its kind do not come to.
constexpr bool no_dead_rows(KeyKind kind) {
  return std::ranges::all_of(key_transitions, [&](const KeyTransition& row) { return !row.kinds.has(kind) || lives_in(kind, row.from); });
}
constexpr bool one_outcome_per_event(KeyKind kind) {
  return std::ranges::all_of(key_transitions, [&](const KeyTransition& row) { return !row.kinds.has(kind) || after(kind, row.from, row.event) == row.to; });
}
/// Recovery leads back to where the suspension came from, and to nowhere else.
constexpr bool recovers_to_where_it_was(KeyKind kind) {
  return std::ranges::all_of(key_transitions, [&](const KeyTransition& row) {
    return !row.kinds.has(kind) || row.event != KeyEvent::suspend || after(kind, row.to, KeyEvent::recover) == row.from;
  });
}
constexpr bool past_use_for_good(KeyKind kind) {
  for (const KeyState past : {KeyState::used_up, KeyState::superseded, KeyState::expired, KeyState::archived}) {
    if (leads(kind, past, KeyState::active)) return false;
  }
  return true;
}

}  // namespace lifecycle_proof

static_assert(std::ranges::is_sorted(all_key_states) && all_key_states.size() == static_cast<std::size_t>(KeyState::destroyed) + 1,
              "a state is its place in all_key_states");
static_assert(lifecycle_proof::of_every_kind([](KeyKind kind) { return !lifecycle_proof::leads(kind, KeyState::delivered, KeyState::delivered); }),
              "a key is delivered once: nothing leads back to delivered");
static_assert(lifecycle_proof::only_from(KeyKind::working, KeyState::reserved, KeyState::delivered) &&
                  lifecycle_proof::only_from(KeyKind::link, KeyState::reserved, KeyState::delivered),
              "only a key that was reserved for a session is delivered");
static_assert(lifecycle_proof::of_every_kind([](KeyKind kind) { return lifecycle_proof::only_from(kind, KeyState::delivered, KeyState::confirmed); }),
              "only a delivered key is confirmed");
static_assert(lifecycle_proof::of_every_kind(lifecycle_proof::final), "a destroyed key stays destroyed");
static_assert(lifecycle_proof::of_every_kind(lifecycle_proof::always_destroyable), "a key can be destroyed at any time");
static_assert(lifecycle_proof::of_every_kind(lifecycle_proof::no_dead_rows) && lifecycle_proof::of_every_kind(lifecycle_proof::one_outcome_per_event));
static_assert(lifecycle_proof::of_every_kind(lifecycle_proof::recovers_to_where_it_was), "a suspension does not carry a key to another place in its life");
static_assert(lifecycle_proof::of_every_kind(lifecycle_proof::past_use_for_good), "what is past its use seals nothing new again");
static_assert(!lifecycle_proof::lives_in(KeyKind::working, KeyState::archived) && !lifecycle_proof::lives_in(KeyKind::working, KeyState::expired) &&
                  !lifecycle_proof::lives_in(KeyKind::link, KeyState::archived) && !lifecycle_proof::lives_in(KeyKind::link, KeyState::expired) &&
                  !lifecycle_proof::lives_in(KeyKind::master, KeyState::archived),
              "the octets of a working, link or master key are never kept beyond its time");

}  // namespace qanat::store
