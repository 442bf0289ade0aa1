// Processor time, which is what a server costs: not disturbed by who else waits for the same cores.
#pragma once

#include <sys/types.h>
#include <time.h>

#include "base/result.hpp"

namespace qanat::bench {

/// Processor seconds, user and system, of a clock.
inline double seconds_of(clockid_t clock) {
  timespec time{};
  ::clock_gettime(clock, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

inline double thread_cpu_s() { return seconds_of(CLOCK_THREAD_CPUTIME_ID); }

/// The processor time of all threads of another process.
class ProcessClock {
 public:
  static Result<ProcessClock> of(pid_t pid) {
    clockid_t clock{};
    if (pid <= 0 || ::clock_getcpuclockid(pid, &clock) != 0)
      return fail(ErrorCode::not_found, "process " + std::to_string(pid) + " has no clock: it does not run");
    return ProcessClock(clock);
  }
  [[nodiscard]] double cpu_s() const { return seconds_of(clock_); }

 private:
  explicit ProcessClock(clockid_t clock) : clock_(clock) {}
  clockid_t clock_;
};

}  // namespace qanat::bench
