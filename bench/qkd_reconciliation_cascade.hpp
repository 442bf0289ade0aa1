// How much Cascade discloses and how fast it is, by error rate.
#pragma once

#include "base/result.hpp"
#include "report.hpp"

namespace qanat::bench {

/// Both sides in one thread, with their messages written and parsed, on keys of 2^24 bits with independent errors.
Result<void> measure_cascade(Report& report);

}  // namespace qanat::bench
