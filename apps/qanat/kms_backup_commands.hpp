// `qanat kms backup` and `qanat kms restore`: of a KMS that does not run, by whoever may read its configuration.
#pragma once

#include <filesystem>

#include "command_options.hpp"

namespace qanat::app {

int kms_backup(const std::filesystem::path& config, const std::filesystem::path& out);
/// `from` empty: the database as it stands.
int kms_restore(const std::filesystem::path& config, const std::filesystem::path& from);

void add_kms_backup_commands(CLI::App& kms, const OnCommand& on);

}  // namespace qanat::app
