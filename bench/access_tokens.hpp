// What it costs to check an access token: a resource server's side of CWT and JWT.
#pragma once

#include <filesystem>

#include "report.hpp"

namespace qanat::bench {

Result<void> measure_access_tokens(Report& report, const std::filesystem::path& within, bool quick);

}  // namespace qanat::bench
