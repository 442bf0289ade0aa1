// A fixed number of threads behind a bounded queue: where work that blocks is done, away from the thread that moves octets.
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
  void work();

  const std::size_t queue_max_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Job> queue_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace qanat::net
