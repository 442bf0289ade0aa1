// Relays hop by hop over chains of 2, 5 and 10 nodes: how keys per second and latency grow with the hops.
#pragma once

#include <filesystem>

#include "report.hpp"

namespace qanat::bench {

/// `within`: where the nodes' temporary folders are made.
Result<void> measure_relay(Report& report, const std::filesystem::path& within);

}  // namespace qanat::bench
