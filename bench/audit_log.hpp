// How many audit records a second are durable, with one to 64 threads that each wait for their own, and what a checkpoint costs.
#pragma once

#include <filesystem>

#include "report.hpp"

namespace qanat::bench {

Result<void> measure_audit(Report& report, const std::filesystem::path& within, bool quick);

}  // namespace qanat::bench
