// What the kernel tells of another process: its memory, what it wrote, and which of its threads worked how long.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>

#include "base/result.hpp"

namespace qanat::bench {

/// In KiB, from smaps_rollup.
struct Memory {
  double resident = 0;      // all that is in memory
  double proportional = 0;  // what is shared counted in parts
  double own = 0;           // what nobody shares: it would be free without the process
};
Result<Memory> memory_of(pid_t pid);

/// Octets that the process had written to storage so far.
Result<double> octets_written_by(pid_t pid);

/// Processor seconds by thread.
Result<std::map<pid_t, double>> thread_seconds_of(pid_t pid);

}  // namespace qanat::bench
