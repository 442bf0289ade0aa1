#include "services/iam/settings.hpp"

namespace qanat::iam {

IamSettings IamSettings::read(node::Config& config) {
  IamSettings out;
  node::Config table = config.table("iam");
  constexpr auto lifetime_max_s = static_cast<std::int64_t>(wire::token_lifetime_max_ms / 1000);
  out.token.lifetime = std::chrono::seconds(table.integer("token_lifetime_s", 1, lifetime_max_s, out.token.lifetime.count()));
  constexpr auto weakest = static_cast<std::int64_t>(wire::Assurance::local_rng);
  constexpr auto strongest = static_cast<std::int64_t>(wire::Assurance::disjoint_qkd_paths);
  out.token.level_max = static_cast<wire::Assurance>(table.integer("token_level_max", weakest, strongest, static_cast<std::int64_t>(out.token.level_max)));
  return out;
}

}  // namespace qanat::iam
