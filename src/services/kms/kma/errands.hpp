// Work that somebody should do but nobody waits for, such as telling the QKM that a key is in use: one thread, a bounded queue. What does not
// fit in the queue is left undone; every errand here is one that its receiver would come to by itself, later. What may take long has a queue of its own.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace qanat::kms {

class Errands {
 public:
  Errands() = default;
  ~Errands() { stop(); }
  Errands(const Errands&) = delete;
  Errands& operator=(const Errands&) = delete;
  void start();
  /// What is queued is dropped; the errand that runs is waited for.
  void stop();
  void post(std::function<void()> errand);

 private:
  void run();

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> queue_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace qanat::kms
