#include "services/kms/kma/key_policy.hpp"

namespace qanat::kms {

Verdict may(const KeyPolicy& policy, const KeyUse& use, const KeyCondition& condition) {
  if (use.by != policy.holder) return Verdict::another_holder;
  if (use.traffic != policy.terms.traffic) return Verdict::another_use;
  if (use.now_ms >= policy.not_after_ms) return Verdict::past_its_time;
  if (condition.deliveries >= policy.terms.deliveries_max) return Verdict::used_up;
  if (condition.rests_on < policy.terms.level_min) return Verdict::rests_on_too_little;
  return Verdict::allowed;
}

Bytes canonical(const KeyPolicy& policy) {
  constexpr std::uint8_t version = 1;
  Bytes out{version, static_cast<std::uint8_t>(policy.terms.traffic), static_cast<std::uint8_t>(policy.terms.level_min), policy.terms.deliveries_max};
  for (int shift = 56; shift >= 0; shift -= 8) out.push_back(static_cast<std::uint8_t>(policy.not_after_ms >> shift));
  return concat({out, policy.holder.view()});
}

}  // namespace qanat::kms
