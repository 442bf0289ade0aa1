// `qanat audit verify`, `prove` and `show`: audit records examined offline, from the files alone.
#pragma once

#include <filesystem>
#include <optional>
#include <vector>

#include "command_options.hpp"

namespace qanat::app {

struct AuditVerifyOptions {
  std::vector<std::filesystem::path> paths;        // state folders, or audit.jsonl files
  std::filesystem::path trust;                     // with root-*.pem; empty: whose keys signed is not traced
  std::vector<std::filesystem::path> witnesses;    // state folders
  std::vector<std::filesystem::path> checkpoints;  // older ones
  Output output = Output::people;
};
/// 0 if every log is whole.
int audit_verify(const AuditVerifyOptions& options);

struct AuditProveOptions {
  std::filesystem::path path;
  std::optional<std::uint64_t> record;  // counted from 1; or
  std::filesystem::path since;          // an older checkpoint
};
/// Prints the proof.
int audit_prove(const AuditProveOptions& options);

struct AuditShowOptions {
  std::filesystem::path proof;
  std::filesystem::path statement;  // of the log's keys
  std::filesystem::path trust;
  std::filesystem::path since;  // the older checkpoint of a consistency proof
};
/// Verifies a proof and prints what it proves; 0 if it holds.
int audit_show(const AuditShowOptions& options);

void add_audit_commands(CLI::App& audit, const OnCommand& on);

}  // namespace qanat::app
