// Who is in a group after an order: pure functions.
#pragma once

#include <vector>

#include "base/result.hpp"
#include "wire/qfc2_group.hpp"

namespace qanat::kms {

struct GroupLimits {
  std::int64_t members = 16;  // with the owner; 0: there are no groups
  std::int64_t domains = 4;   // with the owner's
};
inline constexpr std::int64_t groups_per_owner_max = 32;
inline constexpr UnixMs group_idle_max_ms = 86'400'000;  // a group that nobody has changed for so long is forgotten

/// The members after the order, ascending, the owner among them; those who are `present` now are ascending (none: the group is opened).
/// denied: too many, or none are allowed; the owner is named; nobody but the owner would be left. not_found: who leaves is not in. Who joins may be in
/// already: that is how an owner has a new key made for all, and how somebody whose KMS was away gets one.
Result<std::vector<Number>> members_after(const std::vector<Number>& present, const Number& owner, wire::GroupOrder order, const std::vector<Number>& named,
                                          const GroupLimits& limits);

/// `denied` if there are more domains than policy allows.
Result<void> check_domains(std::size_t domains, const GroupLimits& limits);

}  // namespace qanat::kms
