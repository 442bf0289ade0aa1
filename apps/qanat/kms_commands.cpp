#include "kms_commands.hpp"

#include <fmt/format.h>

#include <memory>

#include "base/clock.hpp"
#include "launch.hpp"
#include "operator.hpp"
#include "text_files.hpp"

namespace qanat::app {
namespace {

using points::Endpoint;
using wire::Json;

struct KmsAsk {
  OperatorPlace at;
  Output output = Output::people;
  std::string kms;
};
struct KeysOrder : KmsAsk {
  std::string session;
  std::string subscriber;
  std::string encryption_key_of;
  std::string reason;
};
struct KeyAsked : KmsAsk {
  std::string subscriber;
};
struct ChargesPeriod : KmsAsk {
  std::int64_t from_ms = 0;
  std::int64_t until_ms = 0;  // 0: now
};

std::string shown_text(const Json& json, std::string_view member) { return json.text(member).value_or("-"); }

Result<void> print_encryption_key(const KmsAsk& ask, const Json& answer) {
  if (ask.output == Output::json) {
    fmt::print("{}\n", answer.dump());
    return {};
  }
  ASSIGN_OR_RETURN(const Json key, answer.object("encryption_key"));
  fmt::print("  {}  {:<16} {:<16} {}{}\n", shown_text(key, "enc_kid"), shown_text(key, "uid"), shown_text(key, "number"), shown_text(key, "state"),
             key.has("until_ms") ? "  until " + std::to_string(key.integer("until_ms").value_or(0)) : "");
  return {};
}

int show_encryption_key(const KeyAsked& asked) {
  return with_operator(asked.at, "operator", [&](Operator& as) -> Result<void> {
    ASSIGN_OR_RETURN(const Json answer, as.ask(Endpoint::x5_keys, asked.kms, Json::object({{"op", "show"}, {"encryption_key_of", asked.subscriber}})));
    return print_encryption_key(asked, answer);
  });
}

int order_keys(const std::string& op, const KeysOrder& order) {
  return with_operator(order.at, "operator", [&](Operator& as) -> Result<void> {
    Json body = Json::object({{"op", op}, {"reason", order.reason}});
    if (!order.session.empty()) body.set("sid_wk", order.session);
    if (!order.subscriber.empty()) body.set("uid", order.subscriber);
    if (!order.encryption_key_of.empty()) body.set("encryption_key_of", order.encryption_key_of);
    ASSIGN_OR_RETURN(const Json answer, as.ask(Endpoint::x5_keys, order.kms, body));
    if (answer.has("encryption_key")) return print_encryption_key(order, answer);
    if (order.output == Output::json) {
      fmt::print("{}\n", answer.dump());
      return {};
    }
    ASSIGN_OR_RETURN(const std::vector<Json> keys, answer.array("keys"));
    for (const Json& one : keys) {
      const std::string refused = one.has("refused") ? "  refused: " + shown_text(one, "refused") : "";
      fmt::print("  {}  {:<7} {:<16} {}{}\n", shown_text(one, "sid_wk"), shown_text(one, "leg"), shown_text(one, "uid"), shown_text(one, "state"), refused);
    }
    if (answer.has("further")) fmt::print("  … and {} more\n", answer.integer("further").value_or(0));
    return {};
  });
}

void print_charge(const KmsAsk& ask, const Json& one) {
  if (ask.output == Output::json) {
    fmt::print("{}\n", one.dump());
    return;
  }
  fmt::print("  {}  {}  {:<7} {:<16} with {:<16} {:<8} level {} over {} path(s){}{}\n", one.integer("delivered_ms").value_or(0), shown_text(one, "sid_wk"),
             shown_text(one, "leg"), shown_text(one, "number"), shown_text(one, "peer_number"), shown_text(one, "traffic"), one.integer("assurance").value_or(0),
             one.integer("n_paths").value_or(0), one.has("directory_epoch") ? "  by CMSP's directory" : "",
             one.has("confirmed_ms") ? "" : "  not acknowledged");
}

int show_charges(const ChargesPeriod& period) {
  return with_operator(period.at, "operator", [&](Operator& as) -> Result<void> {
    const std::int64_t until = period.until_ms != 0 ? period.until_ms : static_cast<std::int64_t>(SystemClock().now_ms());
    std::optional<Json> after;
    do {
      Json body = Json::object({{"from_ms", period.from_ms}, {"until_ms", until}});
      if (after) body.set("after", *after);
      ASSIGN_OR_RETURN(const Json answer, as.ask(Endpoint::x5_charges, period.kms, body));
      ASSIGN_OR_RETURN(const std::vector<Json> charges, answer.array("charges"));
      for (const Json& one : charges) print_charge(period, one);
      after.reset();
      if (answer.has("next")) {
        ASSIGN_OR_RETURN(after, answer.object("next"));
      }
    } while (after);
    return {};
  });
}

struct PolicyOrder {
  OperatorPlace at;
  std::filesystem::path file;
};

int give_policy(const PolicyOrder& order) {
  return with_operator(order.at, "operator", [&](Operator& as) -> Result<void> {
    ASSIGN_OR_RETURN(const std::string text, read_text(order.file));
    const auto policy = Json::parse(std::string_view(text));
    if (!policy) return fail_in(order.file.string(), policy.error());
    TRY(as.ask(Endpoint::x5_kms_policy, "cmsp", *policy));
    fmt::print("given: `qanat status` shows under which policy each KMS is\n");
    return {};
  });
}

template <class Ask>
void add_ask(CLI::App& command, Ask& ask) {
  add_operator_options(command, ask->at);
  add_json_flag(command, ask->output);
  command.add_option("--kms", ask->kms, "which KMS")->required();
}

}  // namespace

void add_kms_commands(CLI::App& kms, const OnCommand& on) {
  for (const auto& [op, what] :
       {std::pair{"suspend", "hold back working keys that are not delivered yet"}, std::pair{"recover", "let suspended working keys be delivered"},
        std::pair{"destroy", "destroy working keys; what stays is who ordered it, when, why, and a commitment"}}) {
    CLI::App* command = add_command(kms, op, what, std::string("qanat kms ") + op + " --kms kms-a --subscriber A --reason 'terminal lost'");
    auto order = std::make_shared<KeysOrder>();
    add_ask(*command, order);
    CLI::Option_group* const which = command->add_option_group("which keys");
    which->add_option("--session", order->session, "SID_WK of one session, 32 hexadecimal digits");
    which->add_option("--subscriber", order->subscriber, "uid: every key that is owed to it");
    if (std::string_view(op) != "destroy") {
      which->add_option("--encryption-key-of", order->encryption_key_of, "uid: the key that its working keys are encrypted to");
    }
    which->require_option(1);
    command->add_option("--reason", order->reason, "goes into the audit record")->required();
    on(command, [name = std::string(op), order] { return order_keys(name, *order); });
  }
  CLI::App* shown = add_command(kms, "encryption-key", "a terminal's encryption key: its state, and when its certificates end",
                                "qanat kms encryption-key --kms kms-a --subscriber A");
  auto asked = std::make_shared<KeyAsked>();
  add_ask(*shown, asked);
  shown->add_option("--subscriber", asked->subscriber, "uid")->required();
  on(shown, [asked] { return show_encryption_key(*asked); });

  CLI::App* command = add_command(kms, "charges", "what working keys were delivered: one record per key and terminal, a line each",
                                  "qanat kms charges --kms kms-a --from-ms 1735689600000 --until-ms 1738368000000 --json");
  auto period = std::make_shared<ChargesPeriod>();
  add_ask(*command, period);
  command->add_option("--from-ms", period->from_ms, "delivered at this time or later, ms since 1970")->check(CLI::NonNegativeNumber);
  command->add_option("--until-ms", period->until_ms, "delivered before this time (default: now)")->check(CLI::NonNegativeNumber);
  on(command, [period] { return show_charges(*period); });

  CLI::App* policy = add_command(kms, "policy", "give CMSP a policy for all KMSs: a JSON file with a later version than the one in force", "qanat kms policy policy.json");
  auto given = std::make_shared<PolicyOrder>();
  add_operator_options(*policy, given->at);
  policy->add_option("file", given->file, "the policy: docs/operations/orchestration.md")->required();
  on(policy, [given] { return give_policy(*given); });
}

}  // namespace qanat::app
