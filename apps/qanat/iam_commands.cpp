#include "iam_commands.hpp"

#include <fmt/format.h>

#include <charconv>
#include <fstream>
#include <iterator>

#include "base/clock.hpp"
#include "crypto/foreign_issue.hpp"
#include "launch.hpp"
#include "operator.hpp"
#include "wire/base64.hpp"

namespace qanat::app {
namespace {

using points::Endpoint;
using wire::Json;

constexpr std::size_t file_max = 64U << 20U;       // octets of an import file
constexpr std::size_t lines_per_request = 200;
constexpr UnixMs hour_ms = 3'600'000;

Result<std::string> read_file(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) return fail(ErrorCode::not_found, file.string() + ": cannot be read");
  std::string out(std::istreambuf_iterator<char>(in), {});
  if (out.size() > file_max) return fail(ErrorCode::invalid_argument, file.string() + ": is too large");
  return out;
}

/// Opens the network as `ask.as` (else `standard`) and does the work with it.
template <class Work>
int with_duty(const IamAsk& ask, const char* standard, Work&& work) {
  return with_operator(ask.at, ask.as.empty() ? standard : ask.as, work);
}

std::string text_in(const Json& json, std::string_view member) { return json.text(member).value_or("-"); }

void print_identity(const Json& one) {
  fmt::print("  {:<20} {:<12} {:<8} {:<10} {:<16} {}\n", text_in(one, "uid"), text_in(one, "class"), text_in(one, "domain"), text_in(one, "status"),
             text_in(one, "number"), text_in(one, "name"));
}

Result<void> show_identity(const IamAsk& ask, const Json& record) {
  if (ask.output == Output::json) {
    fmt::print("{}\n", record.dump());
    return {};
  }
  for (const std::string& name : record.names()) {
    ASSIGN_OR_RETURN(const Json value, record.at(name));
    fmt::print("  {:<14} {}\n", name, value.as_text().value_or(value.dump()));
  }
  return {};
}

Result<void> show_done(const IamAsk& ask, const Json& answer, const std::string& words) {
  fmt::print("{}\n", ask.output == Output::json ? answer.dump() : "  " + words);
  return {};
}

void put_texts(Json& out, std::initializer_list<std::pair<std::string_view, const std::string*>> members) {
  for (const auto& [name, text] : members) {
    if (!text->empty()) out.set(name, *text);
  }
}

void put_sae_rules(Json& out, const SaeRuleOptions& rules) {
  if (rules.keys_per_second) out.set("keys_per_second", *rules.keys_per_second);
  if (rules.keys_per_day) out.set("keys_per_day", *rules.keys_per_day);
  if (rules.peer_domains.empty()) return;
  Json domains = Json::array();
  for (const std::string& domain : rules.peer_domains) {
    if (rules.peer_domains.size() > 1 || domain != "none") domains.push(domain);
  }
  out.set("peer_domains", std::move(domains));
}

Result<Json> identity_body(const IdentityOptions& options) {
  Json out = Json::object({{"uid", options.uid}, {"class", options.of}, {"domain", options.domain}});
  put_texts(out, {{"uri", &options.uri},
                  {"number", &options.number},
                  {"home_kms", &options.kms},
                  {"user_name", &options.user_name},
                  {"name", &options.name},
                  {"mail", &options.mail},
                  {"external_id", &options.external_id}});
  put_sae_rules(out, options.sae);
  if (options.certificates.empty()) return out;
  Json thumbprints = Json::array();
  for (const std::filesystem::path& file : options.certificates) {
    ASSIGN_OR_RETURN(const std::string pem, read_file(file));
    ASSIGN_OR_RETURN(const Bytes thumbprint, crypto::pem_thumbprint(pem));
    thumbprints.push(to_hex(thumbprint));
  }
  return out.set("certificates", std::move(thumbprints));
}

/// All pages of a list; `each` gets every answer.
template <class Each>
Result<void> page_through(Operator& op, Endpoint endpoint, const Json& question, Each&& each) {
  std::optional<std::string> after;
  do {
    Json body = question;
    if (after) body.set("after", *after);
    ASSIGN_OR_RETURN(const Json answer, op.ask(endpoint, "iam", body));
    TRY(each(answer));
    ASSIGN_OR_RETURN(after, answer.optional_text("next"));
  } while (after);
  return {};
}

Json filter_body(const char* op, const IdentityOptions& filter, const std::string& status) {
  Json out = Json::object({{"op", op}});
  put_texts(out, {{"class", &filter.of}, {"domain", &filter.domain}, {"status", &status}});
  return out;
}

Result<std::int64_t> number_in(std::string_view text) {
  std::int64_t out = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  if (error != std::errc() || end != text.data() + text.size()) return fail(ErrorCode::invalid_argument, "'" + std::string(text) + "' is no number");
  return out;
}

void print_grant(const Json& one) {
  fmt::print("  {:>5}  {:<20} {:<24} domain {:<8} level {}  given by {}\n", one.integer("id").value_or(0), text_in(one, "subject"), text_in(one, "role"),
             text_in(one, "domain"), one.integer("level_max").value_or(0), text_in(one, "given_by"));
}

}  // namespace

int iam_create(const IamAsk& ask, const IdentityOptions& options) {
  return with_duty(ask, "operator", [&](Operator& op) -> Result<void> {
    ASSIGN_OR_RETURN(const Json body, identity_body(options));
    ASSIGN_OR_RETURN(const Json record, op.ask(Endpoint::x5_identity, "iam", Json::object({{"op", "create"}, {"identity", body}})));
    return show_identity(ask, record);
  });
}

int iam_find(const IamAsk& ask, const std::string& uid, const std::string& number, const std::filesystem::path& certificate) {
  return with_duty(ask, "operator", [&](Operator& op) -> Result<void> {
    Json body = Json::object({{"op", "find"}});
    put_texts(body, {{"uid", &uid}, {"number", &number}});
    if (!certificate.empty()) {
      ASSIGN_OR_RETURN(const std::string pem, read_file(certificate));
      ASSIGN_OR_RETURN(const Bytes thumbprint, crypto::pem_thumbprint(pem));
      body.set("thumbprint", to_hex(thumbprint));
    }
    ASSIGN_OR_RETURN(const Json record, op.ask(Endpoint::x5_identity, "iam", body));
    return show_identity(ask, record);
  });
}

int iam_change(const IamAsk& ask, const ChangeOptions& options) {
  return with_duty(ask, "operator", [&](Operator& op) -> Result<void> {
    Json members = Json::object();
    put_sae_rules(members, options.sae);
    for (const std::string& one : options.set) {
      const std::size_t at = one.find('=');
      if (at == std::string::npos) return fail(ErrorCode::invalid_argument, "--set takes MEMBER=TEXT");
      members.set(one.substr(0, at), one.substr(at + 1));
    }
    if (members.names().empty()) return fail(ErrorCode::invalid_argument, "nothing is to be changed: give --set, or an SAE's rules");
    std::int64_t version = options.version;
    if (version == 0) {
      ASSIGN_OR_RETURN(const Json now, op.ask(Endpoint::x5_identity, "iam", Json::object({{"op", "find"}, {"uid", options.uid}})));
      ASSIGN_OR_RETURN(version, now.integer("version"));
    }
    ASSIGN_OR_RETURN(const Json record,
                     op.ask(Endpoint::x5_identity, "iam", Json::object({{"op", "change"}, {"uid", options.uid}, {"version", version}, {"set", members}})));
    return show_identity(ask, record);
  });
}

int iam_operate(const IamAsk& ask, const std::string& operation, const std::string& uid, std::int64_t version) {
  return with_duty(ask, "operator", [&](Operator& op) -> Result<void> {
    Json body = Json::object({{"op", operation}, {"uid", uid}});
    if (operation == "delete" && version == 0) {
      ASSIGN_OR_RETURN(const Json now, op.ask(Endpoint::x5_identity, "iam", Json::object({{"op", "find"}, {"uid", uid}})));
      ASSIGN_OR_RETURN(version, now.integer("version"));
    }
    if (version != 0) body.set("version", version);
    ASSIGN_OR_RETURN(const Json answer, op.ask(Endpoint::x5_identity, "iam", body));
    if (operation != "delete") return show_identity(ask, answer);
    return show_done(ask, answer, "deleted " + uid);
  });
}

int iam_list(const IamAsk& ask, const IdentityOptions& filter, const std::string& status) {
  return with_duty(ask, "operator", [&](Operator& op) -> Result<void> {
    return page_through(op, Endpoint::x5_identity, filter_body("list", filter, status), [&](const Json& answer) -> Result<void> {
      ASSIGN_OR_RETURN(const auto list, answer.array("identities"));
      for (const Json& one : list) {
        if (ask.output == Output::json) {
          fmt::print("{}\n", one.dump());
        } else {
          print_identity(one);
        }
      }
      return {};
    });
  });
}

int iam_export(const IamAsk& ask, const IdentityOptions& filter) {
  return with_duty(ask, "operator", [&](Operator& op) -> Result<void> {
    return page_through(op, Endpoint::x5_identity, filter_body("export", filter, ""), [&](const Json& answer) -> Result<void> {
      ASSIGN_OR_RETURN(const std::string lines, answer.text("lines"));
      fmt::print("{}", lines);
      return {};
    });
  });
}

int iam_import(const IamAsk& ask, const std::filesystem::path& file) {
  return with_duty(ask, "operator", [&](Operator& op) -> Result<void> {
    ASSIGN_OR_RETURN(const std::string text, read_file(file));
    std::int64_t records = 0;
    std::int64_t changes = 0;
    std::size_t from = 0;
    std::size_t first_line = 1;
    while (from < text.size()) {
      std::size_t to = from;
      std::size_t lines = 0;
      while (to < text.size() && lines < lines_per_request) {
        const std::size_t end = text.find('\n', to);
        to = end == std::string::npos ? text.size() : end + 1;
        ++lines;
      }
      const auto answer = op.ask(Endpoint::x5_identity, "iam", Json::object({{"op", "import"}, {"lines", text.substr(from, to - from)}}));
      // What stands before these lines is in; to import the file again does no harm.
      if (!answer) return fail_in(file.string() + ", lines from " + std::to_string(first_line) + " on", answer.error());
      ASSIGN_OR_RETURN(const std::int64_t taken, answer->integer("records"));
      ASSIGN_OR_RETURN(const std::int64_t changed, answer->integer("changed"));
      records += taken;
      changes += changed;
      from = to;
      first_line += lines;
    }
    return show_done(ask, Json::object({{"records", records}, {"changed", changes}}), fmt::format("{} records, {} of them new or changed", records, changes));
  });
}

int iam_roles(const IamAsk& ask) {
  return with_duty(ask, "administrator", [&](Operator& op) -> Result<void> {
    ASSIGN_OR_RETURN(const Json answer, op.ask(Endpoint::x5_privilege, "iam", Json::object({{"op", "roles"}})));
    if (ask.output == Output::json) return show_done(ask, answer, "");
    ASSIGN_OR_RETURN(const auto roles, answer.array("roles"));
    for (const Json& role : roles) {
      fmt::print("  {:<24} duty {}\n", text_in(role, "name"), text_in(role, "duty"));
      ASSIGN_OR_RETURN(const auto permissions, role.array("permissions"));
      for (const Json& one : permissions)
        fmt::print("      {:<20} at {:<6} up to level {}\n", text_in(one, "action"), text_in(one, "point"), one.integer("level_max").value_or(0));
    }
    return {};
  });
}

int iam_define(const IamAsk& ask, const std::filesystem::path& file) {
  return with_duty(ask, "administrator", [&](Operator& op) -> Result<void> {
    ASSIGN_OR_RETURN(const std::string text, read_file(file));
    auto role = Json::parse(text);
    if (!role) return fail_in(file.string(), role.error());
    ASSIGN_OR_RETURN(const Json answer, op.ask(Endpoint::x5_privilege, "iam", Json::object({{"op", "define"}, {"role", *role}})));
    return show_done(ask, answer, "defined role " + text_in(answer, "name"));
  });
}

int iam_undefine(const IamAsk& ask, const std::string& role) {
  return with_duty(ask, "administrator", [&](Operator& op) -> Result<void> {
    ASSIGN_OR_RETURN(const Json answer, op.ask(Endpoint::x5_privilege, "iam", Json::object({{"op", "undefine"}, {"role", role}})));
    return show_done(ask, answer, "removed role " + role);
  });
}

int iam_grants(const IamAsk& ask, const std::string& subject) {
  return with_duty(ask, "auditor", [&](Operator& op) -> Result<void> {
    Json body = Json::object({{"op", "grants"}});
    put_texts(body, {{"subject", &subject}});
    ASSIGN_OR_RETURN(const Json answer, op.ask(Endpoint::x5_privilege, "iam", body));
    if (ask.output == Output::json) return show_done(ask, answer, "");
    ASSIGN_OR_RETURN(const auto grants, answer.array("grants"));
    for (const Json& one : grants) print_grant(one);
    return {};
  });
}

int iam_grant(const IamAsk& ask, const GrantOptions& options) {
  return with_duty(ask, "administrator", [&](Operator& op) -> Result<void> {
    Json body = Json::object({{"op", "give"}, {"subject", options.subject}, {"role", options.role}, {"domain", options.domain}, {"level_max", options.level}});
    if (options.hours > 0) body.set("not_after_ms", SystemClock().now_ms() + static_cast<UnixMs>(options.hours) * hour_ms);
    ASSIGN_OR_RETURN(const Json answer, op.ask(Endpoint::x5_privilege, "iam", body));
    if (ask.output == Output::json) return show_done(ask, answer, "");
    print_grant(answer);
    return {};
  });
}

int iam_ungrant(const IamAsk& ask, std::int64_t grant) {
  return with_duty(ask, "administrator", [&](Operator& op) -> Result<void> {
    ASSIGN_OR_RETURN(const Json answer, op.ask(Endpoint::x5_privilege, "iam", Json::object({{"op", "take"}, {"grant", grant}})));
    return show_done(ask, answer, fmt::format("'{}' no longer has role {}", text_in(answer, "subject"), text_in(answer, "role")));
  });
}

int iam_clients(const IamAsk& ask) {
  return with_duty(ask, "auditor", [&](Operator& op) -> Result<void> {
    ASSIGN_OR_RETURN(const Json answer, op.ask(Endpoint::x5_privilege, "iam", Json::object({{"op", "clients"}})));
    if (ask.output == Output::json) return show_done(ask, answer, "");
    ASSIGN_OR_RETURN(const auto clients, answer.array("clients"));
    for (const Json& one : clients) {
      ASSIGN_OR_RETURN(const auto uris, one.texts("redirect_uris"));
      for (const std::string& uri : uris) fmt::print("  {:<20} {}\n", text_in(one, "client"), uri);
    }
    return {};
  });
}

int iam_client(const IamAsk& ask, const std::string& client, const std::vector<std::string>& redirect_uris) {
  return with_duty(ask, "administrator", [&](Operator& op) -> Result<void> {
    Json uris = Json::array();
    for (const std::string& one : redirect_uris) uris.push(one);
    ASSIGN_OR_RETURN(const Json answer, op.ask(Endpoint::x5_privilege, "iam", Json::object({{"op", "client"}, {"client", client}, {"redirect_uris", uris}})));
    return show_done(ask, answer, fmt::format("codes for {} go to {} addresses", client, redirect_uris.size()));
  });
}

int iam_unclient(const IamAsk& ask, const std::string& client) {
  return with_duty(ask, "administrator", [&](Operator& op) -> Result<void> {
    ASSIGN_OR_RETURN(const Json answer, op.ask(Endpoint::x5_privilege, "iam", Json::object({{"op", "unclient"}, {"client", client}})));
    return show_done(ask, answer, client + " gets no more codes");
  });
}

int iam_revoke(const IamAsk& ask, const std::string& subject) {
  return with_duty(ask, "administrator", [&](Operator& op) -> Result<void> {
    ASSIGN_OR_RETURN(const Json answer, op.ask(Endpoint::x5_privilege, "iam", Json::object({{"op", "revoke"}, {"subject", subject}})));
    return show_done(ask, answer, fmt::format("tokens of '{}' from before epoch {} are void", subject, answer.integer("epoch").value_or(0)));
  });
}

int iam_why(const IamAsk& ask, const WhyOptions& options) {
  return with_duty(ask, "auditor", [&](Operator& op) -> Result<void> {
    Json body = Json::object({{"op", "why"}, {"subject", options.subject}, {"action", options.action}, {"level", options.level}});
    put_texts(body, {{"point", &options.point}, {"peer_domain", &options.peer_domain}, {"target", &options.target}});
    ASSIGN_OR_RETURN(const Json answer, op.ask(Endpoint::x5_privilege, "iam", body));
    if (ask.output == Output::json) return show_done(ask, answer, "");
    fmt::print("  {} {} {}\n", options.subject, answer.boolean("allowed").value_or(false) ? "may" : "may not", options.action);
    ASSIGN_OR_RETURN(const auto reasons, answer.array("reasons"));
    for (const Json& one : reasons) fmt::print("    {} {}\n", one.boolean("decides").value_or(false) ? "decided:" : "         ", text_in(one, "text"));
    return {};
  });
}

int iam_behaviour(const IamAsk& ask, const BehaviourOptions& options) {
  return with_duty(ask, "auditor", [&](Operator& op) -> Result<void> {
    Json body = Json::object({{"op", "query"}, {"after", options.after}, {"limit", options.limit}});
    put_texts(body, {{"uid", &options.uid}, {"action", &options.action}, {"outcome", &options.outcome}});
    if (options.hours > 0) body.set("from_ms", SystemClock().now_ms() - static_cast<UnixMs>(options.hours) * hour_ms);
    ASSIGN_OR_RETURN(const Json answer, op.ask(Endpoint::x5_behaviour, "iam", body));
    if (ask.output == Output::json) return show_done(ask, answer, "");
    ASSIGN_OR_RETURN(const auto records, answer.array("records"));
    for (const Json& one : records) {
      fmt::print("  {:>8}  {}  {:<12} {:<16} {:<16} {:<12} {}\n", one.integer("seq").value_or(0), one.integer("time_ms").value_or(0), text_in(one, "uid"),
                 text_in(one, "action"), text_in(one, "outcome"), text_in(one, "reporter"), text_in(one, "object"));
    }
    if (const auto next = answer.optional_integer("next"); next && *next) fmt::print("  more: --after {}\n", **next);
    return {};
  });
}

int iam_anomalies(const IamAsk& ask, const std::string& uid) {
  return with_duty(ask, "auditor", [&](Operator& op) -> Result<void> {
    Json body = Json::object({{"op", "anomalies"}});
    put_texts(body, {{"uid", &uid}});
    ASSIGN_OR_RETURN(const Json answer, op.ask(Endpoint::x5_behaviour, "iam", body));
    if (ask.output == Output::json) return show_done(ask, answer, "");
    ASSIGN_OR_RETURN(const auto found, answer.array("anomalies"));
    for (const Json& one : found) {
      ASSIGN_OR_RETURN(const Json records, one.at("records"));
      fmt::print("  {:>6}  {:<10} {:<12} {}; records {}\n", one.integer("id").value_or(0), text_in(one, "rule"), text_in(one, "uid"), text_in(one, "why"),
                 records.dump());
    }
    return {};
  });
}

int iam_rules(const IamAsk& ask, const std::vector<std::string>& set) {
  return with_duty(ask, set.empty() ? "auditor" : "administrator", [&](Operator& op) -> Result<void> {
    Json body = Json::object({{"op", set.empty() ? "rules" : "set_rules"}});
    if (!set.empty()) {
      std::map<std::string, Json> rules;
      for (const std::string& one : set) {
        const std::size_t dot = one.find('.');
        const std::size_t equals = one.find('=');
        if (dot == std::string::npos || equals == std::string::npos || dot > equals)
          return fail(ErrorCode::invalid_argument, "--set takes RULE.THRESHOLD=NUMBER");
        ASSIGN_OR_RETURN(const std::int64_t value, number_in(std::string_view(one).substr(equals + 1)));
        rules.try_emplace(one.substr(0, dot), Json::object()).first->second.set(one.substr(dot + 1, equals - dot - 1), value);
      }
      Json all = Json::object();
      for (const auto& [name, thresholds] : rules) all.set(name, thresholds);
      body.set("rules", std::move(all));
    }
    ASSIGN_OR_RETURN(const Json answer, op.ask(Endpoint::x5_behaviour, "iam", body));
    fmt::print("{}\n", ask.output == Output::json ? answer.dump() : answer.pretty());
    return {};
  });
}

}  // namespace qanat::app
