#include "services/kms/kma/group_rules.hpp"

#include <algorithm>
#include <iterator>

namespace qanat::kms {
namespace {

using wire::GroupOrder;

std::unexpected<Error> group_denied(const std::string& why) { return fail(ErrorCode::denied, "group: " + why); }

}  // namespace

Result<std::vector<Number>> members_after(const std::vector<Number>& present, const Number& owner, GroupOrder order, const std::vector<Number>& named,
                                          const GroupLimits& limits) {
  if (limits.members == 0) return group_denied("policy allows none at this KMS");
  if (std::ranges::find(named, owner) != named.end()) return group_denied("its owner " + owner.text() + " is always in it");
  std::vector<Number> before = present;
  if (order == GroupOrder::open) before = {owner};
  std::vector<Number> out;
  for (const Number& number : named) {
    if (order == GroupOrder::leave && !std::ranges::binary_search(before, number))
      return fail(ErrorCode::not_found, "group: " + number.text() + " is not a member");
  }
  if (order == GroupOrder::leave) {
    std::ranges::set_difference(before, named, std::back_inserter(out));
  } else {
    std::ranges::set_union(before, named, std::back_inserter(out));
  }
  if (std::ssize(out) > limits.members) return group_denied(std::to_string(out.size()) + " members, policy allows " + std::to_string(limits.members));
  if (out.size() < wire::group_members_min) return group_denied("nobody but its owner would be left");
  return out;
}

Result<void> check_domains(std::size_t domains, const GroupLimits& limits) {
  if (static_cast<std::int64_t>(domains) <= limits.domains) return {};
  return group_denied(std::to_string(domains) + " domains, policy allows " + std::to_string(limits.domains));
}

}  // namespace qanat::kms
