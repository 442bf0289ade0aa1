// Behaviour records for IAM's UBA (Ua-1 … Ua-3, X-12): which of the events that an element puts on record are told, in which words and about whom, as one
// table.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "audit/audit.hpp"
#include "base/id.hpp"
#include "base/identity.hpp"
#include "points/points.hpp"

namespace qanat::node {

inline constexpr std::size_t behaviour_text_max = 128;  // octets of action, outcome and object each

struct Behaviour {
  std::string about;  // a uid; empty: the element itself
  std::string action;
  std::string outcome;
  std::string object = {};
  bool operator==(const Behaviour&) const = default;
};

/// `together`: what is the same again within a minute is counted and told as a number.
enum class Telling : std::uint8_t { each, together };

struct BehaviourRow {
  enum class Outcomes : std::uint8_t { all, refusals, successes };
  /// What of an event: its subject, all of its object, or one word of it.
  enum class Part : std::uint8_t { self, subject, object, word_1, word_2 };

  KindSet reporters;
  std::string_view recorded;  // the action in the audit record
  Outcomes told{};
  std::string_view action;
  std::string_view well;  // how a success is called; what went otherwise is "refused" or "failure"
  Part about{};
  Part object{};
  Telling telling{};
};
std::span<const BehaviourRow> behaviour_rows() noexcept;

/// Whether an element of this kind reports about others (Ua-1, X-12), or about itself alone (Ua-2, Ua-3).
constexpr bool tells_of_others(Kind kind) noexcept { return !apps.has(kind) && !qkdn.has(kind); }

/// Where an element of this kind reports; nothing for who does not (IAM itself, operators, SAEs).
std::optional<points::Endpoint> behaviour_endpoint(Kind kind) noexcept;

struct Told {
  Behaviour behaviour;
  Telling telling{};
};
/// What the table makes of an event of this element; nothing if it is none that is told.
std::optional<Told> behaviour_of(const Identity& self, const audit::Event& event);

/// The uid that a text names: a qanat URI's name, or itself; empty if it is neither.
std::string uid_in(std::string_view text);
/// Well formed, without control characters and within behaviour_text_max, whatever it was.
std::string behaviour_text(std::string_view text);

}  // namespace qanat::node
