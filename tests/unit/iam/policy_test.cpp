// The decision, without a database: what is granted, what falls short and why, and that nobody has two duties.
#include "services/iam/upm/policy.hpp"

#include <gtest/gtest.h>

namespace qanat::iam {
namespace {

constexpr UnixMs now_ms = 1'800'000'000'000;

IdentityRecord subject(const char* uid, IdentityClass of = IdentityClass::person) {
  IdentityRecord out;
  out.uid = Uid(uid);
  out.of = of;
  out.domain = "a";
  return out;
}
Grant grant(std::int64_t id, const char* to, const char* role) { return {.id = id, .subject = to, .role = role, .given_by = "root"}; }
Question asks(const char* action) { return {.action = action}; }

Standpoint with(const IdentityRecord& who, std::vector<Grant> grants) { return {.subject = who, .grants = std::move(grants), .roles = builtin_roles()}; }

TEST(DecisionTest, DeniesWhatNoGrantCoversAndSaysSo) {
  const Decision nothing = decide(with(subject("wang"), {}), asks("identity.read"), now_ms);
  EXPECT_FALSE(nothing.allowed);
  EXPECT_EQ(nothing.why(), "'wang' has no role");
  const Decision other = decide(with(subject("wang"), {grant(4, "wang", "auditor")}), asks("identity.create"), now_ms);
  EXPECT_FALSE(other.allowed);
  EXPECT_TRUE(decide(with(subject("wang"), {grant(4, "wang", "operator")}), asks("identity.create"), now_ms).allowed);
  const Decision unknown = decide({.subject = {}, .grants = {}, .roles = builtin_roles()}, asks("identity.read"), now_ms);
  EXPECT_EQ(unknown.why(), "the subject is not in the register");
  EXPECT_FALSE(decide(with(subject("wang"), {grant(4, "wang", "operator")}), asks("identity.fly"), now_ms).allowed);
}

TEST(DecisionTest, NamesTheGrantThatDecided) {
  const Decision allowed = decide(with(subject("wang"), {grant(7, "wang", "operator")}), asks("identity.suspend"), now_ms);
  ASSERT_TRUE(allowed.allowed);
  EXPECT_EQ(allowed.reasons.front().grant, 7);
  EXPECT_TRUE(allowed.reasons.front().decides);
  EXPECT_EQ(allowed.why(), "grant 7 (role operator) permits identity.suspend, given by root");
}

TEST(DecisionTest, PointDomainLevelAndEndOfAGrantCount) {
  const IdentityRecord terminal = subject("A", IdentityClass::terminal);
  Grant limited = grant(3, "class:terminal", "subscriber");
  limited.domain = "b";
  limited.level_max = wire::Assurance::pqc;
  limited.not_after_ms = now_ms + 1;
  const auto why = [&](const Question& question, UnixMs at = now_ms) {
    const Decision decision = decide(with(terminal, {limited}), question, at);
    return decision.allowed ? "allowed up to " + std::to_string(static_cast<int>(decision.level_max)) : decision.reasons.back().text;
  };
  const Question good{.action = "key.apply", .point = "Km-1", .peer_domain = "b", .level = wire::Assurance::pqc, .target = ""};
  EXPECT_EQ(why(good), "allowed up to 2");
  Question other = good;
  other.peer_domain = "c";
  EXPECT_EQ(why(other), "grant 3 (role subscriber): is for the domain b, not c");
  other = good;
  other.level = wire::Assurance::one_qkd_path;
  EXPECT_EQ(why(other), "grant 3 (role subscriber): permits key.apply up to level 2, not 3");
  other = good;
  other.point = "Km-3";
  EXPECT_EQ(why(other), "grant 3 (role subscriber): permits key.apply at Km-1, not at Km-3");
  EXPECT_EQ(why(good, now_ms + 1), "grant 3 (role subscriber): has ended");
}

TEST(DecisionTest, TheHighestLevelOfSeveralGrantsCounts) {
  const IdentityRecord terminal = subject("A", IdentityClass::terminal);
  Grant low = grant(1, "class:terminal", "subscriber");
  low.level_max = wire::Assurance::pqc;
  const Decision decision = decide(with(terminal, {low, grant(2, "A", "subscriber")}), {.action = "key.apply", .point = "Km-1"}, now_ms);
  EXPECT_TRUE(decision.allowed);
  EXPECT_EQ(decision.level_max, wire::Assurance::disjoint_qkd_paths);
}

TEST(DecisionTest, TheHighestLevelOfARolesPermissionsCounts) {
  const Role role{.name = "caller",
                  .permissions = {Permission{.action = "key.apply", .point = "*", .level_max = wire::Assurance::pqc},
                                  Permission{.action = "key.*", .point = "Km-1", .level_max = wire::Assurance::one_qkd_path}}};
  const Standpoint standpoint{.subject = subject("A", IdentityClass::terminal), .grants = {grant(1, "A", "caller")}, .roles = {role}};
  const Decision decision = decide(standpoint, {.action = "key.apply", .point = "Km-1"}, now_ms);
  EXPECT_EQ(decision.level_max, wire::Assurance::one_qkd_path);
  EXPECT_EQ(decide(standpoint, {.action = "key.apply", .point = "Km-3"}, now_ms).level_max, wire::Assurance::pqc);
}

TEST(DecisionTest, HoldsUntilTheFirstOfItsGrantsEnds) {
  const IdentityRecord terminal = subject("A", IdentityClass::terminal);
  Grant soon = grant(1, "class:terminal", "subscriber");
  EXPECT_EQ(decide(with(terminal, {soon}), asks("key.apply"), now_ms).until_ms, 0U) << "no end is known";
  soon.not_after_ms = now_ms + 5;
  Grant later = grant(2, "A", "subscriber");
  later.not_after_ms = now_ms + 9;
  EXPECT_EQ(decide(with(terminal, {later, soon}), asks("key.apply"), now_ms).until_ms, now_ms + 5);
  EXPECT_EQ(decide(with(terminal, {later, soon}), asks("key.apply"), now_ms + 5).until_ms, now_ms + 9);
}

TEST(DecisionTest, ASuspendedSubjectMayNothing) {
  IdentityRecord wang = subject("wang");
  wang.standing = Standing::suspended;
  const Decision decision = decide(with(wang, {grant(1, "wang", "operator")}), asks("identity.read"), now_ms);
  EXPECT_EQ(decision.why(), "'wang' is suspended");
}

TEST(SeparationTest, WhoGrantsIsNotWhoIsGranted) {
  const Standpoint administrator = with(subject("li"), {grant(1, "li", "security-administrator")});
  Question give{.action = "grant.give", .target = "wang"};
  EXPECT_TRUE(decide(administrator, give, now_ms).allowed);
  give.target = "li";
  EXPECT_FALSE(decide(administrator, give, now_ms).allowed);
  EXPECT_TRUE(decide(administrator, give, now_ms).why().contains("cannot give a role to itself"));
  give.target = "class:person";
  EXPECT_FALSE(decide(administrator, give, now_ms).allowed) << "its own class is itself";
  give.target = "";
  EXPECT_FALSE(decide(administrator, give, now_ms).allowed);
  Question define{.action = "role.define", .target = "security-administrator"};
  EXPECT_FALSE(decide(administrator, define, now_ms).allowed) << "its own role";
  define.target = "day-shift";
  EXPECT_TRUE(decide(administrator, define, now_ms).allowed);
}

TEST(SeparationTest, TheAuditorReadsAndChangesNothingWhateverItsRolesSay) {
  std::vector<Role> roles = builtin_roles();
  roles.push_back({.name = "generous", .duty = Duty::none, .permissions = {{.action = "identity.self"}, {.action = "behaviour.append"}}});
  const Standpoint auditor{.subject = subject("zhao"), .grants = {grant(1, "zhao", "auditor"), grant(2, "zhao", "generous")}, .roles = roles};
  for (const Action& action : all_actions()) {
    Question question{.action = std::string(action.name), .target = "wang"};
    if (decide(auditor, question, now_ms).allowed) EXPECT_EQ(action.effect, Effect::reads) << action.name;
  }
  EXPECT_TRUE(decide(auditor, asks("grant.read"), now_ms).allowed);
  EXPECT_TRUE(decide(auditor, asks("behaviour.append"), now_ms).why().contains("duty audit, which changes nothing"));
}

TEST(SeparationTest, NobodyHasTwoDutiesEvenIfTheDatabaseSaysSo) {
  const Standpoint both = with(subject("wang"), {grant(1, "wang", "operator"), grant(2, "wang", "security-administrator")});
  for (const Action& action : all_actions()) EXPECT_FALSE(decide(both, {.action = std::string(action.name), .target = "x"}, now_ms).allowed) << action.name;
  const std::vector<Role> roles = builtin_roles();
  const auto role = [&](const char* name) { return *std::ranges::find(roles, name, &Role::name); };
  for (const char* first : {"operator", "auditor", "security-administrator"}) {
    for (const char* second : {"operator", "auditor", "security-administrator"}) {
      EXPECT_EQ(check_separation({role(first)}, role(second)).has_value(), std::string_view(first) == second) << first << " and " << second;
    }
    EXPECT_TRUE(check_separation({role(first)}, role("subscriber")));
  }
}

TEST(SeparationTest, NoRoleHoldsWhatBelongsToTwoDuties) {
  for (const Role& role : builtin_roles()) EXPECT_TRUE(check_duty(role)) << role.name;
  for (const Duty duty : all_duties) {
    EXPECT_FALSE(check_duty({.name = "all", .duty = duty, .permissions = {{.action = "*"}}})) << name(duty);
    EXPECT_FALSE(check_duty({.name = "two", .duty = duty, .permissions = {{.action = "grant.give"}, {.action = "identity.create"}}})) << name(duty);
  }
  EXPECT_FALSE(check_duty({.name = "sly", .duty = Duty::none, .permissions = {{.action = "grant.give"}}}));
  EXPECT_FALSE(check_duty({.name = "sly", .duty = Duty::audit, .permissions = {{.action = "behaviour.append"}}}));
}

TEST(RoleTest, ComesBackFromItsJsonAndIsReadStrictly) {
  for (const Role& role : builtin_roles()) {
    auto read = read_role(to_json(role));
    ASSERT_TRUE(read) << read.error().message;
    read->builtin = role.builtin;
    EXPECT_EQ(*read, role);
  }
  const auto refused = [](const char* text) { return !read_role(wire::Json::parse(std::string_view(text)).value()); };
  EXPECT_TRUE(refused(R"({"name":"x","permissions":[{"action":"identity.fly"}]})"));
  EXPECT_TRUE(refused(R"({"name":"x","permissions":[{"action":"identity.read","point":"Km-9"}]})"));
  EXPECT_TRUE(refused(R"({"name":"x","permissions":[{"action":"identity.read","level_max":5}]})"));
  EXPECT_TRUE(refused(R"({"name":"X Y","permissions":[]})"));
  EXPECT_TRUE(refused(R"({"name":"x","duty":"all","permissions":[]})"));
}

}  // namespace
}  // namespace qanat::iam
