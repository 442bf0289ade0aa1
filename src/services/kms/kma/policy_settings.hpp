// [kms.policy]: what keys are made under where nobody says otherwise.
#pragma once

#include <array>
#include <set>
#include <string>

#include "node/config.hpp"
#include "services/kms/kma/choice.hpp"
#include "services/kms/kma/group_rules.hpp"
#include "services/kms/kma/key_policy.hpp"
#include "services/kms/kma/rate.hpp"

namespace qanat::kms {

struct PolicySettings {
  std::array<wire::Assurance, all_traffic.size()> level_min{};  // by traffic: what its keys rest on at least
  std::int64_t deliveries_max = 4;                              // of one key to one terminal: the first, and again while its answer may have been lost
  Rate applications;                                            // of one subscriber
  std::int64_t charges_kept_days = 400;
  std::set<Traffic> quantum_on_demand;    // has quantum keys only if it demands them
  std::set<std::string> no_quantum_with;  // domains that no quantum key leads to
  std::set<std::string> no_directory_with;  // domains with which no session is opened by CMSP's directory
  std::int64_t quantum_reserve = 0;       // keys of the stock that are for those who demand them
  std::set<Traffic> ephemeral_required;   // its keys are delivered to ephemeral keys of the application too, or not at all
  GroupLimits groups;

  PolicySettings() { level_min.fill(wire::Assurance::local_rng); }

  [[nodiscard]] KeyTerms terms_for(Traffic traffic) const {
    return {.traffic = traffic, .level_min = level_min.at(static_cast<std::size_t>(traffic)), .deliveries_max = static_cast<std::uint8_t>(deliveries_max)};
  }

  [[nodiscard]] EphemeralKeys ephemeral_keys_of(Traffic traffic) const {
    return ephemeral_required.contains(traffic) ? EphemeralKeys::required : EphemeralKeys::as_the_terminal_can;
  }

  /// `table` is [kms.policy].
  static PolicySettings read(node::Config table);
};

}  // namespace qanat::kms
