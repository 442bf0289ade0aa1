#include "medium_commands.hpp"

#include <fmt/format.h>

#include <fstream>
#include <memory>

#include "operator.hpp"
#include "wire/charge.hpp"

namespace qanat::app {
namespace {

using points::Endpoint;
using wire::Json;

using Show = std::function<Result<void>(const Json&)>;

std::string said(const Json& json, std::string_view member) { return json.text(member).value_or("-"); }

int at_kms(const MediumAsk& ask, const Json& body, const Show& show) {
  return with_operator(ask.folder, ask.as, [&](Operator& op) -> Result<void> {
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

/// Puts the key where the KMS looks for it. It is carried, never sent: a network's TLS is what the charge must not lean on.
Result<void> place_transport_key(const Network& network, const std::string& kms, const MediumRegistration& what) {
  std::error_code error;
  const std::filesystem::path to = network.media_keys_of(kms) / (what.medium + ".key");
  std::filesystem::create_directories(to.parent_path(), error);
  std::filesystem::permissions(to.parent_path(), std::filesystem::perms::owner_all, error);
  std::filesystem::rename(what.transport_key, to, error);
  if (error == std::errc::cross_device_link) {
    error.clear();
    std::filesystem::copy_file(what.transport_key, to, error);
    if (!error) std::filesystem::remove(what.transport_key, error);
  }
  if (error) return fail(ErrorCode::internal, what.transport_key.string() + ": cannot be moved to " + to.string() + ": " + error.message());
  return {};
}

}  // namespace

int medium_register(const MediumAsk& ask, const MediumRegistration& what) {
  if (!what.transport_key.empty()) {
    const auto placed = [&]() -> Result<void> {
      TRY(wire::MediumId::parse_hex(what.medium));
      ASSIGN_OR_RETURN(const Network network, Network::read(ask.folder));
      return place_transport_key(network, ask.kms, what);
    }();
    if (!placed) return complain(placed.error());
  }
  const Json body =
      Json::object({{"op", "register"}, {"medium", what.medium}, {"terminal", what.terminal}, {"kind", what.kind}, {"by_file", !what.transport_key.empty()}});
  return at_kms(ask, body, [](const Json& answer) -> Result<void> {
    print_medium(answer);
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
  std::string ticket;
  const Json body = Json::object(
      {{"op", "charge"}, {"medium", order.medium}, {"authentication", order.authentication}, {"call", order.call}, {"distribution", order.distribution}});
  const int ordered = at_kms({.folder = ask.folder, .output = Output::people, .as = ask.as, .kms = ask.kms}, body, [&](const Json& answer) -> Result<void> {
    ASSIGN_OR_RETURN(ticket, answer.text("ticket"));
    if (order.second.empty() && ask.output == Output::people)
      fmt::print("  charge {} is ordered. Another operator approves it: qanat kms approve {} --as administrator --out CHARGE\n", ticket, ticket);
    if (order.second.empty() && ask.output == Output::json) fmt::print("{}\n", answer.dump());
    return {};
  });
  if (ordered != 0 || order.second.empty()) return ordered;
  MediumAsk second = ask;
  second.as = order.second;
  return charge_take(second, "approve", ticket, order.out);
}

int charge_take(const MediumAsk& ask, const std::string& op, const std::string& ticket, const std::filesystem::path& out) {
  return with_operator(ask.folder, ask.as, [&](Operator& person) -> Result<void> {
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
  add_network_option(command, out->folder);
  add_json_flag(command, out->output);
  command.add_option("--kms", out->kms, "which KMS (default: kms-a)");
  command.add_option("--as", out->as, "whose certificate to show: operator, administrator or auditor")
      ->check(CLI::IsMember({"operator", "administrator", "auditor"}));
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
                      "file of the key that it was made with; it is moved to the KMS (without: charged over a wire alone)");
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
  command->add_option("--authentication", order->authentication, "keys for symmetric mode")->check(count);
  command->add_option("--call", order->call, "keys for calls, one each")->check(count);
  command->add_option("--distribution", order->distribution, "keys for charges over the wire, one each")->check(count);
  CLI::Option* const out = command->add_option("--out", order->out, "with --second: file for the sealed charge");
  command->add_option("--second", order->second, "approve at once as this operator, where one machine has both: for laboratories")
      ->check(CLI::IsMember({"operator", "administrator", "auditor"}))
      ->needs(out);
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
