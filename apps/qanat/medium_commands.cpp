#include "medium_commands.hpp"

#include <fmt/format.h>

#include <fstream>
#include <memory>
#include <optional>

#include "base/secret_file.hpp"
#include "operator.hpp"
#include "wire/charge.hpp"

namespace qanat::app {
namespace {

using points::Endpoint;
using wire::Json;

using Show = std::function<Result<void>(const Json&)>;

std::string said(const Json& json, std::string_view member) { return json.text(member).value_or("-"); }

int at_kms(const MediumAsk& ask, const Json& body, const Show& show) {
  return with_operator(ask.at, ask.as, [&](Operator& op) -> Result<void> {
    ASSIGN_OR_RETURN(const Json answer, op.ask(Endpoint::x5_medium, ask.kms, body));
    if (ask.output == Output::people) return show(answer);
    fmt::print("{}\n", answer.dump());
    return {};
  });
}

/// The sealed charge. Whoever finds it has nothing without the medium.
Result<void> write_charge(const Json& answer, const std::filesystem::path& out) {
  ASSIGN_OR_RETURN(const Bytes octets, answer.base64("file"));
  std::ofstream file(out, std::ios::binary | std::ios::trunc);
  file.write(reinterpret_cast<const char*>(octets.data()), static_cast<std::streamsize>(octets.size()));
  if (!file.flush()) return fail(ErrorCode::internal, out.string() + ": cannot be written");
  return {};
}

Result<void> take_file(const Json& answer, const std::filesystem::path& out) {
  TRY(write_charge(answer, out));
  fmt::print("  {}: sealed charge of medium {}; load it with: qanat terminal load-charge --config TERMINAL.toml {}\n", out.string(), said(answer, "medium"),
             out.string());
  return {};
}

void print_medium(const Json& one) {
  const auto keys = one.object("keys");
  const auto count = [&](std::string_view set) { return keys ? keys->integer(set).value_or(0) : 0; };
  fmt::print("  {}  {:<10} {:<9} {:<7} keys: {} authentication, {} call ({} of them never leaned on public keys), {} distribution{}\n", said(one, "medium"),
             said(one, "terminal"), said(one, "kind"), said(one, "state"), count("authentication"), count("call"),
             one.integer("call_keys_charged_offline").value_or(0), count("distribution"), one.boolean("by_file").value_or(false) ? "" : "; over a wire alone");
}

/// A copy of the key where the KMS looks for it, which goes again unless it is kept. It is carried, never sent: a network's TLS is what the charge must not
/// lean on. Nothing if there is none, or it was carried there before.
Result<std::optional<NewSecretFile>> carry_transport_key(const MediumAsk& ask, const MediumRegistration& what) {
  if (what.transport_key.empty()) return std::optional<NewSecretFile>();
  ASSIGN_OR_RETURN(const Network network, Network::read(ask.at.folder));
  const std::filesystem::path folder = network.media_keys_of(ask.kms);
  const std::filesystem::path to = folder / (what.medium + ".key");
  std::error_code error;
  const auto digits = read_secret_digits(what.transport_key, wire::transport_key_size);
  if (!digits && digits.error().code == ErrorCode::not_found && std::filesystem::exists(to, error)) return std::optional<NewSecretFile>();
  if (!digits) return fail(digits.error());
  std::filesystem::create_directories(folder, error);
  if (!error) std::filesystem::permissions(folder, std::filesystem::perms::owner_all, error);
  if (!error) std::filesystem::remove(to, error);  // of a command that was killed
  if (error) return fail(ErrorCode::internal, to.string() + ": " + error.message());
  ASSIGN_OR_RETURN(NewSecretFile copy, NewSecretFile::make(to));
  TRY(copy.write(*digits));
  return Result<std::optional<NewSecretFile>>(std::move(copy));
}

/// Who fails here has the key where it was.
Result<Json> enter_medium(Operator& op, const MediumAsk& ask, const MediumRegistration& what) {
  TRY(wire::MediumId::parse_hex(what.medium));
  TRY(op.check_answers(Endpoint::x5_medium, ask.kms));
  ASSIGN_OR_RETURN(std::optional<NewSecretFile> copy, carry_transport_key(ask, what));
  const bool by_file = what.by_file || !what.transport_key.empty();
  ASSIGN_OR_RETURN(
      Json answer,
      op.ask(Endpoint::x5_medium, ask.kms,
             Json::object({{"op", "register"}, {"medium", what.medium}, {"terminal", what.terminal}, {"kind", what.kind}, {"by_file", by_file}})));
  if (!copy) return answer;
  copy->keep();  // the KMS has sealed the key, and removed this file
  std::error_code error;
  std::filesystem::remove(what.transport_key, error);
  if (error) return fail(ErrorCode::internal, "the medium is registered; remove " + what.transport_key.string() + ", which cannot be removed: " + error.message());
  return answer;
}

}  // namespace

int medium_register(const MediumAsk& ask, const MediumRegistration& what) {
  return with_operator(ask.at, ask.as, [&](Operator& op) -> Result<void> {
    ASSIGN_OR_RETURN(const Json answer, enter_medium(op, ask, what));
    if (ask.output == Output::people) print_medium(answer);
    if (ask.output == Output::json) fmt::print("{}\n", answer.dump());
    return {};
  });
}

int medium_list(const MediumAsk& ask) {
  return at_kms(ask, Json::object({{"op", "list"}}), [](const Json& answer) -> Result<void> {
    ASSIGN_OR_RETURN(const std::vector<Json> media, answer.array("media"));
    for (const Json& one : media) print_medium(one);
    if (media.empty()) fmt::print("  no medium is registered\n");
    ASSIGN_OR_RETURN(const std::vector<Json> charges, answer.array("charges"));
    for (const Json& one : charges)
      fmt::print("  charge {} of medium {}: {} authentication, {} call, {} distribution keys; ordered by {}, waits for another operator\n", said(one, "ticket"),
                 said(one, "medium"), one.integer("authentication").value_or(0), one.integer("call").value_or(0), one.integer("distribution").value_or(0),
                 said(one, "made_by"));
    return {};
  });
}

int medium_end(const MediumAsk& ask, const std::string& op, const std::string& medium) {
  return at_kms(ask, Json::object({{"op", op}, {"medium", medium}}), [](const Json& answer) -> Result<void> {
    fmt::print("  medium {} of {} is {} at the KMS from now on; the medium itself follows when its terminal is next seen\n", said(answer, "medium"),
               said(answer, "terminal"), said(answer, "state"));
    return {};
  });
}

int charge_order(const MediumAsk& ask, const ChargeOrder& order) {
  if (order.authentication + order.call + order.distribution == 0)
    return complain({ErrorCode::invalid_argument, "a charge has one key at least: --authentication, --call or --distribution"});
  Json answer;
  std::string ticket;
  const Json body = Json::object(
      {{"op", "charge"}, {"medium", order.medium}, {"authentication", order.authentication}, {"call", order.call}, {"distribution", order.distribution}});
  const int ordered = with_operator(ask.at, ask.as, [&](Operator& op) -> Result<void> {
    ASSIGN_OR_RETURN(answer, op.ask(Endpoint::x5_medium, ask.kms, body));
    ASSIGN_OR_RETURN(ticket, answer.text("ticket"));
    return {};
  });
  if (ordered != 0) return ordered;
  const auto show_order = [&] {
    if (ask.output == Output::json) fmt::print("{}\n", answer.dump());
    if (ask.output == Output::people)
      fmt::print("  charge {} is ordered. Another operator approves it: qanat kms approve {} --as administrator --out CHARGE\n", ticket, ticket);
  };
  MediumAsk second = ask;
  second.as = order.second;
  const int done = order.second.empty() ? 0 : charge_take(second, "approve", ticket, order.out);
  if (order.second.empty() || done != 0) show_order();  // also where the approval failed: the order is there, and can be approved yet
  return done;
}

int charge_take(const MediumAsk& ask, const std::string& op, const std::string& ticket, const std::filesystem::path& out) {
  return with_operator(ask.at, ask.as, [&](Operator& person) -> Result<void> {
    ASSIGN_OR_RETURN(const Json answer, person.ask(Endpoint::x5_medium, ask.kms, Json::object({{"op", op}, {"ticket", ticket}})));
    if (ask.output == Output::people) return take_file(answer, out);
    TRY(write_charge(answer, out));
    fmt::print("{}\n", Json::object({{"ticket", said(answer, "ticket")}, {"medium", said(answer, "medium")}, {"file", out.string()}}).dump());
    return {};
  });
}

int charge_reject(const MediumAsk& ask, const std::string& ticket) {
  return at_kms(ask, Json::object({{"op", "reject"}, {"ticket", ticket}}), [](const Json& answer) -> Result<void> {
    fmt::print("  charge {} is rejected\n", said(answer, "ticket"));
    return {};
  });
}

namespace {

std::shared_ptr<MediumAsk> add_kms_ask(CLI::App& command) {
  auto out = std::make_shared<MediumAsk>();  // owned by the command's action, and by its options' callbacks through it
  CLI::Option* const config = add_operator_options(command, out->at);
  add_json_flag(command, out->output);
  command.add_option("--kms", out->kms, "which KMS (default: kms-a)");
  add_as_option(command, out->as, config);
  return out;
}

void add_media(CLI::App& medium, const OnCommand& on) {
  CLI::App* command =
      add_command(medium, "register", "enter a terminal's medium", "qanat kms medium register MEDIUM --terminal A --kind sim --transport-key A.transport");
  auto ask = add_kms_ask(*command);
  const auto what = std::make_shared<MediumRegistration>();
  command->add_option("medium", what->medium, "its id, as qanat terminal make-medium shows it")->required();
  command->add_option("--terminal", what->terminal, "uid of the terminal that it belongs to")->required();
  command->add_option("--kind", what->kind, "sim, tf-card, software or pci-card")->check(CLI::IsMember({"sim", "tf-card", "software", "pci-card"}));
  command->add_option("--transport-key", what->transport_key,
                      "file of the key that it was made with; it is moved to the KMS (without: charged over a wire alone)")
      ->excludes(command->get_option("--config"));
  command->add_flag("--by-file", what->by_file, "the key that it was made with lies in the KMS's kms.media_keys already, as MEDIUM.key")
      ->excludes(command->get_option("--transport-key"));
  on(command, [ask, what] { return medium_register(*ask, *what); });
  command = add_command(medium, "list", "media with their stock, and charges that wait for a second operator", "qanat kms medium list --kms kms-b");
  ask = add_kms_ask(*command);
  on(command, [ask] { return medium_list(*ask); });
  for (const char* op : {"lock", "wipe"}) {
    const bool lock = std::string_view(op) == "lock";
    command =
        add_command(medium, op, lock ? "a medium is lost: accept none of its keys until it is charged by file again" : "destroy a medium's keys, for good",
                    std::string("qanat kms medium ") + op + " MEDIUM");
    ask = add_kms_ask(*command);
    const auto id = std::make_shared<std::string>();
    command->add_option("medium", *id, "its id")->required();
    on(command, [ask, id, op] { return medium_end(*ask, op, *id); });
  }
}

}  // namespace

void add_medium_commands(CLI::App& kms, const OnCommand& on) {
  CLI::App* const medium = add_command(kms, "medium", "secure media of terminals", "qanat kms medium list");
  medium->require_subcommand(1);
  add_media(*medium, on);
  CLI::App* command = add_command(kms, "charge", "order a charge by file, which another operator approves", "qanat kms charge --medium MEDIUM --call 200");
  auto ask = add_kms_ask(*command);
  const auto order = std::make_shared<ChargeOrder>();
  const CLI::Range count(0, static_cast<int>(wire::charge_keys_max));
  command->add_option("--medium", order->medium, "its id")->required();
  command->add_option("--authentication", order->authentication, "keys for symmetric mode")->check(count)->capture_default_str();
  command->add_option("--call", order->call, "keys for calls, one each")->check(count)->capture_default_str();
  command->add_option("--distribution", order->distribution, "keys for charges over the wire, one each")->check(count)->capture_default_str();
  CLI::Option* const out = command->add_option("--out", order->out, "with --second: file for the sealed charge");
  CLI::Option* const second = command->add_option("--second", order->second, "approve at once as this operator, where one machine has both: for laboratories")
                                  ->check(CLI::IsMember({"operator", "administrator", "auditor"}))
                                  ->needs(out)
                                  ->excludes(command->get_option("--config"));
  out->needs(second);
  on(command, [ask, order] { return charge_order(*ask, *order); });
  struct Errand {
    std::string ticket;
    std::filesystem::path out;
  };
  for (const char* op : {"approve", "collect"}) {
    const bool approve = std::string_view(op) == "approve";
    command = add_command(kms, op, approve ? "approve a charge that another operator ordered" : "take the file of an approved charge again",
                          std::string("qanat kms ") + op + " TICKET --as administrator --out A.charge");
    ask = add_kms_ask(*command);
    const auto errand = std::make_shared<Errand>();
    command->add_option("ticket", errand->ticket, "as qanat kms medium list shows it")->required();
    command->add_option("--out", errand->out, "file for the sealed charge")->required();
    on(command, [ask, errand, op] { return charge_take(*ask, op, errand->ticket, errand->out); });
  }
  command = add_command(kms, "reject", "reject a charge that waits", "qanat kms reject TICKET --as administrator");
  ask = add_kms_ask(*command);
  const auto ticket = std::make_shared<std::string>();
  command->add_option("ticket", *ticket, "as qanat kms medium list shows it")->required();
  on(command, [ask, ticket] { return charge_reject(*ask, *ticket); });
}

void add_terminal_medium_commands(CLI::App& terminal, const OnCommand& on) {
  struct Place {
    std::filesystem::path config;
    std::filesystem::path file;
    std::string kind = "software";
    TerminalCharge wanted;
  };
  const auto add = [&](const char* name, const char* what, const std::string& example) {
    CLI::App* command = add_command(terminal, name, what, example);
    auto place = std::make_shared<Place>();
    command->add_option("--config", place->config, "configuration file")->required();
    return std::pair(command, place);
  };
  auto [command, place] = add("make-medium", "make a secure medium where terminal.medium says",
                              "qanat terminal make-medium --config A.toml --kind sim --transport-key A.transport");
  command->add_option("--kind", place->kind, "sim, tf-card, software or pci-card")->check(CLI::IsMember({"sim", "tf-card", "software", "pci-card"}));
  command->add_option("--transport-key", place->file, "new file for the key of its charges by file: carry it to the KMS by hand");
  on(command, [place = place] { return terminal_make_medium(place->config, place->kind, place->file); });
  std::tie(command, place) = add("medium", "state of the terminal's medium", "qanat terminal medium --config A.toml");
  on(command, [place = place] { return terminal_medium(place->config); });
  std::tie(command, place) = add("charge", "have the medium charged by its KMS over the wire", "qanat terminal charge --config A.toml --call 64");
  const CLI::Range count(0, static_cast<int>(wire::charge_keys_max));
  command->add_option("--authentication", place->wanted.authentication, "keys for symmetric mode")->check(count);
  command->add_option("--call", place->wanted.call, "keys for calls")->check(count);
  command->add_option("--distribution", place->wanted.distribution, "keys for charges over the wire")->check(count);
  on(command, [place = place] { return terminal_charge(place->config, place->wanted); });
  std::tie(command, place) = add("load-charge", "load a charge from a file into the medium", "qanat terminal load-charge --config A.toml A.charge");
  command->add_option("file", place->file, "as qanat kms approve wrote it")->required();
  on(command, [place = place] { return terminal_load_charge(place->config, place->file); });
}

}  // namespace qanat::app
