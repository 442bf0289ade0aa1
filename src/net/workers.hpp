// A fixed number of threads behind a bounded queue: where work that blocks is done, away from the thread that moves octets. Of idle threads the one that worked
// last is woken, since the processor still has what it works with.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace qanat::net {

/// What becomes of work that waits in the queue when the threads stop.
enum class Waiting : unsigned char { run, drop };

class Workers {
 public:
  using Job = std::move_only_function<void()>;

  Workers(std::size_t threads, std::size_t queue_max);
  ~Workers();  // stops; waiting work is dropped
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  /// False, and `job` is not run, if the queue is full or the threads are stopping.
  [[nodiscard]] bool submit(Job job);
  /// Returns when the jobs that run have ended. Idempotent; not from a job.
  void stop(Waiting waiting);

 private:
  struct Place {
    std::condition_variable woken;
    bool called = false;
  };
  void work(Place& own);

  const std::size_t queue_max_;
  std::mutex mutex_;  // guards everything below but threads_
  std::deque<Job> queue_;
  bool stopping_ = false;
  std::vector<Place> places_;  // one each; as many as there are from the beginning on
  std::vector<Place*> idle_;   // whose threads wait and have not been called, the last to have worked last
  std::vector<std::thread> threads_;
};

}  // namespace qanat::net
