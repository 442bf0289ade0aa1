#include "group_commands.hpp"

#include <fmt/format.h>

#include <memory>

#include "node/subscriber.hpp"
#include "opened_terminal.hpp"
#include "terminal/group_process.hpp"

namespace qanat::app {
namespace {

Result<terminal::GroupPlan> plan_of(const Network& network, const GroupAsk& ask, const std::string& op) {
  terminal::GroupPlan out{.order = wire::GroupOrder::show, .with_key = op == "key"};
  for (const wire::GroupOrder order : {wire::GroupOrder::open, wire::GroupOrder::join, wire::GroupOrder::leave}) {
    if (wire::name(order) == op) out.order = order;
  }
  if (op != "open") {
    ASSIGN_OR_RETURN(out.group, wire::GroupId::parse_hex(ask.group));
  }
  for (const std::string& member : ask.members) {
    std::string number = member;
    if (!member.starts_with('+')) {
      ASSIGN_OR_RETURN(const TerminalPlan* known, network.terminal(member));
      number = known->number;
    }
    ASSIGN_OR_RETURN(Number parsed, node::parse_number(number));
    out.members.push_back(std::move(parsed));
  }
  return out;
}

std::string joined(const std::vector<std::string>& texts) {
  std::string out;
  for (const std::string& text : texts) out += (out.empty() ? "" : ", ") + text;
  return out;
}

Result<void> print_group(const wire::Json& said) {
  ASSIGN_OR_RETURN(const std::string group, said.text("group"));
  ASSIGN_OR_RETURN(const std::int64_t epoch, said.integer("epoch"));
  ASSIGN_OR_RETURN(const std::string owner, said.text("owner"));
  ASSIGN_OR_RETURN(const std::vector<wire::Json> members, said.array("members"));
  ASSIGN_OR_RETURN(const std::vector<std::string> left_out, said.texts("left_out"));
  ASSIGN_OR_RETURN(const std::vector<std::string> readers, said.texts("readable_by"));
  fmt::print("  group {}\n  epoch {}, owner {}\n", group, epoch, owner);
  for (const wire::Json& member : members) fmt::print("    {}  {}\n", member.text("number").value_or("?"), member.text("kms").value_or("?"));
  if (!left_out.empty()) fmt::print("  without a key of this epoch: {}\n", joined(left_out));
  if (said.has("wk_fingerprint"))
    fmt::print("  key {} (the same at every member), assurance {}\n", said.text("wk_fingerprint").value_or("?"), said.integer("assurance").value_or(0));
  fmt::print("  NOT END TO END: {} can read what this group says\n", joined(readers));
  return {};
}

}  // namespace

int group_command(const GroupAsk& ask, const std::string& op) {
  const auto done = [&]() -> Result<void> {
    ASSIGN_OR_RETURN(const Network network, Network::read(ask.folder));
    ASSIGN_OR_RETURN(const TerminalPlan* who, network.terminal(ask.as));
    ASSIGN_OR_RETURN(const terminal::GroupPlan plan, plan_of(network, ask, op));
    ASSIGN_OR_RETURN(const OpenedTerminal opened, open_terminal(network.config_of(who->uid)));
    ASSIGN_OR_RETURN(const wire::Json said, terminal::run_group(*opened.node, opened.settings, plan));
    if (ask.output == Output::people) return print_group(said);
    fmt::print("{}\n", said.dump());
    return {};
  }();
  return done ? 0 : complain(done.error());
}

void add_group_commands(CLI::App& group, const OnCommand& on) {
  struct Line {
    const char* op;
    const char* what;
    const char* example;
  };
  group.require_subcommand(1);
  for (const Line& line : {Line{"open", "a new group, which this terminal owns", "qanat group open --as A --member B --member C"},
                           Line{"join", "further members: a new key for all that are in it then", "qanat group join 0123… --as A --member B"},
                           Line{"leave", "members go: a new key for those that stay", "qanat group leave 0123… --as A --member B"},
                           Line{"show", "epoch, members, and who can read it", "qanat group show 0123… --as B"},
                           Line{"key", "fetches this member's key of the epoch, once, and shows its fingerprint", "qanat group key 0123… --as B"}}) {
    const std::string op = line.op;
    CLI::App* const command = add_command(group, op, line.what, line.example);
    const auto ask = std::make_shared<GroupAsk>();  // owned by the command's action, and by its options' callbacks through it
    add_network_option(*command, ask->folder);
    add_json_flag(*command, ask->output);
    if (op != "open") command->add_option("group", ask->group, "its id: 64 hexadecimal digits")->required();
    command->add_option("--as", ask->as, "uid of the terminal, which is enrolled and not in a call")->required();
    if (op != "show" && op != "key") command->add_option("--member", ask->members, "uid of a terminal of the network, or a number; several times")->required();
    on(command, [ask, op] { return group_command(*ask, op); });
  }
}

}  // namespace qanat::app
