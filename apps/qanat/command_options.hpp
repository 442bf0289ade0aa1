// What the command lines of several commands have in common.
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>
#include <string>

#include "commands.hpp"

namespace qanat::app {

/// Connects a command with what it does.
using OnCommand = std::function<void(CLI::App*, std::function<int()>)>;

/// `example` stands at the end of the command's --help.
CLI::App* add_command(CLI::App& parent, const std::string& name, const std::string& what, const std::string& example);
/// --network and --state.
void add_network_option(CLI::App& command, std::filesystem::path& folder);
/// --network, --state, and --config, which takes the place of both and is returned.
CLI::Option* add_operator_options(CLI::App& command, OperatorPlace& at);
/// --as, which of the network's operators: not with `config`, which is of one.
CLI::Option* add_as_option(CLI::App& command, std::string& as, CLI::Option* config);
/// --json.
void add_json_flag(CLI::App& command, Output& output);

}  // namespace qanat::app
