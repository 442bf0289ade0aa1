#include "services/iam/upm/policy.hpp"

#include <algorithm>

#include "points/points.hpp"

namespace qanat::iam {
namespace {

constexpr std::array actions{
    Action{"identity.create", Effect::changes, Duty::operation, false, "enter people, terminals, applications and elements"},
    Action{"identity.read", Effect::reads, Duty::none, false, "read and look up any identity"},
    Action{"identity.change", Effect::changes, Duty::operation, false, "change an identity's attributes"},
    Action{"identity.suspend", Effect::changes, Duty::operation, false, "suspend and resume"},
    Action{"identity.delete", Effect::changes, Duty::operation, false, "delete"},
    Action{"identity.export", Effect::reads, Duty::none, false, "read all identities as lines"},
    Action{"identity.import", Effect::changes, Duty::operation, false, "enter and replace identities from lines"},
    Action{"identity.self", Effect::changes, Duty::none, false, "read one's own identity, change one's name and mail"},
    Action{"identity.outline", Effect::reads, Duty::none, false, "see whom a number, uid or certificate belongs to"},
    Action{"role.define", Effect::changes, Duty::security, false, "define and remove roles"},
    Action{"client.define", Effect::changes, Duty::security, false, "say where the codes of a client of people may be sent"},
    Action{"grant.give", Effect::changes, Duty::security, true, "give a role to a subject"},
    Action{"grant.take", Effect::changes, Duty::security, false, "take a role away"},
    Action{"grant.read", Effect::reads, Duty::none, false, "read roles, grants and decisions"},
    Action{"token.issue", Effect::reads, Duty::none, false, "get an access token for oneself"},
    Action{"token.check", Effect::reads, Duty::none, false, "ask whether a token is active"},
    Action{"token.revoke", Effect::changes, Duty::security, false, "end a subject's epoch: its tokens are void"},
    Action{"behaviour.append", Effect::changes, Duty::none, false, "report behaviour"},
    Action{"behaviour.read", Effect::reads, Duty::none, false, "query behaviour records and anomalies"},
    Action{"behaviour.rule", Effect::changes, Duty::security, false, "set the thresholds of the rules that find anomalies"},
    Action{"key.apply", Effect::changes, Duty::none, false, "apply for a working key with a peer domain, up to a level"},
};

constexpr bool names_sorted_out() {
  for (std::size_t i = 0; i < actions.size(); ++i) {
    for (std::size_t j = i + 1; j < actions.size(); ++j) {
      if (actions[i].name == actions[j].name) return false;
    }
  }
  return true;
}
static_assert(names_sorted_out(), "an action is listed once");

/// "*", "identity.*" or the name.
bool covers(std::string_view pattern, std::string_view action) noexcept {
  if (pattern == "*" || pattern == action) return true;
  return pattern.ends_with(".*") && action.starts_with(pattern.substr(0, pattern.size() - 1));
}

bool is_action_pattern(std::string_view pattern) {
  return std::ranges::any_of(actions, [&](const Action& action) { return covers(pattern, action.name); });
}

bool is_role_name(std::string_view text) noexcept {
  return !text.empty() && text.size() <= role_name_max &&
         std::ranges::all_of(text, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.'; });
}

Permission permits(std::string_view action) { return Permission{.action = std::string(action)}; }

Result<wire::Assurance> read_level(const wire::Json& json, std::string_view member, wire::Assurance absent) {
  constexpr auto weakest = static_cast<std::int64_t>(wire::Assurance::local_rng);
  constexpr auto strongest = static_cast<std::int64_t>(wire::Assurance::disjoint_qkd_paths);
  ASSIGN_OR_RETURN(const auto level, json.optional_integer(member, weakest, strongest));
  return level ? static_cast<wire::Assurance>(*level) : absent;
}

std::string level_text(wire::Assurance level) { return std::to_string(static_cast<int>(level)); }

const Role* role_of(const Standpoint& standpoint, const std::string& name) {
  const auto found = std::ranges::find(standpoint.roles, name, &Role::name);
  return found == standpoint.roles.end() ? nullptr : &*found;
}

bool holds_now(const Grant& grant, UnixMs now) noexcept { return grant.not_after_ms == 0 || now < grant.not_after_ms; }

Decision refused(std::string why) {
  return Decision{.allowed = false, .level_max = wire::Assurance::local_rng, .reasons = {Reason{.decides = true, .grant = 0, .text = std::move(why)}}};
}

/// What stands above all grants. The text of the rule that forbids, if one does.
std::optional<std::string> forbidden(const Standpoint& standpoint, const Action& action, const Question& question, UnixMs now) {
  if (!standpoint.subject) return "the subject is not in the register";
  const IdentityRecord& subject = *standpoint.subject;
  if (subject.standing != Standing::active) return "'" + subject.uid.text() + "' is suspended";
  if (action.gives_privilege && question.target.empty()) return "who would gain by " + std::string(action.name) + " is not named";
  if (action.gives_privilege && (question.target == subject.uid.text() || question.target == class_subject(subject.of))) {
    return "separation of duties: '" + subject.uid.text() + "' cannot give a role to itself";
  }
  if (action.name == "role.define" && std::ranges::find(standpoint.grants, question.target, &Grant::role) != standpoint.grants.end()) {
    return "separation of duties: '" + subject.uid.text() + "' cannot change what its own role '" + question.target + "' permits";
  }
  Duty held = Duty::none;
  for (const Grant& grant : standpoint.grants) {
    const Role* role = role_of(standpoint, grant.role);
    if (role == nullptr || role->duty == Duty::none || !holds_now(grant, now)) continue;
    if (held != Duty::none && held != role->duty) {
      return "separation of duties: '" + subject.uid.text() + "' has the duties " + std::string(name(held)) + " and " + std::string(name(role->duty));
    }
    held = role->duty;
  }
  if (held == Duty::audit && action.effect == Effect::changes) {
    return "separation of duties: '" + subject.uid.text() + "' has the duty audit, which changes nothing";
  }
  return std::nullopt;
}

/// Why this grant does not cover the question; nothing if it does, with the level up to which.
std::optional<std::string> shortfall(const Grant& grant, const Role* role, const Question& question, UnixMs now, wire::Assurance& level_max) {
  const std::string which = "grant " + std::to_string(grant.id) + " (role " + grant.role + ")";
  if (role == nullptr) return which + ": there is no such role";
  if (!holds_now(grant, now)) return which + ": has ended";
  if (!question.peer_domain.empty() && grant.domain != "*" && grant.domain != question.peer_domain) {
    return which + ": is for the domain " + grant.domain + ", not " + question.peer_domain;
  }
  std::string best = which + ": its role does not permit " + question.action;
  bool covered = false;
  for (const Permission& permission : role->permissions) {
    if (!covers(permission.action, question.action)) continue;
    if (!question.point.empty() && permission.point != "*" && permission.point != question.point) {
      best = which + ": permits " + question.action + " at " + permission.point + ", not at " + question.point;
      continue;
    }
    const wire::Assurance level = std::min(permission.level_max, grant.level_max);
    if (question.level > level) {
      best = which + ": permits " + question.action + " up to level " + level_text(level) + ", not " + level_text(question.level);
      continue;
    }
    level_max = covered ? std::max(level_max, level) : level;
    covered = true;
  }
  if (covered) return std::nullopt;
  return best;
}

}  // namespace

std::string_view name(Duty duty) noexcept {
  switch (duty) {
    case Duty::none:
      return "none";
    case Duty::security:
      return "security";
    case Duty::audit:
      return "audit";
    case Duty::operation:
      return "operation";
  }
  return "?";
}

Result<Duty> parse_duty(std::string_view text) {
  for (const Duty duty : all_duties) {
    if (name(duty) == text) return duty;
  }
  return fail(ErrorCode::invalid_argument, "duty must be none, security, audit or operation");
}

std::span<const Action> all_actions() noexcept { return actions; }

Result<const Action*> find_action(std::string_view name) {
  for (const Action& action : actions) {
    if (action.name == name) return &action;
  }
  return fail(ErrorCode::invalid_argument, "there is no action '" + std::string(name.substr(0, role_name_max)) + "'");
}

std::vector<Role> builtin_roles() {
  return {
      {.name = "security-administrator",
       .duty = Duty::security,
       .permissions = {permits("role.define"), permits("client.define"), permits("grant.*"), permits("token.revoke"), permits("identity.read"),
                       permits("behaviour.rule"), permits("behaviour.read"), permits("identity.outline")},
       .builtin = true},
      {.name = "auditor",
       .duty = Duty::audit,
       .permissions = {permits("identity.read"), permits("identity.export"), permits("identity.outline"), permits("grant.read"), permits("behaviour.read")},
       .builtin = true},
      {.name = "operator", .duty = Duty::operation, .permissions = {permits("identity.*"), permits("behaviour.read")}, .builtin = true},
      {.name = "subscriber",
       .duty = Duty::none,
       .permissions = {permits("identity.self"), permits("identity.outline"), permits("token.issue"), permits("behaviour.append"),
                       Permission{.action = "key.apply", .point = "Km-1"}},
       .builtin = true},
      {.name = "element",
       .duty = Duty::none,
       .permissions = {permits("identity.self"), permits("identity.outline"), permits("token.issue"), permits("token.check"), permits("behaviour.append")},
       .builtin = true},
      {.name = "machine", .duty = Duty::none, .permissions = {permits("identity.self"), permits("token.issue")}, .builtin = true},
      {.name = "directory", .duty = Duty::operation, .permissions = {permits("identity.*")}, .builtin = true},
  };
}

wire::Json to_json(const Role& role) {
  wire::Json list = wire::Json::array();
  for (const Permission& one : role.permissions) {
    list.push(wire::Json::object({{"action", one.action}, {"point", one.point}, {"level_max", static_cast<int>(one.level_max)}}));
  }
  return wire::Json::object({{"name", role.name}, {"duty", name(role.duty)}, {"permissions", list}, {"builtin", role.builtin}});
}

Result<Role> read_role(const wire::Json& json) {
  TRY(json.only({"name", "duty", "permissions", "builtin"}));
  Role out;
  ASSIGN_OR_RETURN(out.name, json.text("name"));
  if (!is_role_name(out.name)) return fail(ErrorCode::invalid_argument, "role: a name is 1 to 64 of a–z, 0–9, '-' and '.'");
  ASSIGN_OR_RETURN(const auto duty, json.optional_text("duty"));
  ASSIGN_OR_RETURN(out.duty, parse_duty(duty.value_or("none")));
  ASSIGN_OR_RETURN(const std::vector<wire::Json> list, json.array("permissions"));
  if (list.size() > permissions_max) return fail(ErrorCode::invalid_argument, "role: more than " + std::to_string(permissions_max) + " permissions");
  for (const wire::Json& each : list) {
    TRY(each.only({"action", "point", "level_max"}));
    Permission one;
    ASSIGN_OR_RETURN(one.action, each.text("action"));
    if (!is_action_pattern(one.action)) return fail(ErrorCode::invalid_argument, "role: there is no action '" + one.action.substr(0, role_name_max) + "'");
    ASSIGN_OR_RETURN(const auto point, each.optional_text("point"));
    one.point = point.value_or("*");
    if (one.point != "*" && points::find_point(one.point) == nullptr)
      return fail(ErrorCode::invalid_argument, "role: there is no reference point '" + one.point.substr(0, role_name_max) + "'");
    ASSIGN_OR_RETURN(one.level_max, read_level(each, "level_max", one.level_max));
    out.permissions.push_back(std::move(one));
  }
  TRY(check_duty(out));
  return out;
}

Result<void> check_duty(const Role& role) {
  for (const Permission& permission : role.permissions) {
    for (const Action& action : actions) {
      if (!covers(permission.action, action.name)) continue;
      if (action.duty != Duty::none && action.duty != role.duty) {
        return fail(ErrorCode::invalid_argument, "role '" + role.name + "': " + std::string(action.name) + " belongs to the duty " +
                                                     std::string(name(action.duty)) + ", the role's is " + std::string(name(role.duty)));
      }
      if (role.duty == Duty::audit && action.effect == Effect::changes) {
        return fail(ErrorCode::invalid_argument, "role '" + role.name + "': the duty audit changes nothing, and " + std::string(action.name) + " does");
      }
    }
  }
  return {};
}

wire::Json to_json(const Grant& grant) {
  return wire::Json::object({{"id", grant.id},
                             {"subject", grant.subject},
                             {"role", grant.role},
                             {"domain", grant.domain},
                             {"level_max", static_cast<int>(grant.level_max)},
                             {"not_after_ms", grant.not_after_ms},
                             {"given_by", grant.given_by},
                             {"given_ms", grant.given_ms}});
}

Result<void> check_domain(const std::string& text) {
  // As it stands in the name of an element: what is no domain there is none here.
  TRY(Identity::parse_uri(Identity{.domain = text, .kind = Kind::kms, .name = "x"}.uri()));
  return {};
}

Result<Question> read_question(const wire::Json& json) {
  Question out;
  ASSIGN_OR_RETURN(out.action, json.text("action"));
  TRY(find_action(out.action));
  ASSIGN_OR_RETURN(const auto point, json.optional_text("point"));
  out.point = point.value_or("");
  if (!out.point.empty() && points::find_point(out.point) == nullptr) return fail(ErrorCode::invalid_argument, "point: there is no such reference point");
  ASSIGN_OR_RETURN(const auto domain, json.optional_text("peer_domain"));
  out.peer_domain = domain.value_or("");
  if (!out.peer_domain.empty()) TRY(check_domain(out.peer_domain));
  ASSIGN_OR_RETURN(out.level, read_level(json, "level", out.level));
  ASSIGN_OR_RETURN(const auto target, json.optional_text("target"));
  out.target = target.value_or("");
  return out;
}

std::string Decision::why() const { return reasons.empty() ? "" : reasons.front().text; }

wire::Json to_json(const Decision& decision) {
  wire::Json list = wire::Json::array();
  for (const Reason& one : decision.reasons) {
    wire::Json reason = wire::Json::object({{"decides", one.decides}, {"text", one.text}});
    if (one.grant != 0) reason.set("grant", one.grant);
    list.push(std::move(reason));
  }
  wire::Json out = wire::Json::object({{"allowed", decision.allowed}, {"reasons", list}});
  if (decision.allowed) out.set("level_max", static_cast<int>(decision.level_max)).set("until_ms", decision.until_ms);
  return out;
}

Decision decide(const Standpoint& standpoint, const Question& question, UnixMs now) {
  const auto action = find_action(question.action);
  if (!action) return refused(action.error().message);
  if (auto rule = forbidden(standpoint, **action, question, now)) return refused(*std::move(rule));
  Decision out;
  std::vector<Reason> short_of;
  for (const Grant& grant : standpoint.grants) {
    wire::Assurance level = wire::Assurance::local_rng;
    if (auto why = shortfall(grant, role_of(standpoint, grant.role), question, now, level)) {
      short_of.push_back({.decides = false, .grant = grant.id, .text = *std::move(why)});
      continue;
    }
    if (!out.allowed || level > out.level_max) out.level_max = level;
    if (grant.not_after_ms != 0 && (out.until_ms == 0 || grant.not_after_ms < out.until_ms)) out.until_ms = grant.not_after_ms;
    const auto everybody = class_in(grant.subject);
    const std::string from = everybody ? ", given to every " + std::string(name(*everybody)) : ", given by " + grant.given_by;
    out.reasons.push_back({.decides = !out.allowed,
                           .grant = grant.id,
                           .text = "grant " + std::to_string(grant.id) + " (role " + grant.role + ") permits " + question.action + from});
    out.allowed = true;
  }
  if (!out.allowed) {
    out.reasons.push_back({.decides = true,
                           .grant = 0,
                           .text = standpoint.grants.empty() ? "'" + standpoint.subject->uid.text() + "' has no role"
                                                             : "no grant of '" + standpoint.subject->uid.text() + "' permits " + question.action});
  }
  std::ranges::move(short_of, std::back_inserter(out.reasons));
  return out;
}

Result<void> check_separation(const std::vector<Role>& has, const Role& added) {
  if (added.duty == Duty::none) return {};
  for (const Role& role : has) {
    if (role.duty == Duty::none || role.duty == added.duty) continue;
    return fail(ErrorCode::denied, "separation of duties: the subject has the duty " + std::string(name(role.duty)) + " (role " + role.name +
                                       ") and may not have " + std::string(name(added.duty)) + " as well");
  }
  return {};
}

}  // namespace qanat::iam
