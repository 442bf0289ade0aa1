#include "ca_registration_commands.hpp"

#include <fmt/format.h>

#include <ctime>
#include <fstream>
#include <memory>

#include "crypto/subject.hpp"
#include "operator.hpp"
#include "services/cas/whole_files.hpp"
#include "wire/base64.hpp"

namespace qanat::app {
namespace {

using points::Endpoint;
using wire::Json;

constexpr std::int64_t day_s = 86'400;
constexpr std::int64_t hour_s = 3'600;
constexpr std::size_t file_octets_max = 64U * 1024;

using Show = std::function<Result<void>(const Json&)>;

/// `show`: for people; `also`: what is done besides where JSON is printed.
int at_cas(const CaAsk& ask, const Json& body, const Show& show, const Show& also = {}) {
  return with_operator(ask.at, ask.as, [&](Operator& op) -> Result<void> {
    ASSIGN_OR_RETURN(const Json answer, op.ask(Endpoint::x5_registration, "cas", body));
    if (ask.output == Output::json) {
      if (also) TRY(also(answer));
      fmt::print("{}\n", answer.dump());
      return {};
    }
    return show(answer);
  });
}

std::string shown(const Json& json, std::string_view member) { return json.text(member).value_or("-"); }

std::string shown_list(const Json& json, std::string_view member) {
  std::string out;
  for (const std::string& one : json.texts(member).value_or(std::vector<std::string>())) out += (out.empty() ? "" : " ") + one;
  return out.empty() ? "-" : out;
}

std::string shown_time(const Json& json, std::string_view member) {
  const auto at = static_cast<std::time_t>(json.integer(member).value_or(0) / 1000);
  std::tm parts{};
  char text[sizeof "9999-12-31 23:59Z"];
  if (at == 0 || gmtime_r(&at, &parts) == nullptr) return "-";
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%MZ", &parts)};
}

void print_registration(const Json& one) {
  const bool closed = one.boolean("closed").value_or(false);
  const bool short_lived = one.boolean("short_lived").value_or(false);
  const std::string hours = short_lived ? fmt::format("  certificates of {} h, not looked up", one.integer("lifetime_s").value_or(0) / hour_s) : "";
  fmt::print("  {:<20} {:<16} {:<18} {:<10} {:<10} open until {:<18} {} {}{}\n", shown(one, "reference"), shown(one, "subject"), shown(one, "profile"),
             shown(one, "approval"), closed ? "closed" : "open", shown_time(one, "not_after_ms"), shown(one, "common_name"), shown_list(one, "dns"), hours);
}

void print_order(const Json& one) {
  fmt::print("  {:<36} {:<20} {:<5} {:<9} {}  {} {}\n    key sha256 {}\n    approved by {}{}\n", shown(one, "ticket"), shown(one, "reference"),
             shown(one, "protocol"), shown(one, "state"), shown_time(one, "made_ms"), shown(one, "common_name"), shown_list(one, "dns"),
             shown(one, "key_sha256"), shown_list(one, "approved_by"), shown(one, "why").empty() ? "" : "\n    rejected: " + shown(one, "why"));
}

/// The certificate and its chain; nothing if the order waits.
Result<void> write_chain(const Json& answer, const std::filesystem::path& out) {
  if (!answer.has("certificate")) return {};
  ASSIGN_OR_RETURN(const Bytes leaf, answer.base64("certificate"));
  std::string pem = crypto::certificate_pem(leaf);
  ASSIGN_OR_RETURN(const std::vector<std::string> chain, answer.texts("chain"));
  for (const std::string& one : chain) {
    ASSIGN_OR_RETURN(const Bytes der, wire::from_base64(one));
    pem += crypto::certificate_pem(der);
  }
  std::ofstream file(out, std::ios::binary | std::ios::trunc);
  file << pem;
  if (!file.flush()) return fail(ErrorCode::internal, out.string() + ": cannot be written");
  return {};
}

Result<void> take_certificate(const Json& answer, const std::filesystem::path& out) {
  TRY(write_chain(answer, out));
  if (answer.has("certificate")) {
    fmt::print("  {}: the certificate and its chain\n", out.string());
  } else {
    fmt::print("  It waits for two operators: qanat ca approve {0}; then qanat ca collect {0} --out {1}\n", shown(answer, "ticket"), out.string());
  }
  return {};
}

/// A request or a certificate in a file, PEM or DER.
template <class T>
Result<T> read_pem_or_der(const std::filesystem::path& file) {
  ASSIGN_OR_RETURN(const Bytes octets, cas::read_whole_file(file, file_octets_max));
  const std::string_view text = as_text(octets);
  Result<T> out = text.contains("-----BEGIN ") ? T::parse_pem(text) : T::parse(octets);
  if (!out) return fail_in(file.string(), out.error());
  return out;
}

Json registration_body(const CaRegisterOptions& options) {
  Json out = Json::object({{"op", "create"}, {"subject", options.subject}, {"profile", options.profile}});
  if (!options.common_name.empty()) out.set("common_name", options.common_name);
  if (!options.dns.empty()) {
    Json names = Json::array();
    for (const std::string& one : options.dns) names.push(one);
    out.set("dns", std::move(names));
  }
  if (options.four_eyes) out.set("four_eyes", true);
  if (options.reusable) out.set("reusable", true);
  if (options.ra_vouches) out.set("ra_vouches", true);
  if (options.days != 0) out.set("lifetime_s", options.days * day_s);
  if (options.hours != 0) out.set("lifetime_s", options.hours * hour_s).set("short_lived", true);
  if (options.hours_open != 0) out.set("open_s", options.hours_open * hour_s);
  return out;
}

/// The secret as each protocol wants it. It is not kept in this form anywhere: whoever loses it makes another registration.
Result<void> show_secret(const Json& made) {
  ASSIGN_OR_RETURN(const std::string reference, made.text("reference"));
  ASSIGN_OR_RETURN(const std::string secret, made.text("secret"));
  print_registration(made);
  fmt::print(
      "  The secret is shown this once:\n"
      "    reference  {0}\n"
      "    secret     {1}\n"
      "    EST        user {0}, password {1}\n"
      "    ACME       eab kid {0}, hmac key {1}\n"
      "    CMP        reference {0}, secret {1}\n"
      "    SCEP       challenge {0}:{1}\n",
      reference, secret);
  return {};
}

}  // namespace

int ca_register(const CaAsk& ask, const CaRegisterOptions& options) {
  return with_operator(ask.at, ask.as, [&](Operator& op) -> Result<void> {
    ASSIGN_OR_RETURN(Json made, op.ask(Endpoint::x5_registration, "cas", registration_body(options)));
    if (ask.output == Output::people) return show_secret(made);
    ASSIGN_OR_RETURN(const std::string reference, made.text("reference"));
    ASSIGN_OR_RETURN(const std::string secret, made.text("secret"));
    made.set("acme", Json::object({{"kid", reference}, {"hmac_key", secret}}));
    fmt::print("{}\n", made.dump());
    return {};
  });
}

int ca_registrations(const CaAsk& ask) {
  return with_operator(ask.at, ask.as, [&](Operator& op) -> Result<void> {
    std::optional<std::string> after;
    do {
      Json body = Json::object({{"op", "list"}});
      if (after) body.set("after", *after);
      ASSIGN_OR_RETURN(const Json answer, op.ask(Endpoint::x5_registration, "cas", body));
      ASSIGN_OR_RETURN(const std::vector<Json> list, answer.array("registrations"));
      for (const Json& one : list) {
        if (ask.output == Output::json) {
          fmt::print("{}\n", one.dump());
        } else {
          print_registration(one);
        }
      }
      ASSIGN_OR_RETURN(after, answer.optional_text("next"));
    } while (after);
    return {};
  });
}

int ca_registration(const CaAsk& ask, const std::string& reference) {
  return at_cas(ask, Json::object({{"op", "show"}, {"reference", reference}}), [](const Json& answer) -> Result<void> {
    print_registration(answer);
    ASSIGN_OR_RETURN(const std::vector<Json> certificates, answer.array("certificates"));
    for (const Json& one : certificates) {
      fmt::print("    {} {:<10} {:<10} until {}\n", shown(one, "serial"), shown(one, "branch"), shown(one, "state"), shown_time(one, "not_after_ms"));
    }
    return {};
  });
}

int ca_close(const CaAsk& ask, const std::string& reference) {
  return at_cas(ask, Json::object({{"op", "close"}, {"reference", reference}}), [](const Json& answer) -> Result<void> {
    print_registration(answer);
    fmt::print("  Nothing more is issued for it. What it has got stays good until it expires or is revoked (qanat ca revoke-certificate).\n");
    return {};
  });
}

int ca_issue(const CaAsk& ask, const std::string& reference, const std::filesystem::path& request, const std::filesystem::path& out) {
  const auto parsed = read_pem_or_der<crypto::SubjectRequest>(request);
  if (!parsed) return complain(parsed.error());
  const Json body = Json::object({{"op", "issue"}, {"reference", reference}, {"request", wire::to_base64(parsed->der())}});
  return at_cas(
      ask, body, [&](const Json& answer) { return take_certificate(answer, out); }, [&](const Json& answer) { return write_chain(answer, out); });
}

int ca_collect(const CaAsk& ask, const std::string& ticket, const std::filesystem::path& out) {
  return at_cas(
      ask, Json::object({{"op", "collect"}, {"ticket", ticket}}), [&](const Json& answer) { return take_certificate(answer, out); },
      [&](const Json& answer) { return write_chain(answer, out); });
}

int ca_orders(const CaAsk& ask, const std::string& state) {
  Json body = Json::object({{"op", "orders"}});
  if (!state.empty()) body.set("state", state);
  return at_cas(ask, body, [](const Json& answer) -> Result<void> {
    ASSIGN_OR_RETURN(const std::vector<Json> list, answer.array("orders"));
    for (const Json& one : list) print_order(one);
    if (list.empty()) fmt::print("  none\n");
    return {};
  });
}

int ca_approve(const CaAsk& ask, const std::string& ticket) {
  return at_cas(ask, Json::object({{"op", "approve"}, {"ticket", ticket}}), [](const Json& answer) -> Result<void> {
    print_order(answer);
    if (answer.has("serial")) {
      fmt::print("  Approved and issued: serial {}. Whoever ordered it gets it when it asks again.\n", shown(answer, "serial"));
    } else {
      fmt::print("  One more operator must approve it.\n");
    }
    return {};
  });
}

int ca_reject(const CaAsk& ask, const std::string& ticket, const std::string& why) {
  return at_cas(ask, Json::object({{"op", "reject"}, {"ticket", ticket}, {"why", why}}), [](const Json& answer) -> Result<void> {
    print_order(answer);
    return {};
  });
}

int ca_revoke_certificate(const CaAsk& ask, const std::filesystem::path& certificate, const std::string& reason) {
  const auto parsed = read_pem_or_der<crypto::SubjectCertificate>(certificate);
  if (!parsed) return complain(parsed.error());
  const std::string serial = to_hex(parsed->serial());
  const Json body = Json::object({{"op", "revoke"}, {"certificate", wire::to_base64(parsed->der())}, {"reason", reason}});
  return at_cas(ask, body, [&](const Json&) -> Result<void> {
    fmt::print("  revoked: serial {} of {}\n", serial, parsed->names().common_name);
    return {};
  });
}

// ---- the command line ----

namespace {

std::shared_ptr<CaAsk> add_ca_ask(CLI::App& command) {
  auto out = std::make_shared<CaAsk>();  // owned by the command's action, and by its options' callbacks through it
  CLI::Option* const config = add_operator_options(command, out->at);
  add_json_flag(command, out->output);
  add_as_option(command, out->as, config)->capture_default_str();
  return out;
}

void add_register(CLI::App& ca, const OnCommand& on) {
  CLI::App* const command =
      add_command(ca, "register", "let software of others get certificates by EST, ACME, CMP or SCEP",
                  "qanat iam create box-7 --class application --domain a && qanat ca register box-7 --profile device --dns box-7.example");
  const auto ask = add_ca_ask(*command);
  const auto options = std::make_shared<CaRegisterOptions>();
  command->add_option("subject", options->subject, "uid in IAM's register; active there, or nothing is issued")->required();
  command->add_option("--profile", options->profile, "sae, server, device or device-encryption")->required();
  command->add_option("--common-name", options->common_name, "of its certificates (default: the uid)");
  command->add_option("--dns", options->dns, "a DNS name that they may bear; may be given again");
  command->add_flag("--four-eyes", options->four_eyes, "two operators, neither of them you, approve each certificate");
  command->add_flag("--reusable", options->reusable, "the secret gets a further certificate while one is live: for several devices");
  command->add_flag("--ra-vouches", options->ra_vouches, "take an RA's word that the asker has the key (CMP raVerified)");
  CLI::Option* const days =
      command->add_option("--days", options->days, "how long its certificates hold (default: as the profile has it)")->check(CLI::Range(1, 3650));
  command->add_option("--hours", options->hours, "the same in hours: short-lived certificates, which nobody need look up in revocation lists (noRevAvail)")
      ->check(CLI::Range(1, 168))
      ->excludes(days);
  command->add_option("--hours-open", options->hours_open, "how long the secret is taken (default: until the registration is closed)")
      ->check(CLI::Range(1, 8760));
  on(command, [ask, options] { return ca_register(*ask, *options); });
}

void add_by_hand(CLI::App& ca, const OnCommand& on) {
  struct Errand {
    std::string name;
    std::filesystem::path request;
    std::filesystem::path out;
  };
  CLI::App* command = add_command(ca, "issue", "get a certificate for software that knows no protocol, from its PKCS#10",
                                  "qanat ca issue r-0123456789abcdef --request box-7.csr --out box-7.pem");
  auto ask = add_ca_ask(*command);
  auto errand = std::make_shared<Errand>();
  command->add_option("reference", errand->name, "the registration, as qanat ca registrations shows it")->required();
  command->add_option("--request", errand->request, "PKCS#10, PEM or DER")->required();
  command->add_option("--out", errand->out, "file for the certificate and its chain, PEM")->required();
  on(command, [ask, errand] { return ca_issue(*ask, errand->name, errand->request, errand->out); });

  command =
      add_command(ca, "collect", "take the certificate of an order that was approved", "qanat ca collect o-0123456789abcdef0123456789abcdef --out box-7.pem");
  ask = add_ca_ask(*command);
  errand = std::make_shared<Errand>();
  command->add_option("ticket", errand->name, "as qanat ca orders shows it")->required();
  command->add_option("--out", errand->out, "file for the certificate and its chain, PEM")->required();
  on(command, [ask, errand] { return ca_collect(*ask, errand->name, errand->out); });
}

void add_orders(CLI::App& ca, const OnCommand& on) {
  CLI::App* command = add_command(ca, "orders", "certificates that wait for approval, or did", "qanat ca orders --only waiting");
  auto ask = add_ca_ask(*command);
  const auto state = std::make_shared<std::string>();
  command->add_option("--only", *state, "waiting, approved or rejected (default: all)")->check(CLI::IsMember({"waiting", "approved", "rejected"}));
  on(command, [ask, state] { return ca_orders(*ask, *state); });

  command = add_command(ca, "approve", "approve an order; the second operator's approval issues it",
                        "qanat ca approve o-0123456789abcdef0123456789abcdef --as administrator");
  ask = add_ca_ask(*command);
  const auto approved = std::make_shared<std::string>();
  command->add_option("ticket", *approved, "as qanat ca orders shows it")->required();
  on(command, [ask, approved] { return ca_approve(*ask, *approved); });

  struct Rejection {
    std::string ticket;
    std::string why;
  };
  command = add_command(ca, "reject", "reject an order", "qanat ca reject o-0123456789abcdef0123456789abcdef --why 'nobody knows this box'");
  ask = add_ca_ask(*command);
  const auto rejection = std::make_shared<Rejection>();
  command->add_option("ticket", rejection->ticket, "as qanat ca orders shows it")->required();
  command->add_option("--why", rejection->why, "what the asker is told")->required();
  on(command, [ask, rejection] { return ca_reject(*ask, rejection->ticket, rejection->why); });
}

}  // namespace

void add_ca_registration_commands(CLI::App& ca, const OnCommand& on) {
  add_register(ca, on);
  CLI::App* command = add_command(ca, "registrations", "who may get certificates; one of them with those that it has got",
                                  "qanat ca registrations; qanat ca registrations r-0123456789abcdef");
  auto ask = add_ca_ask(*command);
  const auto one = std::make_shared<std::string>();
  command->add_option("reference", *one, "this one alone, with its certificates");
  on(command, [ask, one] { return one->empty() ? ca_registrations(*ask) : ca_registration(*ask, *one); });

  command = add_command(ca, "close", "end a registration", "qanat ca close r-0123456789abcdef");
  ask = add_ca_ask(*command);
  const auto reference = std::make_shared<std::string>();
  command->add_option("reference", *reference, "as qanat ca registrations shows it")->required();
  on(command, [ask, reference] { return ca_close(*ask, *reference); });

  add_by_hand(ca, on);
  add_orders(ca, on);

  struct Revocation {
    std::filesystem::path file;
    std::string reason;
  };
  command = add_command(ca, "revoke-certificate", "revoke one certificate that CAS issued", "qanat ca revoke-certificate box-7.pem --reason keyCompromise");
  ask = add_ca_ask(*command);
  const auto revocation = std::make_shared<Revocation>();
  command->add_option("file", revocation->file, "the certificate, PEM or DER")->required();
  command->add_option("--reason", revocation->reason, "keyCompromise, affiliationChanged, superseded, cessationOfOperation, privilegeWithdrawn or unspecified")
      ->required()
      ->check(CLI::IsMember({"keyCompromise", "affiliationChanged", "superseded", "cessationOfOperation", "privilegeWithdrawn", "unspecified"}));
  on(command, [ask, revocation] { return ca_revoke_certificate(*ask, revocation->file, revocation->reason); });
}

}  // namespace qanat::app
