// Who may do what: roles, grants and the one decision over them, as a pure function that says why. Denied unless a grant covers the question; separation of
// duties is decided here and nowhere else.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "services/iam/idm/identity_record.hpp"
#include "wire/json.hpp"
#include "wire/qfc2_header.hpp"

namespace qanat::iam {

/// The three duties that nobody may have two of, and none of them.
enum class Duty : std::uint8_t { none, security, audit, operation };
inline constexpr std::array all_duties{Duty::none, Duty::security, Duty::audit, Duty::operation};
std::string_view name(Duty duty) noexcept;
Result<Duty> parse_duty(std::string_view text);

/// What an action does to the network's state. The auditor's duty has no action that changes something, whatever its roles say.
enum class Effect : std::uint8_t { reads, changes };

struct Action {
  std::string_view name;
  Effect effect;
  Duty duty;             // whose it is alone; a role that permits it has this duty
  bool gives_privilege;  // the one who does it must not be the one who gains by it
  std::string_view says;
};
/// Every action that can be asked for.
std::span<const Action> all_actions() noexcept;
/// invalid_argument for a name that is none.
Result<const Action*> find_action(std::string_view name);

inline constexpr std::size_t role_name_max = 64;
inline constexpr std::size_t permissions_max = 64;  // of a role
inline constexpr std::size_t grants_max = 64;       // of a subject

struct Permission {
  std::string action = {};            // "identity.read", "identity.*", "*"
  std::string point = "*";            // reference point, "Km-1"
  wire::Assurance level_max = wire::Assurance::disjoint_qkd_paths;
  bool operator==(const Permission&) const = default;
};

struct Role {
  std::string name;
  Duty duty = Duty::none;
  std::vector<Permission> permissions = {};
  bool builtin = false;
  bool operator==(const Role&) const = default;
};
/// The roles that every IAM has.
std::vector<Role> builtin_roles();
wire::Json to_json(const Role& role);
Result<Role> read_role(const wire::Json& json);

struct Grant {
  std::int64_t id = 0;
  std::string subject = {};  // a uid, or "class:terminal": everybody of that class
  std::string role = {};
  std::string domain = "*";  // peer domain
  wire::Assurance level_max = wire::Assurance::disjoint_qkd_paths;
  UnixMs not_after_ms = 0;   // 0: no end
  std::string given_by = {};
  UnixMs given_ms = 0;
  bool operator==(const Grant&) const = default;
};
wire::Json to_json(const Grant& grant);

/// One question: may this subject do this, there, at this level?
struct Question {
  std::string action = {};
  std::string point = {};        // empty: none is concerned
  std::string peer_domain = {};  // empty: none is concerned
  wire::Assurance level = wire::Assurance::local_rng;
  std::string target = {};       // who gains by it, for actions that give privilege; which role, for role.define
};
/// invalid_argument for what cannot be the domain of an element.
Result<void> check_domain(const std::string& text);
Result<Question> read_question(const wire::Json& json);

/// What is known of the subject: itself, the grants that name it or its class, and the roles that they name.
struct Standpoint {
  std::optional<IdentityRecord> subject = {};  // absent: unknown
  std::vector<Grant> grants = {};
  std::vector<Role> roles = {};
};

struct Reason {
  bool decides = false;
  std::int64_t grant = 0;  // 0: no grant, but a rule
  std::string text;
};
struct Decision {
  bool allowed = false;
  wire::Assurance level_max = wire::Assurance::local_rng;  // where allowed: the highest that a grant covers
  UnixMs until_ms = 0;                                     // where allowed: when a grant that covers it ends; 0: none does
  std::vector<Reason> reasons;                             // the one that decided comes first
  [[nodiscard]] std::string why() const;                   // its text
};
wire::Json to_json(const Decision& decision);

Decision decide(const Standpoint& standpoint, const Question& question, UnixMs now);

/// invalid_argument if the role permits what belongs to another duty than its own: no role holds two of the three.
Result<void> check_duty(const Role& role);
/// `denied` if the subject, who has these roles, would have two of the three duties with one more role.
Result<void> check_separation(const std::vector<Role>& has, const Role& added);

}  // namespace qanat::iam
