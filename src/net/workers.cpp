#include "net/workers.hpp"

#include "base/check.hpp"

namespace qanat::net {

Workers::Workers(std::size_t threads, std::size_t queue_max) : queue_max_(queue_max), places_(threads) {
  CHECK(threads > 0);
  idle_.reserve(threads);
  threads_.reserve(threads);
  for (Place& place : places_) threads_.emplace_back([this, &place] { work(place); });
}

Workers::~Workers() { stop(Waiting::drop); }

bool Workers::submit(Job job) {
  Place* called = nullptr;
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || queue_.size() >= queue_max_) return false;
    queue_.push_back(std::move(job));
    if (!idle_.empty()) {  // otherwise one that works looks into the queue when it is done
      called = idle_.back();
      idle_.pop_back();
      called->called = true;
    }
  }
  if (called != nullptr) called->woken.notify_one();
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
  for (Place& place : places_) place.woken.notify_one();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void Workers::work(Place& own) {
  while (true) {
    Job job;
    {
      std::unique_lock lock(mutex_);
      if (queue_.empty()) {
        if (stopping_) return;
        own.called = false;
        idle_.push_back(&own);
        own.woken.wait(lock, [&] { return stopping_ || own.called; });
        if (queue_.empty()) continue;  // another was faster
      }
      job = std::move(queue_.front());
      queue_.pop_front();
    }
    job();
  }
}

}  // namespace qanat::net
