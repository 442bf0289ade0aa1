#include "quantum/qkdnc/leadership.hpp"

#include <algorithm>

namespace qanat::qkdnc {

Leadership::Leadership(Setting setting, std::uint64_t term, UnixMs now) : setting_(std::move(setting)), term_(term), leader_heard_ms_(now) {}

void Leadership::tick(UnixMs now) {
  if (leads_) return;
  // The one that sorts last waits longer: when both start together they do not both take over.
  const UnixMs patience = !setting_.other ? 0 : setting_.self < *setting_.other ? setting_.silence_ms : 2 * setting_.silence_ms;
  if (now < leader_heard_ms_ + patience) return;
  ++term_;
  leads_ = true;
}

void Leadership::heard(const Claim& other, UnixMs now) {
  if (!setting_.other || other.name != *setting_.other) return;
  if (other.leads) {
    const bool gives_way = leads_ && (other.term > term_ || (other.term == term_ && other.name < setting_.self));
    if (gives_way) leads_ = false;
    if (!leads_) leader_heard_ms_ = now;
  }
  if (!leads_) term_ = std::max(term_, other.term);
}

}  // namespace qanat::qkdnc
