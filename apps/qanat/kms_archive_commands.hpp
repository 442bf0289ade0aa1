// `qanat kms archive`, `verify-archive`, `search-archive`: keys that have left the database of a KMS, asked with an operator's certificate, and looked for in
// the files of the archive, wherever these are kept.
#pragma once

#include "command_options.hpp"

namespace qanat::app {

void add_kms_archive_commands(CLI::App& kms, const OnCommand& on);

}  // namespace qanat::app
