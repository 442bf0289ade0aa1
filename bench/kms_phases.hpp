// Where a KMS's processor time for one delivery goes.
#pragma once

#include "application_load.hpp"
#include "kms_latency.hpp"
#include "primitives.hpp"
#include "report.hpp"

namespace qanat::bench {

struct PhasesPlan {
  std::size_t sessions = 128;  // two deliveries each
  std::size_t turns = 5;       // of each phase; the median counts
  std::size_t threads = 4;     // that work on the database side by side, as the KMS's workers do
};

/// `found`: the KMS's processor time for one delivery, as it was measured from outside. Stops the KMS, whose database it works on, and leaves it stopped.
Result<void> measure_phases(ApplicationLoad& load, const HalfLoad& found, const PhasesPlan& plan, Report& report);

}  // namespace qanat::bench
