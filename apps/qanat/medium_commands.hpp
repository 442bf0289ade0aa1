// `qanat kms medium …`, `qanat kms charge`, `approve`, `reject`, `collect`: secure media at a running network's KMS, by the certificates of its operators; and
// `qanat terminal …-medium`, `charge`, `load-charge`: the medium at its terminal.
#pragma once

#include <filesystem>
#include <string>

#include "command_options.hpp"

namespace qanat::app {

struct MediumAsk {
  OperatorPlace at;
  Output output = Output::people;
  std::string as = "operator";  // or "administrator", "auditor"
  std::string kms = "kms-a";
};
struct MediumRegistration {
  std::string medium;
  std::string terminal;
  std::string kind = "software";
  std::filesystem::path transport_key;  // which is moved into the KMS's folder; empty, and not by_file: charged over a wire alone
  bool by_file = false;                 // the key lies there already
};
struct ChargeOrder {
  std::string medium;
  std::int64_t authentication = 16;
  std::int64_t call = 64;
  std::int64_t distribution = 16;
  std::string second;         // who approves at once, where one machine has both identities: for laboratories
  std::filesystem::path out;  // then the file
};
int medium_register(const MediumAsk& ask, const MediumRegistration& what);
int medium_list(const MediumAsk& ask);
/// `op`: "lock" or "wipe".
int medium_end(const MediumAsk& ask, const std::string& op, const std::string& medium);
int charge_order(const MediumAsk& ask, const ChargeOrder& order);
/// `op`: "approve" or "collect"; the file to `out`.
int charge_take(const MediumAsk& ask, const std::string& op, const std::string& ticket, const std::filesystem::path& out);
int charge_reject(const MediumAsk& ask, const std::string& ticket);
void add_medium_commands(CLI::App& kms, const OnCommand& on);

struct TerminalCharge {
  std::uint16_t authentication = 16;
  std::uint16_t call = 64;
  std::uint16_t distribution = 16;
};
int terminal_make_medium(const std::filesystem::path& config, const std::string& kind, const std::filesystem::path& transport_key);
int terminal_medium(const std::filesystem::path& config);
int terminal_charge(const std::filesystem::path& config, const TerminalCharge& wanted);
int terminal_load_charge(const std::filesystem::path& config, const std::filesystem::path& file);
void add_terminal_medium_commands(CLI::App& terminal, const OnCommand& on);

}  // namespace qanat::app
