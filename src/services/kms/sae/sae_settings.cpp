#include "services/kms/sae/sae_settings.hpp"

#include <algorithm>

#include "wire/qfc2_supply.hpp"

namespace qanat::kms {
namespace {

constexpr std::int64_t a_day_ms = 86400000;

std::vector<SaeStandard> read_served(node::Config& table) {
  std::vector<SaeStandard> out;
  for (const std::string& name : table.texts("serve")) {
    if (name == "etsi014") {
      out.push_back(SaeStandard::etsi014);
    } else if (name == "skip") {
      out.push_back(SaeStandard::skip);
    } else {
      table.reject("serve", "'" + name + "' is none of etsi014, skip");
    }
  }
  if (out.empty()) table.reject("serve", "at least one of etsi014, skip is needed");
  return out;
}

}  // namespace

std::optional<SaeSettings> SaeSettings::read(node::Config& config) {
  const std::vector<std::string> tables = config.table_names();
  if (std::ranges::find(tables, "sae") == tables.end()) return std::nullopt;
  node::Config table = config.table("sae");
  const auto milliseconds = [&](std::string_view key, std::int64_t min, std::int64_t max, std::chrono::milliseconds absent) {
    return std::chrono::milliseconds(table.integer(key, min, max, absent.count()));
  };
  SaeSettings out;
  out.listener = kme::read_listener(table);
  out.served = read_served(table);
  out.lifetime = milliseconds("key_lifetime_ms", 1000, 30 * a_day_ms, out.lifetime);
  out.max_key_count = table.integer("max_key_count", 1, 1000000000, out.max_key_count);
  out.iam_refresh = milliseconds("iam_refresh_ms", 100, a_day_ms, out.iam_refresh);
  out.iam_lifetime = milliseconds("iam_lifetime_ms", 1000, a_day_ms, out.iam_lifetime);
  if (out.iam_lifetime < out.iam_refresh) table.reject("iam_lifetime_ms", "must not be less than iam_refresh_ms");
  out.supply.low = table.integer("stock_low", 0, 10000000, out.supply.low);
  out.supply.high = table.integer("stock_high", 1, 10000000, out.supply.high);
  if (out.supply.high < out.supply.low) table.reject("stock_high", "must not be less than stock_low");
  out.supply.peer_max = table.integer("stock_peer_max", wire::supply_batch_keys, 100000000, out.supply.peer_max);
  out.supply.lifetime = milliseconds("stock_lifetime_ms", 10000, 30 * a_day_ms, out.supply.lifetime);
  return out;
}

}  // namespace qanat::kms
