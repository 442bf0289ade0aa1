// The options of `qanat iam`.
#include <memory>

#include "iam_commands.hpp"

namespace qanat::app {
namespace {

std::shared_ptr<IamAsk> add_ask(CLI::App& command) {
  auto out = std::make_shared<IamAsk>();  // owned by the command's action, and by its options' callbacks through it
  CLI::Option* const config = add_operator_options(command, out->at);
  add_json_flag(command, out->output);
  add_as_option(command, out->as, config);
  return out;
}

void add_sae_rules(CLI::App& command, SaeRuleOptions& rules) {
  command.add_option("--keys-per-second", rules.keys_per_second, "of an SAE: how many it may order; 0: no limit");
  command.add_option("--keys-per-day", rules.keys_per_day, "of an SAE: the same, in a day (UTC)");
  command.add_option("--peer-domain", rules.peer_domains, "of an SAE: a domain besides its own with whose SAEs it may share keys; '*': any, none: none");
}

void add_filter(CLI::App& command, IdentityOptions& filter) {
  command.add_option("--class", filter.of, "person, terminal, application or element");
  command.add_option("--domain", filter.domain, "of this domain alone");
}

void add_identity_commands(CLI::App& iam, const OnCommand& on) {
  CLI::App* command = add_command(iam, "create", "enter a person, an application, a terminal or an element",
                                  "qanat iam create wang --class person --domain a --name 'Wang Li' --mail wang@a.example");
  auto ask = add_ask(*command);
  auto options = std::make_shared<IdentityOptions>();
  command->add_option("uid", options->uid, "1 to 64 letters, digits, '.', '_' and '-'")->required();
  command->add_option("--class", options->of, "person, terminal, application or element")->required();
  command->add_option("--domain", options->domain, "its domain")->required();
  command->add_option("--uri", options->uri, "what its certificate names: qanat://DOMAIN/KIND/NAME");
  command->add_option("--number", options->number, "E.164, with '+'");
  command->add_option("--kms", options->kms, "home KMS of a terminal, or of an application that gets keys there (an SAE)");
  command->add_option("--user-name", options->user_name, "of a person, in the directory that it comes from (default: the uid)");
  command->add_option("--name", options->name, "for people to read");
  command->add_option("--mail", options->mail, "address");
  command->add_option("--external-id", options->external_id, "in the directory that it comes from");
  command->add_option("--certificate", options->certificates, "PEM file of a certificate that it shows");
  add_sae_rules(*command, options->sae);
  on(command, [ask, options] { return iam_create(*ask, *options); });

  struct Search {
    std::string uid;
    std::string number;
    std::filesystem::path certificate;
  };
  command = add_command(iam, "show", "one identity, by its uid, number or certificate",
                        "qanat iam show wang --json; qanat iam show --number +8655110000001; qanat iam show --certificate enc1.pem");
  ask = add_ask(*command);
  const auto search = std::make_shared<Search>();
  CLI::Option* uid = command->add_option("uid", search->uid, "its uid");
  CLI::Option* number = command->add_option("--number", search->number, "its number")->excludes(uid);
  command->add_option("--certificate", search->certificate, "PEM file of its certificate")->excludes(uid)->excludes(number);
  on(command, [ask, search] { return iam_find(*ask, search->uid, search->number, search->certificate); });

  command = add_command(iam, "change", "change members of an identity", "qanat iam change wang --set mail=wang.li@a.example --version 3");
  ask = add_ask(*command);
  const auto change = std::make_shared<ChangeOptions>();
  command->add_option("uid", change->uid, "its uid")->required();
  command->add_option("--set", change->set, "MEMBER=TEXT: user_name, name, mail, external_id, number, home_kms, domain or uri");
  add_sae_rules(*command, change->sae);
  command->add_option("--version", change->version, "refuse if it was changed since this version (default: the present one)");
  on(command, [ask, change] { return iam_change(*ask, *change); });

  for (const char* name : {"suspend", "resume", "delete"}) {
    command =
        add_command(iam, name, std::string(name) + " an identity; what it holds of tokens is void" + (std::string_view(name) == "resume" ? " already" : ""),
                    std::string("qanat iam ") + name + " wang");
    ask = add_ask(*command);
    const auto who = std::make_shared<ChangeOptions>();
    command->add_option("uid", who->uid, "its uid")->required();
    command->add_option("--version", who->version, "refuse if it was changed since this version");
    on(command, [ask, who, name] { return iam_operate(*ask, name, who->uid, who->version); });
  }

  command = add_command(iam, "list", "identities, a line each", "qanat iam list --class person --status suspended");
  ask = add_ask(*command);
  const auto filter = std::make_shared<IdentityOptions>();
  const auto status = std::make_shared<std::string>();
  add_filter(*command, *filter);
  command->add_option("--status", *status, "active or suspended");
  on(command, [ask, filter, status] { return iam_list(*ask, *filter, *status); });

  command = add_command(iam, "export", "identities as lines of JSON, for qanat iam import", "qanat iam export --class person > people.jsonl");
  ask = add_ask(*command);
  const auto exported = std::make_shared<IdentityOptions>();
  add_filter(*command, *exported);
  on(command, [ask, exported] { return iam_export(*ask, *exported); });

  command = add_command(iam, "import", "enter and replace identities from lines of JSON; again does no harm", "qanat iam import people.jsonl");
  ask = add_ask(*command);
  const auto file = std::make_shared<std::filesystem::path>();
  command->add_option("file", *file, "lines as qanat iam export writes them")->required();
  on(command, [ask, file] { return iam_import(*ask, *file); });
}

void add_privilege_commands(CLI::App& iam, const OnCommand& on) {
  CLI::App* command = add_command(iam, "roles", "roles and what they permit", "qanat iam roles --json");
  auto ask = add_ask(*command);
  on(command, [ask] { return iam_roles(*ask); });

  command = add_command(iam, "define", "define a role from a file",
                        R"(echo '{"name":"day-shift","duty":"operation","permissions":[{"action":"identity.suspend"}]}' > r.json; qanat iam define r.json)");
  ask = add_ask(*command);
  const auto file = std::make_shared<std::filesystem::path>();
  command->add_option("file", *file, "the role as JSON, as qanat iam roles --json shows it")->required();
  on(command, [ask, file] { return iam_define(*ask, *file); });

  command = add_command(iam, "undefine", "remove a role that nobody has", "qanat iam undefine day-shift");
  ask = add_ask(*command);
  const auto role = std::make_shared<std::string>();
  command->add_option("role", *role, "its name")->required();
  on(command, [ask, role] { return iam_undefine(*ask, *role); });

  command = add_command(iam, "grants", "who has which role", "qanat iam grants wang");
  ask = add_ask(*command);
  const auto subject = std::make_shared<std::string>();
  command->add_option("subject", *subject, "uid, or class:terminal …; all without it");
  on(command, [ask, subject] { return iam_grants(*ask, *subject); });

  command = add_command(iam, "grant", "give a role to a subject", "qanat iam grant wang day-shift --hours 8");
  ask = add_ask(*command);
  const auto grant = std::make_shared<GrantOptions>();
  command->add_option("subject", grant->subject, "uid, or class:terminal …")->required();
  command->add_option("role", grant->role, "the role")->required();
  command->add_option("--domain", grant->domain, "with this peer domain alone");
  command->add_option("--level", grant->level, "up to this security level")->check(CLI::Range(1, 4));
  command->add_option("--hours", grant->hours, "for so long (default: without end)")->check(CLI::Range(0, 100000));
  on(command, [ask, grant] { return iam_grant(*ask, *grant); });

  command = add_command(iam, "ungrant", "take a grant away", "qanat iam ungrant 7");
  ask = add_ask(*command);
  const auto id = std::make_shared<std::int64_t>(0);
  command->add_option("grant", *id, "its number, as qanat iam grants shows it")->required();
  on(command, [ask, id] { return iam_ungrant(*ask, *id); });

  command =
      add_command(iam, "why", "may a subject do this, and which grant or rule decides", "qanat iam why A key.apply --point Km-1 --peer-domain b --level 3");
  ask = add_ask(*command);
  const auto why = std::make_shared<WhyOptions>();
  command->add_option("subject", why->subject, "uid")->required();
  command->add_option("action", why->action, "identity.read, key.apply, grant.give …")->required();
  command->add_option("--point", why->point, "reference point");
  command->add_option("--peer-domain", why->peer_domain, "domain of the other end");
  command->add_option("--level", why->level, "security level")->check(CLI::Range(1, 4));
  command->add_option("--target", why->target, "who would gain by it (grant.give), or which role (role.define)");
  on(command, [ask, why] { return iam_why(*ask, *why); });

  command = add_command(iam, "clients", "applications that people use by authorisation codes", "qanat iam clients");
  ask = add_ask(*command);
  on(command, [ask] { return iam_clients(*ask); });

  command = add_command(iam, "client", "let an application ask for authorisation codes, and say where these may be sent",
                        "qanat iam client console --redirect https://console.example/back");
  ask = add_ask(*command);
  const auto client = std::make_shared<std::pair<std::string, std::vector<std::string>>>();
  command->add_option("client", client->first, "uid of the application")->required();
  command->add_option("--redirect", client->second, "redirect URI, compared character by character; several")->required();
  on(command, [ask, client] { return iam_client(*ask, client->first, client->second); });

  command = add_command(iam, "unclient", "give an application no more codes", "qanat iam unclient console");
  ask = add_ask(*command);
  const auto removed = std::make_shared<std::string>();
  command->add_option("client", *removed, "uid of the application")->required();
  on(command, [ask, removed] { return iam_unclient(*ask, *removed); });

  command = add_command(iam, "revoke", "void every token that a subject holds", "qanat iam revoke A");
  ask = add_ask(*command);
  const auto revoked = std::make_shared<std::string>();
  command->add_option("subject", *revoked, "uid")->required();
  on(command, [ask, revoked] { return iam_revoke(*ask, *revoked); });
}

void add_behaviour_commands(CLI::App& iam, const OnCommand& on) {
  CLI::App* command = add_command(iam, "behaviour", "what elements reported of subjects", "qanat iam behaviour --uid A --hours 24 --json");
  auto ask = add_ask(*command);
  const auto options = std::make_shared<BehaviourOptions>();
  command->add_option("--uid", options->uid, "of this subject");
  command->add_option("--action", options->action, "of this kind");
  command->add_option("--outcome", options->outcome, "with this outcome");
  command->add_option("--hours", options->hours, "of the last so many hours")->check(CLI::Range(0, 100000));
  command->add_option("--after", options->after, "the page behind this record");
  command->add_option("--limit", options->limit, "records at once")->check(CLI::Range(1, 500));
  on(command, [ask, options] { return iam_behaviour(*ask, *options); });

  command = add_command(iam, "anomalies", "what the rules found, with the records that made it", "qanat iam anomalies --uid A");
  ask = add_ask(*command);
  const auto uid = std::make_shared<std::string>();
  command->add_option("--uid", *uid, "of this subject");
  on(command, [ask, uid] { return iam_anomalies(*ask, *uid); });

  command = add_command(iam, "rules", "the thresholds of the rules; with --set, changes them", "qanat iam rules --set rate.max=20 --set rate.window_s=60");
  ask = add_ask(*command);
  const auto set = std::make_shared<std::vector<std::string>>();
  command->add_option("--set", *set, "RULE.THRESHOLD=NUMBER");
  on(command, [ask, set] { return iam_rules(*ask, *set); });
}

}  // namespace

void add_iam_commands(CLI::App& iam, const OnCommand& on) {
  add_identity_commands(iam, on);
  add_privilege_commands(iam, on);
  add_behaviour_commands(iam, on);
}

}  // namespace qanat::app
