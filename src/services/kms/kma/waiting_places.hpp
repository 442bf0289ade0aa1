// Callees that wait for their caller's key. Waiting takes a worker thread, and what is waited for needs one too: so half of them may wait at most, no
// subscriber holds more than a few of these places, and half of the places are for sessions that CMSP has announced, which nobody can invent.
#pragma once

#include <map>
#include <mutex>
#include <utility>

#include "base/id.hpp"

namespace qanat::kms {

class WaitingPlaces {
 public:
  static constexpr std::size_t per_subscriber_max = 2;
  enum class Session : std::uint8_t { announced, unannounced };

  explicit WaitingPlaces(std::size_t worker_threads) : places_(worker_threads / 2) {}
  WaitingPlaces(const WaitingPlaces&) = delete;
  WaitingPlaces& operator=(const WaitingPlaces&) = delete;

  /// Given back at its end.
  class Place {
   public:
    Place(WaitingPlaces& of, Uid uid, Session session) : of_(&of), uid_(std::move(uid)), session_(session) {}
    Place(Place&& other) noexcept : of_(std::exchange(other.of_, nullptr)), uid_(std::move(other.uid_)), session_(other.session_) {}
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    Place& operator=(Place&&) = delete;
    ~Place() {
      if (of_ != nullptr) of_->give_back(uid_, session_);
    }

   private:
    WaitingPlaces* of_;
    Uid uid_;
    Session session_;
  };
  /// `exhausted` if there is none for this subscriber, or for such a session.
  Result<Place> take(const Uid& uid, Session session);

 private:
  void give_back(const Uid& uid, Session session);

  const std::size_t places_;
  std::mutex mutex_;  // guards everything below
  std::map<Uid, std::size_t> of_subscriber_;
  std::size_t taken_ = 0;
  std::size_t unannounced_ = 0;  // of these
};

}  // namespace qanat::kms
