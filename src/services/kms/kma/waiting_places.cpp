#include "services/kms/kma/waiting_places.hpp"

namespace qanat::kms {

Result<WaitingPlaces::Place> WaitingPlaces::take(const Uid& uid, Session session) {
  const std::lock_guard lock(mutex_);
  const auto own = of_subscriber_.find(uid);
  if (own != of_subscriber_.end() && own->second >= per_subscriber_max)
    return fail(ErrorCode::exhausted, uid.text() + " waits for " + std::to_string(own->second) + " callers' keys already; apply again");
  const bool kept = session == Session::unannounced && unannounced_ >= places_ - places_ / 2;
  if (taken_ >= places_ || kept) return fail(ErrorCode::exhausted, "too many callees wait for their caller's key; apply again");
  ++of_subscriber_[uid];
  ++taken_;
  if (session == Session::unannounced) ++unannounced_;
  return Result<Place>(std::in_place, *this, uid, session);
}

void WaitingPlaces::give_back(const Uid& uid, Session session) {
  const std::lock_guard lock(mutex_);
  const auto own = of_subscriber_.find(uid);
  if (--own->second == 0) of_subscriber_.erase(own);
  --taken_;
  if (session == Session::unannounced) --unannounced_;
}

}  // namespace qanat::kms
