#include "services/kms/kma/errands.hpp"

namespace qanat::kms {
namespace {

constexpr std::size_t errands_waiting_max = 1024;

}  // namespace

void Errands::start() {
  thread_ = std::thread([this] { run(); });
}

void Errands::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    queue_.clear();
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void Errands::post(std::function<void()> errand) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || queue_.size() >= errands_waiting_max) return;
    queue_.push_back(std::move(errand));
  }
  changed_.notify_one();
}

void Errands::run() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (stopping_) return;
    const std::function<void()> errand = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    errand();
    lock.lock();
  }
}

}  // namespace qanat::kms
