// The three libraries of KP (the paper's 备用库, 在用库, 历史库) and how keys move between them: one table, and what is not in it does not happen.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "store/lifecycle.hpp"

namespace qanat::kms {

enum class Library : std::uint8_t {
  standby,  // made or drawn ahead, of nobody yet
  in_use,   // reserved for somebody, or issued
  history,  // what was: metadata
};
inline constexpr std::array all_libraries{Library::standby, Library::in_use, Library::history};

enum class PooledKind : std::uint8_t {
  working_key,      // of one session
  quantum_key,      // what working keys across domains are made of
  encryption_pair,  // that a terminal is encrypted to
};

/// What becomes of the key's secret octets.
enum class Octets : std::uint8_t {
  kept,               // they go along, sealed for the library that they come to
  erased,             // they leave the database in the same transaction
  kept_under_policy,  // erased, unless kms.history says otherwise
};

struct Move {
  PooledKind kind;
  Library from;
  Library to;
  Octets octets;
};
/// A key comes into a library when it is made: working keys in use, the others in standby (an encryption pair for want of one also in use).
inline constexpr std::array moves{
    Move{PooledKind::encryption_pair, Library::standby, Library::in_use, Octets::kept},                // a terminal enrols
    Move{PooledKind::encryption_pair, Library::in_use, Library::history, Octets::kept_under_policy},   // the terminal has it
    Move{PooledKind::quantum_key, Library::standby, Library::in_use, Octets::erased},                  // into a working key
    Move{PooledKind::quantum_key, Library::standby, Library::history, Octets::erased},                 // not used in time
    Move{PooledKind::quantum_key, Library::in_use, Library::history, Octets::erased},                  // the working key is agreed, or is not
    Move{PooledKind::working_key, Library::in_use, Library::history, Octets::erased},                  // destroyed
};

constexpr std::string_view name(Library library) noexcept {
  switch (library) {
    case Library::standby:
      return "standby";
    case Library::in_use:
      return "in_use";
    case Library::history:
      return "history";
  }
  return "?";
}
constexpr std::string_view name(PooledKind kind) noexcept {
  switch (kind) {
    case PooledKind::working_key:
      return "working key";
    case PooledKind::quantum_key:
      return "quantum key";
    case PooledKind::encryption_pair:
      return "encryption pair";
  }
  return "?";
}

constexpr const Move* find_move(PooledKind kind, Library from, Library to) noexcept {
  const auto* const found = std::ranges::find_if(moves, [&](const Move& move) { return move.kind == kind && move.from == from && move.to == to; });
  return found == moves.end() ? nullptr : &*found;
}
/// `conflict`, naming the key and both libraries, for a move that is not in the table.
inline Result<Octets> check_move(PooledKind kind, Library from, Library to, std::string_view what) {
  if (const Move* const move = find_move(kind, from, to)) return move->octets;
  return fail(ErrorCode::conflict, std::string(name(kind)) + " " + std::string(what) + ": does not go from " + std::string(name(from)) + " to " + std::string(name(to)));
}

/// Where a working key is; its state says it (store/lifecycle.hpp).
constexpr Library library_of(store::KeyState state) noexcept { return state == store::KeyState::destroyed ? Library::history : Library::in_use; }
/// Where a terminal's encryption pair is. One that is generated and nobody's is in standby; the pair of an enrolment is in use here until its terminal has it,
/// and how that goes on with it is history.
constexpr Library library_of_pair(store::KeyState state) noexcept {
  return state == store::KeyState::generated || state == store::KeyState::delivered ? Library::in_use : Library::history;
}

namespace library_proof {

constexpr bool only_forward() {
  return std::ranges::all_of(moves, [](const Move& move) { return move.from < move.to; });
}
constexpr bool history_keeps_of(PooledKind kind) {
  return std::ranges::any_of(moves, [&](const Move& move) { return move.kind == kind && move.to == Library::history && move.octets != Octets::erased; });
}
/// Every step of a key's life is a step within its library, or the one into history.
constexpr bool follows_the_lifecycle(PooledKind kind, store::KeyKind of, Library (*place)(store::KeyState)) {
  return std::ranges::all_of(store::key_transitions, [&](const store::KeyTransition& row) {
    return !row.kinds.has(of) || place(row.from) == place(row.to) || find_move(kind, place(row.from), place(row.to)) != nullptr;
  });
}

}  // namespace library_proof

static_assert(library_proof::only_forward(), "a key never comes back from history, nor from use into standby");
static_assert(!library_proof::history_keeps_of(PooledKind::working_key), "a working key is never kept: only that there was one");
static_assert(!library_proof::history_keeps_of(PooledKind::quantum_key), "a quantum key is never kept");
static_assert(library_proof::follows_the_lifecycle(PooledKind::working_key, store::KeyKind::working, library_of),
              "the states of working keys and the libraries say the same");
static_assert(library_proof::follows_the_lifecycle(PooledKind::encryption_pair, store::KeyKind::terminal_encryption, library_of_pair),
              "the states of encryption pairs and the libraries say the same");

}  // namespace qanat::kms
