#include "quantum/qkm/sae_stream_courier.hpp"

#include <algorithm>

namespace qanat::qkm {
namespace {

constexpr std::chrono::milliseconds pause_min{100};   // before what could not be done is tried again
constexpr std::chrono::milliseconds pause_max{5000};  // … while the other QKM is silent

}  // namespace

StreamCourier::StreamCourier(Attend attend) : attend_(std::move(attend)), thread_([this] { run(); }) {}

void StreamCourier::look_at(Task task) {
  {
    const std::lock_guard lock(mutex_);
    Entry& entry = tasks_[task.key];
    if (entry.task.wanted && (!task.wanted || *task.wanted < *entry.task.wanted)) task.wanted = entry.task.wanted;
    if (entry.task.until.at() > task.until.at()) task.until = entry.task.until;
    entry.task = std::move(task);
    entry.change = ++changes_;
    fresh_ = true;
  }
  changed_.notify_one();
}

std::vector<StreamCourier::Entry> StreamCourier::in_order() {
  std::vector<Entry> out;
  out.reserve(tasks_.size());
  for (const auto& [key, entry] : tasks_) out.push_back(entry);
  std::ranges::sort(
      out, [](const Entry& x, const Entry& y) { return x.task.priority != y.task.priority ? x.task.priority > y.task.priority : x.change < y.change; });
  return out;
}

void StreamCourier::run() {
  std::chrono::milliseconds pause = pause_min;
  std::unique_lock lock(mutex_);
  while (true) {
    if (tasks_.empty()) {
      changed_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
    } else if (!fresh_) {
      changed_.wait_for(lock, pause, [this] { return stopping_ || fresh_; });
    }
    if (stopping_) return;
    fresh_ = false;
    Round round;
    for (const Entry& entry : in_order()) {
      if (stopping_) return;
      lock.unlock();
      const Next next = attend_(entry.task, round);
      lock.lock();
      const auto found = tasks_.find(entry.task.key);
      if (next == Next::done && found != tasks_.end() && found->second.change == entry.change) tasks_.erase(found);
    }
    pause = round.unreachable ? std::min(2 * pause, pause_max) : pause_min;
  }
}

void StreamCourier::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

}  // namespace qanat::qkm
