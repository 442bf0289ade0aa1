// How long an application for a working key takes while its KMS is half busy.
#pragma once

#include "application_load.hpp"
#include "report.hpp"

namespace qanat::bench {

struct LatencyPlan {
  std::size_t sessions = 128;  // of one round
  std::size_t rounds = 8;
  std::size_t senders = 8;  // to saturate the KMS
};

/// What the other measurements of the same KMS go on with.
struct HalfLoad {
  double kms_cpu_s = 0;  // of one delivery, all of the KMS's work, while it is saturated
  double together = 1;   // deliveries to a signature meanwhile
};
Result<HalfLoad> measure_latency(ApplicationLoad& load, const LatencyPlan& plan, Report& report);

}  // namespace qanat::bench
