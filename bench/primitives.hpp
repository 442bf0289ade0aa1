// The cryptographic operations one by one, and what a durable write costs: the measures that the other rows are held against.
#pragma once

#include "ground.hpp"
#include "report.hpp"

namespace qanat::bench {

/// Processor milliseconds of one operation, median of several batches.
struct Primitives {
  double keygen_ephemeral = 0;
  double sign = 0;              // both halves
  double verify_kept = 0;       // both halves, verifying key parsed before
  double verify_parsed = 0;     // … and parsed anew
  double verify_classical = 0;  // one half, parsed anew
  double verify_ml_dsa = 0;
  double encapsulate_static = 0;
  double encapsulate_kept = 0;  // to a static key that was parsed before
  double encapsulate_ephemeral = 0;
  double decapsulate_static = 0;
  double decapsulate_ephemeral = 0;
  double schedule = 0;  // step 11: two hybrid secrets' key schedule and the sealing key
  double seal_1k = 0;   // 1 KiB under the suite's AEAD, key set up anew
  double chains = 0;    // both certificates of an element to their roots
  double statuses = 0;  // OCSP answers for both, signed and verified
};

/// `turns`: operations per batch.
Result<Primitives> measure_primitives(Ground& ground, std::size_t turns, Report& report);

/// Audit records and store transactions per second, each waited for until it is on disk; one thread.
Result<void> measure_durable_writes(Ground& ground, std::size_t writes, Report& report);

}  // namespace qanat::bench
