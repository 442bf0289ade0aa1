// Whether a KMS with two workers delivers twice what it delivers with one.
#pragma once

#include "application_load.hpp"
#include "report.hpp"

namespace qanat::bench {

struct WorkersPlan {
  std::size_t sessions = 256;  // of one round
  std::size_t rounds = 3;      // after each start of the KMS
  std::size_t turns = 3;       // starts with one worker and with two, in turns
  std::size_t senders = 8;
};

/// Restarts the KMS, which has its former number of workers again afterwards.
Result<void> measure_workers(ApplicationLoad& load, const WorkersPlan& plan, Report& report);

}  // namespace qanat::bench
