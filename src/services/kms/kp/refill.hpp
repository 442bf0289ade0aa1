// Keeps something filled in the background: looks every now and then, at once when rung, and after a failure less and less often.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "base/result.hpp"

namespace qanat::kms {

class Refill {
 public:
  struct Pauses {
    std::chrono::milliseconds look_every{500};
    std::chrono::milliseconds failed_max{8000};  // twice look_every after a failure, doubled with each further one up to this; what rings does not shorten it
  };
  /// `what` is for the log. `fill` may block; it is called from one thread.
  Refill(std::string what, std::function<Result<void>()> fill) : Refill(std::move(what), std::move(fill), Pauses{}) {}
  Refill(std::string what, std::function<Result<void>()> fill, Pauses pauses) : what_(std::move(what)), fill_(std::move(fill)), pauses_(pauses) {}
  ~Refill() { stop(); }
  Refill(const Refill&) = delete;
  Refill& operator=(const Refill&) = delete;

  void start();
  /// Something was taken. Does not block.
  void ring();
  /// Idempotent; waits for a fill that is under way.
  void stop();

 private:
  void run();

  const std::string what_;
  const std::function<Result<void>()> fill_;
  const Pauses pauses_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool rung_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace qanat::kms
