// `qanat kms …` besides the element itself: the operator's explicit steps with a KMS's database and its history library.
#pragma once

#include "command_options.hpp"

namespace qanat::app {

/// Adds `accept-database`, `history`, `recover-key`, `sign-recovery`, `collect-key`, `destroy-key` and `sign-destruction` to `qanat kms`.
void add_kms_library_commands(CLI::App& kms, const OnCommand& on);

}  // namespace qanat::app
