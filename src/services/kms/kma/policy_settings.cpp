#include "services/kms/kma/policy_settings.hpp"

namespace qanat::kms {
namespace {

constexpr std::int64_t strongest = static_cast<std::int64_t>(wire::Assurance::disjoint_qkd_paths);

std::set<Traffic> read_traffic(node::Config& table, const std::string& key) {
  std::set<Traffic> out;
  for (const std::string& text : table.texts(key)) {
    if (const auto traffic = traffic_from_name(text)) {
      out.insert(*traffic);
    } else {
      table.reject(key, "'" + text + "' is none of voice, message, cloud, gateway, device");
    }
  }
  return out;
}

void read_quantum(node::Config& table, PolicySettings& out) {
  out.quantum_on_demand = read_traffic(table, "quantum_on_demand");
  for (std::string& domain : table.texts("no_quantum_with")) out.no_quantum_with.insert(std::move(domain));
  out.quantum_reserve = table.integer("quantum_reserve", 0, 1'000'000'000, out.quantum_reserve);
}

}  // namespace

PolicySettings PolicySettings::read(node::Config table) {
  PolicySettings out;
  node::Config levels = table.table("level_min");
  for (const Traffic traffic : all_traffic) {
    wire::Assurance& level = out.level_min.at(static_cast<std::size_t>(traffic));
    level = static_cast<wire::Assurance>(levels.integer(name(traffic), 1, strongest, static_cast<std::int64_t>(level)));
  }
  out.deliveries_max = table.integer("deliveries_max", 1, 255, out.deliveries_max);
  out.applications.burst = table.integer("applications_burst", 1, 1'000'000, out.applications.burst);
  out.applications.per_minute = table.integer("applications_per_minute", 1, 1'000'000, out.applications.per_minute);
  out.charges_kept_days = table.integer("charges_kept_days", 1, 36'500, out.charges_kept_days);
  for (std::string& domain : table.texts("no_directory_with")) out.no_directory_with.insert(std::move(domain));
  read_quantum(table, out);
  out.ephemeral_required = read_traffic(table, "ephemeral_required");
  constexpr std::int64_t domains_max = 16;
  out.groups.members = table.integer("group_members_max", 0, static_cast<std::int64_t>(wire::group_members_max), out.groups.members);
  out.groups.domains = table.integer("group_domains_max", 1, domains_max, out.groups.domains);
  return out;
}

}  // namespace qanat::kms
