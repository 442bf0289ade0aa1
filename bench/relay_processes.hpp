// Relays hop by hop between real QKM processes with mutual TLS, in chains of 2, 3 and 5.
#pragma once

#include <filesystem>

#include "report.hpp"

namespace qanat::bench {

struct RelayProcessesPlan {
  std::string program;
  std::filesystem::path within;
  std::size_t batches = 15;
  std::size_t singles = 40;
};

Result<void> measure_relay_processes(Report& report, const RelayProcessesPlan& plan);

}  // namespace qanat::bench
