// What a KMS lets an SAE of its domain have: quotas, and the domains that it may share keys with. Members of its identity record; pure.
#pragma once

#include <string>
#include <vector>

#include "wire/json.hpp"

namespace qanat::iam {

inline constexpr std::size_t peer_domains_max = 32;
inline constexpr std::string_view any_domain = "*";
inline constexpr std::int64_t keys_per_second_max = 1'000'000;
inline constexpr std::int64_t keys_per_day_max = 1'000'000'000'000;

struct SaeRules {
  std::int64_t keys_per_second = 0;        // that it may order; 0: no limit
  std::int64_t keys_per_day = 0;           // UTC; 0: no limit
  std::vector<std::string> peer_domains;   // besides its own, sorted; "*" alone: any
  bool operator==(const SaeRules&) const = default;
};

/// The members keys_per_second, keys_per_day and peer_domains of `json`, where they are there, in place of `rules`'s.
Result<SaeRules> read_sae_rules(const wire::Json& json, SaeRules rules);
/// Puts those that say something.
void put_sae_rules(wire::Json& json, const SaeRules& rules);

// As one column.
std::string joined_domains(const std::vector<std::string>& domains);
std::vector<std::string> split_domains(std::string_view text);

}  // namespace qanat::iam
