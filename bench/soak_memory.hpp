// Memory of the network's processes over time, one series from each start of a process to its end: what is resident, each second, and what the process says
// that it has in use.
#pragma once

#include <array>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include <sys/types.h>

namespace qanat::bench {

struct MemorySample {
  double at_s = 0;
  double kib = 0;
};
using MemorySeries = std::vector<MemorySample>;
struct ProcessMemory {
  MemorySeries resident;
  MemorySeries in_use;  // allocated and not freed, without the pages that SQLite keeps
};

// A shorter series says more of the start: connections that are made, and, of what is resident, caches that fill and pages that glibc keeps.
inline constexpr double in_use_judged_s = 600;
inline constexpr double resident_judged_s = 1500;
inline constexpr double memory_growth_max = 0.05;        // over the series' last half
inline constexpr double memory_growth_kib_max = 4096.0;  // or this much, whichever is more

struct MemoryView {
  std::string_view what;
  const MemorySeries* series;
  double judged_s;
};
/// Both series of a process, by name, with the length from which each is judged.
inline std::array<MemoryView, 2> views_of(const ProcessMemory& process) {
  return {{{"in use", &process.in_use, in_use_judged_s}, {"resident", &process.resident, resident_judged_s}}};
}

struct MemoryVerdict {
  double seconds = 0;
  double low_kib = 0;
  double high_kib = 0;
  double slope_kib_per_h = 0;  // least squares over the last two thirds
  double growth_kib = 0;       // least squares over the last half, times its length
  double growth_part = 0;      // of the mean of that half
  bool judged = false;         // long enough
  bool flat = true;            // not judged, or within either limit
};
/// Of a series with at least two samples; an empty verdict otherwise. One that is shorter than `judged_s` is not judged.
MemoryVerdict judge(const MemorySeries& series, double judged_s);

/// Every sample, for whoever wants to see more than the verdicts.
std::string as_csv(const std::map<std::string, std::vector<ProcessMemory>>& memory);

/// A process by its element's name.
struct NamedProcess {
  std::string name;
  pid_t pid = -1;
};

/// Samples until it goes.
class MemoryWatch {
 public:
  /// `processes`: those that run now. `in_use`: KiB, as an element says; nothing while it does not answer. Both are called from the watch's own thread.
  MemoryWatch(std::function<std::vector<NamedProcess>()> processes, std::function<std::optional<double>(const std::string& element)> in_use);
  ~MemoryWatch();
  MemoryWatch(const MemoryWatch&) = delete;
  MemoryWatch& operator=(const MemoryWatch&) = delete;

  /// Ends the sampling: series by element, in the order in which its processes began.
  std::map<std::string, std::vector<ProcessMemory>> stop();

 private:
  void run(const std::stop_token& stopped);

  const std::function<std::vector<NamedProcess>()> processes_;
  const std::function<std::optional<double>(const std::string&)> in_use_;
  std::map<std::string, pid_t> last_pid_;                     // the watch's thread
  std::map<std::string, std::vector<ProcessMemory>> series_;  // the watch's thread, until it has ended
  std::jthread thread_;
};

}  // namespace qanat::bench
