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

void add_json_flag(CLI::App& command, Output& output) {
  command.add_flag_callback(
      "--json", [&output] { output = Output::json; }, "print JSON");
}

}  // namespace qanat::app
