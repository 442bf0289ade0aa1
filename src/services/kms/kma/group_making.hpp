// Private to groups.cpp and group_epoch.cpp: one epoch while it is made, at the owner's KMS.
#pragma once

#include "services/kms/kma/groups.hpp"

namespace qanat::kms {

struct Groups::Making {
  const net::Request& http;
  const Request& request;
  const Terminal& owner;
  Traffic traffic{};
  LevelTowards level_towards;
  Plan plan;
  wire::GroupEpoch which;

  std::vector<Terminal> here = {};                            // members of this domain
  std::map<ElementName, std::vector<Number>> elsewhere = {};  // and of others, by the KMS that serves them
  std::vector<Agreement::Agreed> carriers = {};               // one for each of these KMSs, in their order
  std::map<Number, std::string> left_out = {};                // and why

  /// Whoever is in already holds up nobody; an order whose own members cannot be had is refused.
  Result<void> leave_out(const std::vector<Number>& numbers, const Error& why);
};

}  // namespace qanat::kms
