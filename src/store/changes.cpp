#include "store/changes.hpp"

#include <algorithm>

#include "base/check.hpp"

namespace qanat::store {
namespace {

constexpr std::size_t channel_octets_max = 200;

}  // namespace

bool Changes::is_channel(std::string_view text) {
  return !text.empty() && text.size() <= channel_octets_max &&
         std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f' && c != '\'' && c != '\\'; });
}

class Changes::Watcher final : public Watch {
 public:
  Watcher(Changes& changes, std::string_view channel, std::optional<std::chrono::milliseconds> look_every) : changes_(changes), look_every_(look_every) {
    const std::lock_guard lock(changes_.mutex_);
    at_ = changes_.watchers_.emplace(std::string(channel), this);
  }
  ~Watcher() override {
    const std::lock_guard lock(changes_.mutex_);
    changes_.watchers_.erase(at_);
  }
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  bool wait(Deadline deadline) override {
    const Deadline until = look_every_ ? deadline.sooner_of(*look_every_) : deadline;
    std::unique_lock lock(changes_.mutex_);
    const bool announced = changed_.wait_until(lock, until.at(), [&] { return announced_; });
    announced_ = false;
    return announced || !deadline.passed();
  }
  void tell() {
    announced_ = true;
    changed_.notify_all();
  }

 private:
  Changes& changes_;
  const std::optional<std::chrono::milliseconds> look_every_;
  std::multimap<std::string, Watcher*, std::less<>>::iterator at_;
  std::condition_variable changed_;
  bool announced_ = false;  // under changes_.mutex_
};

void Changes::announce(std::string_view channel) {
  const std::lock_guard lock(mutex_);
  const auto [first, last] = watchers_.equal_range(channel);
  for (auto at = first; at != last; ++at) at->second->tell();
}

void Changes::announce_all() {
  const std::lock_guard lock(mutex_);
  for (const auto& [channel, watcher] : watchers_) watcher->tell();
}

std::unique_ptr<Watch> Changes::watch(std::string_view channel, std::optional<std::chrono::milliseconds> look_every) {
  CHECK(is_channel(channel));
  return std::make_unique<Watcher>(*this, channel, look_every);
}

}  // namespace qanat::store
