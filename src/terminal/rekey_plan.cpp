#include "terminal/rekey_plan.hpp"

#include <algorithm>

namespace qanat::terminal {

void RekeyPlan::in_force(Time now) {
  since_ = not_before_ = now;
  retry_ = rekey_retry;
  no_begin_before_ = std::min(no_begin_before_, now + rekey_begins_every);
  begin_pause_ = rekey_begins_every;
  last_failure_.clear();
}

void RekeyPlan::failed(Time now, std::string why) {
  not_before_ = now + retry_;
  retry_ = std::min(2 * retry_, rekey_retry_longest);
  last_failure_ = std::move(why);
}

void RekeyPlan::followed(Time now) {
  no_begin_before_ = now + begin_pause_;
  begin_pause_ = std::min(2 * begin_pause_, rekey_begins_longest);
}

void RekeyPlan::wish_followed() {
  const std::chrono::milliseconds longest = rules_.after.count() > 0 ? rules_.after / rekey_asked_part : rekey_asked_longest;
  asked_min_ = std::max(rules_.asked_min, std::min(2 * asked_min_, longest));
}

bool RekeyPlan::due(Time now, std::uint64_t packets) const {
  const bool by_time = rules_.after.count() > 0 && now >= since_ + rules_.after;
  const bool by_packets = rules_.after_packets > 0 && packets >= rules_.after_packets;
  return (by_time || by_packets) && now >= not_before_;
}

std::optional<std::string> RekeyPlan::spent(Time now, std::uint64_t packets, std::string_view under_way) const {
  const bool by_time = rules_.limit.count() > 0 && now >= since_ + rules_.limit;
  const bool by_packets = rules_.after_packets > 0 && packets >= rekey_limit_of_packets * rules_.after_packets;
  if (!by_time && !by_packets) return std::nullopt;
  std::string why = under_way.empty() ? last_failure_ : std::string(under_way);
  if (why.empty()) why = "the other end began none";
  return "the call's key has been in use for " +
         (by_time ? std::to_string(rules_.limit.count()) + " ms" : std::to_string(rekey_limit_of_packets * rules_.after_packets) + " packets") +
         ", as long as it may, and no other took its place: " + why;
}

}  // namespace qanat::terminal
