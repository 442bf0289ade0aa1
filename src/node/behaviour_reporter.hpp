// Sends an element's behaviour records to IAM, in the background, in batches, each until IAM has it: the first at once, and the next after a while or when it is
// full, since a report costs the same with one record or with many. Whoever reports is never held up: the queue is bounded,
// and what does not fit is counted (it stands in the element's own audit record in any case). What is left at an orderly end waits in a file for the next
// start.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <filesystem>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "base/clock.hpp"
#include "node/behaviour.hpp"
#include "wire/json.hpp"

namespace qanat::node {

/// From one report to the next, while records keep coming.
inline constexpr std::chrono::milliseconds reports_apart{50};

class BehaviourReporter {
 public:
  struct Ports {
    /// {"id", "records"} to IAM. A batch that is sent again bears the id that it had.
    std::function<Result<void>(const wire::Json& report, Deadline deadline)> send;
    std::function<std::string()> new_id;
  };
  /// `kept`: the file for what is left; it is read by start().
  BehaviourReporter(Identity self, const Clock& clock, std::filesystem::path kept, Ports ports, std::chrono::milliseconds apart = reports_apart);
  ~BehaviourReporter() { stop(); }
  BehaviourReporter(const BehaviourReporter&) = delete;
  BehaviourReporter& operator=(const BehaviourReporter&) = delete;

  void start();
  /// Sends what there is for a short time; the rest goes into the file. Idempotent.
  void stop();

  void report(Behaviour behaviour, Telling telling = Telling::each);
  /// What the table makes of an event that has been recorded.
  void saw(const audit::Event& event);

  struct Counts {
    std::uint64_t sent = 0;
    std::uint64_t waiting = 0;
    std::uint64_t dropped = 0;
  };
  Counts counts();

 private:
  struct Entry {
    Behaviour behaviour;
    UnixMs time_ms = 0;
  };
  struct Batch {
    wire::Json report;
    std::size_t records = 0;
  };
  /// The same thing again and again: told at once the first time, then as a number when its minute is over.
  struct Repeated {
    UnixMs until_ms = 0;
    std::uint64_t more = 0;
  };
  using Key = std::tuple<std::string, std::string, std::string, std::string>;  // about, action, outcome, object

  void run();
  void put(Entry entry);
  enum class Ended : std::uint8_t { over, all };
  /// Puts the numbers of those whose minute is over (or of all) into the queue; when the next one is.
  UnixMs gather(UnixMs now, Ended which);
  Batch make_batch();
  /// False if IAM cannot be reached now. What it refuses for good is dropped.
  bool deliver(const Batch& batch, Deadline deadline);
  void read_kept();
  void keep();

  const Identity self_;
  const Clock& clock_;
  const std::filesystem::path kept_;
  const Ports ports_;
  const std::chrono::milliseconds apart_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Entry> queue_;
  std::map<Key, Repeated> repeated_;
  std::deque<Batch> batches_;  // the thread's own: the one that is being sent, before it those of an earlier process
  Counts counts_;
  bool away_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace qanat::node
