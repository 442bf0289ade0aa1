// `qanat group …`: group calls' keys, by a terminal of a network on this machine.
#pragma once

#include "command_options.hpp"

namespace qanat::app {

struct GroupAsk {
  std::filesystem::path folder = Network::default_folder("default");
  Output output = Output::people;
  std::string as;                    // uid of the terminal
  std::string group;                 // 64 hexadecimal digits; empty: open
  std::vector<std::string> members;  // uids of the network's terminals, or numbers
};
/// `op`: "open", "join", "leave", "show" or "key".
int group_command(const GroupAsk& ask, const std::string& op);
void add_group_commands(CLI::App& group, const OnCommand& on);

}  // namespace qanat::app
