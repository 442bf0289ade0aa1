// What a KMS holds for each terminal: memory for its open connection, memory and database once it is enrolled, and what each delivery leaves on the disk.
#pragma once

#include "application_load.hpp"
#include "report.hpp"

namespace qanat::bench {

struct MemoryPlan {
  std::size_t connections = 256;  // opened beside those that are there; the KMS takes 512 in all
  std::size_t terminals = 64;     // enrolled beside those that are there
  std::size_t sessions = 256;     // of which two deliveries each are looked for on the disk
  std::size_t senders = 8;
};

/// `terminal`: an enrolled one, whose certificate the further connections show. Stops and starts the KMS.
Result<void> measure_memory(ApplicationLoad& load, const BenchTerminal& terminal, const MemoryPlan& plan, Report& report);

}  // namespace qanat::bench
