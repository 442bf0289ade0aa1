#include "quantum/qkm/sae_stream_waiting.hpp"

namespace qanat::qkm {

StreamWaiting::StreamWaiting() : thread_([this] { run(); }) {}

std::uint64_t StreamWaiting::rings() const {
  const std::lock_guard lock(mutex_);
  return rings_;
}

bool StreamWaiting::wait(Guest& guest, std::uint64_t seen) {
  {
    const std::lock_guard lock(mutex_);
    if (!stopping_ && rings_ == seen) {
      if (guests_.size() >= guests_max) return false;
      const StreamId id = guest.id;
      guests_.emplace(id, std::move(guest));
      changed_.notify_one();
      return true;
    }
  }
  guest.again();
  return true;
}

void StreamWaiting::ring(const StreamId& id) {
  std::vector<Guest> called;
  {
    const std::lock_guard lock(mutex_);
    ++rings_;
    const auto [begin, end] = guests_.equal_range(id);
    for (auto guest = begin; guest != end; ++guest) called.push_back(std::move(guest->second));
    guests_.erase(begin, end);
  }
  for (Guest& guest : called) guest.again();
}

void StreamWaiting::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    std::vector<Guest> called;
    Time next = Time::max();
    const Time now = std::chrono::steady_clock::now();
    for (auto guest = guests_.begin(); guest != guests_.end();) {
      if (guest->second.at <= now) {
        called.push_back(std::move(guest->second));
        guest = guests_.erase(guest);
      } else {
        next = std::min(next, guest->second.at);
        ++guest;
      }
    }
    if (!called.empty()) {
      lock.unlock();
      for (Guest& guest : called) guest.again();
      lock.lock();
    } else if (next == Time::max()) {
      changed_.wait(lock);
    } else {
      changed_.wait_until(lock, next);
    }
  }
}

void StreamWaiting::stop() {
  std::multimap<StreamId, Guest> left;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    left.swap(guests_);
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  for (auto& [id, guest] : left) guest.again();
}

}  // namespace qanat::qkm
