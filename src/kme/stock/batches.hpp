// Work that comes from many callers at once, done together: while one batch is being done the next one gathers. A bounded queue, a few threads.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace qanat::kme {

template <class T>
class Batches {
 public:
  /// `together_max` pieces at most are done in one go; a piece beyond `waiting_max` is not taken.
  Batches(std::size_t threads, std::size_t together_max, std::size_t waiting_max, std::function<void(std::vector<T>)> work)
      : together_max_(together_max), waiting_max_(waiting_max), work_(std::move(work)) {
    for (std::size_t i = 0; i < threads; ++i) threads_.emplace_back([this] { run(); });
  }
  ~Batches() { stop(); }
  Batches(const Batches&) = delete;
  Batches& operator=(const Batches&) = delete;

  /// False, and `piece` stays the caller's, if too many wait or the threads are stopping.
  [[nodiscard]] bool submit(T& piece) {
    {
      const std::lock_guard lock(mutex_);
      if (stopping_ || waiting_.size() >= waiting_max_) return false;
      waiting_.push_back(std::move(piece));
    }
    changed_.notify_one();
    return true;
  }
  /// Does what waits, then returns. Idempotent.
  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }

 private:
  void run() {
    while (true) {
      std::vector<T> batch;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
        if (waiting_.empty()) return;
        while (!waiting_.empty() && batch.size() < together_max_) {
          batch.push_back(std::move(waiting_.front()));
          waiting_.pop_front();
        }
      }
      work_(std::move(batch));
    }
  }

  const std::size_t together_max_;
  const std::size_t waiting_max_;
  const std::function<void(std::vector<T>)> work_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<T> waiting_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace qanat::kme
