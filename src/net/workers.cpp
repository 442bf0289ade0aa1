#include "net/workers.hpp"

#include "base/check.hpp"

namespace qanat::net {

Workers::Workers(std::size_t threads, std::size_t queue_max) : queue_max_(queue_max) {
  CHECK(threads > 0);
  threads_.reserve(threads);
  for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
}

Workers::~Workers() { stop(Waiting::drop); }

bool Workers::submit(Job job) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || queue_.size() >= queue_max_) return false;
    queue_.push_back(std::move(job));
  }
  changed_.notify_one();
  return true;
}

void Workers::stop(Waiting waiting) {
  std::deque<Job> dropped;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    if (waiting == Waiting::drop) dropped.swap(queue_);
  }
  dropped.clear();  // not under the lock, for a job's captures may do anything; and not after the wait, for others may wait for them
  changed_.notify_all();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void Workers::work() {
  while (true) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      if (queue_.empty()) return;
      job = std::move(queue_.front());
      queue_.pop_front();
    }
    job();
  }
}

}  // namespace qanat::net
