// `qanat kms …`: working keys and charges of a running KMS, and the policy for all of them, asked with an operator's certificate.
#pragma once

#include "command_options.hpp"

namespace qanat::app {

void add_kms_commands(CLI::App& kms, const OnCommand& on);

}  // namespace qanat::app
