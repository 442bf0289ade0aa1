#include "services/kms/kp/refill.hpp"

#include <algorithm>

#include "node/log.hpp"

namespace qanat::kms {

void Refill::start() {
  thread_ = std::thread([this] { run(); });
}

void Refill::ring() {
  {
    const std::lock_guard lock(mutex_);
    rung_ = true;
  }
  changed_.notify_all();
}

void Refill::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Refill::run() {
  std::chrono::milliseconds pause{0};  // after the last failure; 0: it succeeded
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    rung_ = false;
    lock.unlock();
    const auto filled = fill_();
    lock.lock();
    if (filled) {
      pause = std::chrono::milliseconds(0);
      changed_.wait_for(lock, pauses_.look_every, [this] { return stopping_ || rung_; });
      continue;
    }
    if (pause.count() == 0 && !stopping_) node::log(node::LogLevel::warning, "{}: {}", what_, filled.error().message);  // the first of a row
    pause = std::min(2 * std::max(pause, pauses_.look_every), pauses_.failed_max);
    changed_.wait_for(lock, pause, [this] { return stopping_; });
  }
}

}  // namespace qanat::kms
