// How long keys for a KMS stop when a part of the quantum network is killed: a QKD link, a QKM, the leading controller.
#pragma once

#include <filesystem>

#include "report.hpp"

namespace qanat::bench {

struct RecoveryPlan {
  std::string program;
  std::filesystem::path within;
  std::size_t rounds = 5;
};

Result<void> measure_recovery(Report& report, const RecoveryPlan& plan);

}  // namespace qanat::bench
