// One-way error correction: what it discloses beside Shannon's limit, how often the first attempt fails, and how fast either end is.
#pragma once

#include "base/result.hpp"
#include "report.hpp"

namespace qanat::bench {

/// Rows per error rate, 0.5 % to 11 %, on keys with independent errors at exactly the expected rate; one thread, processor time.
Result<void> measure_ldpc(Report& report);

}  // namespace qanat::bench
