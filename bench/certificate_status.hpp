// How fast certificate status is answered: what was made ahead, over HTTP, and what is signed for the question, against the bare signature.
#pragma once

#include <filesystem>

#include "report.hpp"

namespace qanat::bench {

Result<void> measure_certificate_status(Report& report, const std::filesystem::path& within, bool quick);

}  // namespace qanat::bench
