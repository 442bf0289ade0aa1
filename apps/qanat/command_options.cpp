#include "command_options.hpp"

namespace qanat::app {

CLI::App* add_command(CLI::App& parent, const std::string& name, const std::string& what, const std::string& example) {
  CLI::App* command = parent.add_subcommand(name, what);
  command->footer("\nExample:\n  " + example);
  return command;
}

void add_network_option(CLI::App& command, std::filesystem::path& folder) {
  CLI::Option* const name = command.add_option_function<std::string>(
      "--network", [&folder](const std::string& text) { folder = Network::default_folder(text); }, "name of the network (default: default)");
  command.add_option("--state", folder, "folder of the network, instead of --network")->excludes(name);
}

CLI::Option* add_operator_options(CLI::App& command, OperatorPlace& at) {
  add_network_option(command, at.folder);
  return command.add_option("--config", at.config, "the operator's own configuration file, instead of a network of this machine")
      ->excludes(command.get_option("--network"))
      ->excludes(command.get_option("--state"));
}

CLI::Option* add_as_option(CLI::App& command, std::string& as, CLI::Option* config) {
  return command.add_option("--as", as, "whose certificate to show: operator, administrator or auditor")
      ->check(CLI::IsMember({"operator", "administrator", "auditor"}))
      ->excludes(config);
}

void add_json_flag(CLI::App& command, Output& output) {
  command.add_flag_callback(
      "--json", [&output] { output = Output::json; }, "print JSON");
}

}  // namespace qanat::app
