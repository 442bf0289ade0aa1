// A bounded number of sessions with a device, each used by one thread at a time. A session in which a call failed is closed and never used again. Private to
// crypto.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "crypto/device.hpp"

namespace qanat::crypto {

template <class Session>
class SessionPool {
 public:
  using Open = std::function<Result<std::unique_ptr<Session>>()>;
  /// Whether a failure may mean no more than that the session was lost: worth one new session.
  using MayBeLost = std::function<bool(const Error&)>;

  SessionPool(PoolSettings settings, Open open, MayBeLost may_be_lost) : settings_(settings), open_(std::move(open)), may_be_lost_(std::move(may_be_lost)) {}

  /// Calls `use(Session&)`, which gives a Result, in a session that nobody else uses; where that fails in a session that was used before and may have been
  /// lost, once more in a new one. `exhausted` if none becomes free in time.
  template <class Use>
  auto with(const Use& use) -> decltype(use(std::declval<Session&>())) {
    auto place = take_place();
    if (!place) return fail(place.error());
    if (std::unique_ptr<Session> session = take_idle()) {
      auto done = use(*session);
      if (done) give_back(std::move(session));
      if (done || !may_be_lost_(done.error())) return done;
      // What happened to one has likely happened to all that were opened before.
      session.reset();
      close_idle();
    }
    auto opened = open_();
    if (!opened) return fail(opened.error());
    auto done = use(**opened);
    if (done) give_back(*std::move(opened));
    return done;
  }

  [[nodiscard]] std::size_t idle() const {
    const std::scoped_lock lock(mutex_);
    return idle_.size();
  }

 private:
  /// The right to have one of the sessions.
  class Place {
   public:
    explicit Place(SessionPool& pool) : pool_(&pool) {}
    Place(Place&& other) noexcept : pool_(std::exchange(other.pool_, nullptr)) {}
    Place& operator=(Place&&) = delete;
    ~Place() {
      if (pool_ == nullptr) return;
      {
        const std::scoped_lock lock(pool_->mutex_);
        --pool_->used_;
      }
      pool_->freed_.notify_one();
    }

   private:
    SessionPool* pool_;
  };

  Result<Place> take_place() {
    std::unique_lock lock(mutex_);
    if (!freed_.wait_for(lock, settings_.wait_max, [this] { return used_ < settings_.sessions_max; })) {
      return fail(ErrorCode::exhausted, "device: all of its " + std::to_string(settings_.sessions_max) + " sessions were in use for " +
                                            std::to_string(settings_.wait_max.count()) + " ms");
    }
    ++used_;
    return Result<Place>(Place(*this));
  }

  std::unique_ptr<Session> take_idle() {
    const std::scoped_lock lock(mutex_);
    if (idle_.empty()) return nullptr;
    std::unique_ptr<Session> out = std::move(idle_.back());
    idle_.pop_back();
    return out;
  }

  void give_back(std::unique_ptr<Session> session) {
    const std::scoped_lock lock(mutex_);
    idle_.push_back(std::move(session));
  }

  void close_idle() {
    std::vector<std::unique_ptr<Session>> closed;  // outside of the lock: a maker's library may take its time
    const std::scoped_lock lock(mutex_);
    closed.swap(idle_);
  }

  const PoolSettings settings_;
  const Open open_;
  const MayBeLost may_be_lost_;
  mutable std::mutex mutex_;
  std::condition_variable freed_;
  std::size_t used_ = 0;
  std::vector<std::unique_ptr<Session>> idle_;
};

}  // namespace qanat::crypto
