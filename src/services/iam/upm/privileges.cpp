#include "services/iam/upm/privileges.hpp"

#include <algorithm>
#include <set>

namespace qanat::iam {
namespace {

constexpr std::string_view by_installation = "installation";
constexpr std::string_view grant_columns = "SELECT id, subject, role, domain, level_max, not_after_ms, given_by, given_ms FROM role_grant ";

std::string permissions_text(const Role& role) { return to_json(role).at("permissions").value_or(wire::Json::array()).dump(); }

struct StoredRole {
  std::string name;
  std::string duty;
  std::string permissions;
  bool builtin = false;
};

Result<Role> role_from(const StoredRole& stored) {
  ASSIGN_OR_RETURN(const wire::Json permissions, wire::Json::parse(stored.permissions));
  ASSIGN_OR_RETURN(Role out, read_role(wire::Json::object({{"name", stored.name}, {"duty", stored.duty}, {"permissions", permissions}})));
  out.builtin = stored.builtin;
  return out;
}

Result<std::vector<Role>> read_roles(store::Transaction& transaction) {
  std::vector<StoredRole> stored;
  TRY(transaction.query("SELECT name, duty, permissions, builtin FROM role ORDER BY name", {}, [&](const store::Row& row) {
    stored.push_back({.name = row.text(0), .duty = row.text(1), .permissions = row.text(2), .builtin = row.integer(3) == 1});
  }));
  std::vector<Role> out;
  for (const StoredRole& one : stored) {
    ASSIGN_OR_RETURN(Role role, role_from(one));
    out.push_back(std::move(role));
  }
  return out;
}

Grant grant_of(const store::Row& row) {
  return {.id = row.integer(0),
          .subject = row.text(1),
          .role = row.text(2),
          .domain = row.text(3),
          .level_max = static_cast<wire::Assurance>(row.integer(4)),
          .not_after_ms = static_cast<UnixMs>(row.integer(5)),
          .given_by = row.text(6),
          .given_ms = static_cast<UnixMs>(row.integer(7))};
}

Result<std::vector<Grant>> read_grants(store::Transaction& transaction, std::string_view where, std::initializer_list<store::Value> values) {
  std::vector<Grant> out;
  TRY(transaction.query(std::string(grant_columns) + std::string(where) + " ORDER BY id", values,
                        [&](const store::Row& row) { out.push_back(grant_of(row)); }));
  return out;
}

Result<Role> role_named(const std::vector<Role>& roles, const std::string& name) {
  const auto found = std::ranges::find(roles, name, &Role::name);
  if (found == roles.end()) return fail(ErrorCode::not_found, "there is no role '" + name.substr(0, role_name_max) + "'");
  return *found;
}

std::vector<Role> roles_in(const std::vector<Grant>& grants, const std::vector<Role>& roles, std::string_view besides = "") {
  std::vector<Role> out;
  for (const Grant& grant : grants) {
    const auto role = std::ranges::find(roles, grant.role, &Role::name);
    if (role != roles.end() && role->name != besides) out.push_back(*role);
  }
  return out;
}

IdentityRecord founder_record(const Identity& uri) {
  IdentityRecord out;
  out.uid = Uid(uri.name);
  out.of = uri.kind == Kind::op ? IdentityClass::person : IdentityClass::element;
  out.domain = uri.domain;
  out.uri = uri;
  if (out.of == IdentityClass::person) out.user_name = uri.name;
  return out;
}

/// Why this one cannot be entered; empty if it can, or is there.
Result<std::string> obstacle(store::Transaction& transaction, const IdentityRecord& founder) {
  std::string out;
  TRY(transaction.query("SELECT uid, class FROM identity WHERE uid = ?1 OR (user_name = ?2 COLLATE NOCASE AND user_name <> '') LIMIT 1",
                        {std::string_view(founder.uid.text()), std::string_view(founder.user_name)}, [&](const store::Row& row) {
                          out = "its name is that of the identity '" + row.text(0) + "', a " + row.text(1) + ": enter it under another uid";
                        }));
  return out;
}

}  // namespace

Result<Standpoint> Privileges::standpoint(store::Transaction& transaction, const Uid& subject) {
  Standpoint out;
  ASSIGN_OR_RETURN(out.subject, IdentityRegister::read(transaction, subject));
  if (!out.subject) return out;
  const std::string everybody = class_subject(out.subject->of);
  ASSIGN_OR_RETURN(out.grants, read_grants(transaction, "WHERE subject = ? OR subject = ?", {std::string_view(subject.text()), std::string_view(everybody)}));
  ASSIGN_OR_RETURN(out.roles, read_roles(transaction));
  return out;
}

Result<Decision> Privileges::decide(const Uid& subject, const Question& question, UnixMs now) {
  ASSIGN_OR_RETURN(const Standpoint known, store_.transact([&](store::Transaction& transaction) { return standpoint(transaction, subject); }));
  return iam::decide(known, question, now);
}

Result<Grant> Privileges::enter(store::Transaction& transaction, Grant grant, UnixMs now) {
  ASSIGN_OR_RETURN(const auto same, read_grants(transaction, "WHERE subject = ? AND role = ? AND domain = ?",
                                                {std::string_view(grant.subject), std::string_view(grant.role), std::string_view(grant.domain)}));
  if (!same.empty()) {
    if (same.front().level_max == grant.level_max && same.front().not_after_ms == grant.not_after_ms) return same.front();
    return fail(ErrorCode::conflict, "'" + grant.subject + "' has grant " + std::to_string(same.front().id) +
                                         " of this role already, with another level or end: take that one first");
  }
  grant.given_ms = now;
  TRY(transaction.run("INSERT INTO role_grant (subject, role, domain, level_max, not_after_ms, given_by, given_ms) VALUES (?, ?, ?, ?, ?, ?, ?)",
                      {std::string_view(grant.subject), std::string_view(grant.role), std::string_view(grant.domain),
                       static_cast<std::int64_t>(grant.level_max), store::column(grant.not_after_ms), std::string_view(grant.given_by), store::column(now)}));
  TRY(transaction.query("SELECT last_insert_rowid()", {}, [&](const store::Row& row) { grant.id = row.integer(0); }));
  return grant;
}

Result<std::vector<LeftOut>> Privileges::found(IdentityRegister& identities, const Founders& founders, UnixMs now) {
  const auto known = [](store::Transaction& transaction, const Identity& uri) -> Result<bool> {
    bool out = false;
    const std::string text = uri.uri();
    TRY(transaction.query("SELECT 1 FROM identity WHERE uri = ? UNION SELECT 1 FROM deleted_identity WHERE uid = ?",
                          {std::string_view(text), std::string_view(uri.name)}, [&](const store::Row&) { out = true; }));
    return out;
  };
  return store_.transact([&](store::Transaction& transaction) -> Result<std::vector<LeftOut>> {
    std::vector<LeftOut> out;
    for (const Role& role : builtin_roles()) {
      const std::string permissions = permissions_text(role);
      TRY(transaction.run("INSERT INTO role (name, duty, permissions, builtin) VALUES (?, ?, ?, 1) "
                          "ON CONFLICT (name) DO UPDATE SET duty = excluded.duty, permissions = excluded.permissions, builtin = 1",
                          {std::string_view(role.name), name(role.duty), std::string_view(permissions)}));
    }
    for (const auto& list : {founders.security_administrators, founders.auditors, founders.operators, founders.elements}) {
      for (const Identity& uri : list) {
        ASSIGN_OR_RETURN(const bool there, known(transaction, uri));
        if (there) continue;
        const IdentityRecord record = founder_record(uri);
        ASSIGN_OR_RETURN(std::string why, obstacle(transaction, record));
        if (why.empty()) {
          TRY(identities.insert(transaction, record, now));
        } else {
          out.push_back({.founder = uri, .why = std::move(why)});
        }
      }
    }
    ASSIGN_OR_RETURN(const auto given, read_grants(transaction, "WHERE role = 'security-administrator'", {}));
    if (!given.empty()) return out;  // from then on, who has what is theirs to say
    const auto left_out = [&](const Identity& uri) { return std::ranges::find(out, uri, &LeftOut::founder) != out.end(); };
    if (std::ranges::all_of(founders.security_administrators, left_out)) {
      return fail(ErrorCode::conflict, "no security administrator of the configuration can be entered: others have their names");
    }
    const auto give_all = [&](const std::vector<Identity>& to, const char* role) -> Result<void> {
      for (const Identity& uri : to) {
        if (!left_out(uri)) TRY(enter(transaction, {.subject = uri.name, .role = role, .given_by = std::string(by_installation)}, now));
      }
      return {};
    };
    TRY(give_all(founders.security_administrators, "security-administrator"));
    TRY(give_all(founders.auditors, "auditor"));
    TRY(give_all(founders.operators, "operator"));
    for (const auto& [of, role] :
         {std::pair{IdentityClass::terminal, "subscriber"}, {IdentityClass::element, "element"}, {IdentityClass::application, "machine"}}) {
      TRY(enter(transaction, {.subject = class_subject(of), .role = role, .given_by = std::string(by_installation)}, now));
    }
    return out;
  });
}

Result<void> Privileges::define(const Role& role) {
  TRY(check_duty(role));
  TRY(store_.transact([&](store::Transaction& transaction) -> Result<void> {
    ASSIGN_OR_RETURN(const std::vector<Role> all, read_roles(transaction));
    const auto before = std::ranges::find(all, role.name, &Role::name);
    if (before != all.end() && before->builtin) return fail(ErrorCode::conflict, "role '" + role.name + "' is built in");
    // Who has the role already gets its new duty.
    ASSIGN_OR_RETURN(const auto having, read_grants(transaction, "WHERE role = ?", {std::string_view(role.name)}));
    for (const Grant& one : having) {
      if (role.duty != Duty::none && class_in(one.subject))
        return fail(ErrorCode::denied, "separation of duties: a whole class has the role '" + role.name + "'");
      ASSIGN_OR_RETURN(const auto others, read_grants(transaction, "WHERE subject = ?", {std::string_view(one.subject)}));
      TRY(check_separation(roles_in(others, all, role.name), role));
    }
    const std::string permissions = permissions_text(role);
    TRY(transaction.run("INSERT INTO role (name, duty, permissions, builtin) VALUES (?, ?, ?, 0) "
                        "ON CONFLICT (name) DO UPDATE SET duty = excluded.duty, permissions = excluded.permissions",
                        {std::string_view(role.name), name(role.duty), std::string_view(permissions)}));
    if (before != all.end() && before->permissions == role.permissions && before->duty == role.duty) return {};
    std::set<std::string> subjects;
    for (const Grant& one : having) subjects.insert(one.subject);
    for (const std::string& subject : subjects) TRY(lost_(transaction, subject));
    return {};
  }));
  return {};
}

Result<void> Privileges::undefine(const std::string& role) {
  return store_.transact([&](store::Transaction& transaction) -> Result<void> {
    ASSIGN_OR_RETURN(const std::vector<Role> all, read_roles(transaction));
    ASSIGN_OR_RETURN(const Role known, role_named(all, role));
    if (known.builtin) return fail(ErrorCode::conflict, "role '" + role + "' is built in");
    ASSIGN_OR_RETURN(const auto having, read_grants(transaction, "WHERE role = ?", {std::string_view(role)}));
    if (!having.empty()) return fail(ErrorCode::conflict, "role '" + role + "' is granted to '" + having.front().subject + "'");
    TRY(transaction.run("DELETE FROM role WHERE name = ?", {std::string_view(role)}));
    return {};
  });
}

Result<std::vector<Role>> Privileges::roles() {
  return store_.transact([](store::Transaction& transaction) { return read_roles(transaction); });
}

Result<Grant> Privileges::give(Grant grant, UnixMs now) {
  auto out = store_.transact([&](store::Transaction& transaction) -> Result<Grant> {
    ASSIGN_OR_RETURN(const std::vector<Role> all, read_roles(transaction));
    ASSIGN_OR_RETURN(const Role role, role_named(all, grant.role));
    if (class_in(grant.subject)) {
      if (role.duty != Duty::none) return fail(ErrorCode::denied, "separation of duties: a role with a duty is given to single subjects");
    } else {
      ASSIGN_OR_RETURN(const auto record, IdentityRegister::read(transaction, Uid(grant.subject)));
      if (!record) return fail(ErrorCode::not_found, "there is no identity '" + grant.subject + "'");
      if (role.duty != Duty::none && record->of != IdentityClass::person && record->of != IdentityClass::application) {
        return fail(ErrorCode::denied, "separation of duties: duties are for people, and for applications that act for them");
      }
    }
    ASSIGN_OR_RETURN(const auto has, read_grants(transaction, "WHERE subject = ?", {std::string_view(grant.subject)}));
    if (has.size() >= grants_max) return fail(ErrorCode::exhausted, "'" + grant.subject + "' has " + std::to_string(grants_max) + " grants");
    TRY(check_separation(roles_in(has, all), role));
    return enter(transaction, std::move(grant), now);
  });
  return out;
}

Result<Grant> Privileges::take(std::int64_t id) {
  auto out = store_.transact([&](store::Transaction& transaction) -> Result<Grant> {
    ASSIGN_OR_RETURN(const auto found, read_grants(transaction, "WHERE id = ?", {id}));
    if (found.empty()) return fail(ErrorCode::not_found, "there is no grant " + std::to_string(id));
    if (found.front().role == "security-administrator") {
      ASSIGN_OR_RETURN(const auto administrators, read_grants(transaction, "WHERE role = 'security-administrator'", {}));
      if (administrators.size() == 1) return fail(ErrorCode::denied, "grant " + std::to_string(id) + " is the last security administrator's");
    }
    TRY(transaction.run("DELETE FROM role_grant WHERE id = ?", {id}));
    TRY(lost_(transaction, found.front().subject));
    return found.front();
  });
  return out;
}

Result<Duty> Privileges::duty_of(const Uid& subject) {
  return store_.transact([&](store::Transaction& transaction) -> Result<Duty> {
    ASSIGN_OR_RETURN(const std::vector<Role> all, read_roles(transaction));
    ASSIGN_OR_RETURN(const auto has, read_grants(transaction, "WHERE subject = ?", {std::string_view(subject.text())}));
    for (const Role& role : roles_in(has, all)) {
      if (role.duty != Duty::none) return role.duty;
    }
    return Duty::none;
  });
}

Result<std::vector<Grant>> Privileges::grants(const std::string& subject) {
  return store_.transact([&](store::Transaction& transaction) {
    return subject.empty() ? read_grants(transaction, "", {}) : read_grants(transaction, "WHERE subject = ?", {std::string_view(subject)});
  });
}

}  // namespace qanat::iam
