// A bell: rung when keys arrive, so that those who wait for one look again.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>

#include "base/clock.hpp"

namespace qanat::kme {

inline constexpr std::chrono::milliseconds stop_look_every{250};  // a poll that waits ends this soon when the process stops

class Arrivals {
 public:
  /// Take it before looking: what arrives after the look is then not slept through.
  [[nodiscard]] std::uint64_t count() const {
    const std::lock_guard lock(mutex_);
    return count_;
  }
  void ring() {
    {
      const std::lock_guard lock(mutex_);
      ++count_;
    }
    rung_.notify_all();
  }
  /// True when it was rung since `seen`; false when the deadline passed.
  bool wait(std::uint64_t seen, Deadline deadline) const {
    std::unique_lock lock(mutex_);
    return rung_.wait_until(lock, deadline.at(), [&] { return count_ != seen; });
  }

 private:
  mutable std::mutex mutex_;
  mutable std::condition_variable rung_;
  std::uint64_t count_ = 0;
};

}  // namespace qanat::kme
