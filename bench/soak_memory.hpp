// Memory of the network's processes over time: sampled each second, one series from each start of a process to its end.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <sys/types.h>

namespace qanat::bench {

struct MemorySample {
  double at_s = 0;
  double resident_kib = 0;
};
using MemorySeries = std::vector<MemorySample>;

inline constexpr double memory_judged_s = 600;           // a shorter series says more of the start: caches that fill, connections that are made
inline constexpr double memory_growth_max = 0.05;        // over the series' last half
inline constexpr double memory_growth_kib_max = 4096.0;  // or this much, whichever is more

struct MemoryVerdict {
  double seconds = 0;
  double low_kib = 0;
  double high_kib = 0;
  double slope_kib_per_h = 0;  // least squares over the last two thirds
  double growth_kib = 0;       // over the last half: twice that of the lowest value from the third quarter to the fourth
  double growth_part = 0;      // of the fourth quarter's lowest
  bool judged = false;         // long enough
  bool flat = true;            // not judged, or within either limit
};
/// Of a series with at least four samples; an empty verdict otherwise.
MemoryVerdict judge(const MemorySeries& series);

/// A process by its element's name.
struct NamedProcess {
  std::string name;
  pid_t pid = -1;
};

/// Samples until it goes.
class MemoryWatch {
 public:
  /// `processes`: those that run now; called from the watch's own thread.
  explicit MemoryWatch(std::function<std::vector<NamedProcess>()> processes);
  ~MemoryWatch();
  MemoryWatch(const MemoryWatch&) = delete;
  MemoryWatch& operator=(const MemoryWatch&) = delete;

  /// Ends the sampling: series by element, in the order in which its processes began.
  std::map<std::string, std::vector<MemorySeries>> stop();

 private:
  void run(const std::stop_token& stopped);

  const std::function<std::vector<NamedProcess>()> processes_;
  std::map<std::string, pid_t> last_pid_;                    // the watch's thread
  std::map<std::string, std::vector<MemorySeries>> series_;  // the watch's thread, until it has ended
  std::jthread thread_;
};

}  // namespace qanat::bench
