// A KMS by itself, in a network of real processes: latency at half load, memory and disk, one worker and two, where its processor time goes.
#pragma once

#include "kms_latency.hpp"
#include "kms_memory.hpp"
#include "kms_phases.hpp"
#include "kms_workers.hpp"

namespace qanat::bench {

struct KmsPlan {
  std::string program;
  std::filesystem::path within;
  std::size_t terminals = 64;  // even
  LatencyPlan latency{};
  MemoryPlan memory{};
  WorkersPlan workers{};
  PhasesPlan phases{};
};

Result<void> measure_kms(Report& report, const KmsPlan& plan);

}  // namespace qanat::bench
