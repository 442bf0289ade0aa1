// How many certificates a CAS issues that are durable and on record, against the bare signatures.
#pragma once

#include <filesystem>

#include "report.hpp"

namespace qanat::bench {

Result<void> measure_certificates(Report& report, const std::filesystem::path& within, bool quick);

}  // namespace qanat::bench
