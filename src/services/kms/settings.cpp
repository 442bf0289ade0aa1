#include "services/kms/settings.hpp"

#include <algorithm>

#include "node/subscriber.hpp"
#include "points/relay_path.hpp"
#include "services/kms/kp/quantum_pool.hpp"
#include "wire/joint.hpp"

namespace qanat::kms {
namespace {

constexpr double eps_min = 1e-300;

void read_quantum_demand(node::Config& table, KmsSettings& out) {
  out.quantum_bound = table.text("quantum_bound", out.quantum_bound);
  const auto bounds = points::bounds_demanded(out.quantum_bound);
  if (!bounds) table.reject("quantum_bound", bounds.error().message);
  out.quantum_photons = table.text("quantum_photons", out.quantum_photons);
  const auto photons = points::photons_demanded(out.quantum_photons);
  if (!photons) table.reject("quantum_photons", photons.error().message);
  out.quantum_demand = {.bounds = bounds.value_or(points::bounds_all),
                        .photons = photons.value_or(points::photons_all),
                        .eps_max = table.real("quantum_eps_max", eps_min, 1.0, 1.0)};
  out.quantum_relays_max = table.integer("quantum_relays_max", 0, static_cast<std::int64_t>(points::relay_nodes_max) - 2, out.quantum_relays_max);
}

void read_pools(node::Config& table, KmsSettings& out) {
  constexpr std::int64_t day_ms = 86'400'000;
  constexpr std::int64_t days_max = 3650;
  constexpr std::int64_t standby_max = 65536;
  out.pool_key_lifetime = std::chrono::milliseconds(table.integer("pool_key_days", 1, days_max, out.pool_key_lifetime.count() / day_ms) * day_ms);
  const std::string history = table.text("history", "none");
  if (history != "none" && history != "encryption_keys") table.reject("history", "must be none or encryption_keys");
  out.history = history == "encryption_keys" ? HistoryPolicy::encryption_keys : HistoryPolicy::none;
  out.history_keys_kept = std::chrono::days(table.integer("history_keys_days", 1, days_max, out.history_keys_kept.count()));
  out.standby_high = table.integer("standby_high", 0, standby_max, out.standby_high);
  out.standby_low = table.integer("standby_low", 0, standby_max, std::min(out.standby_low, out.standby_high));
  if (out.standby_low > out.standby_high) table.reject("standby_low", "must not be more than standby_high");
  out.quantum_pool_high = table.integer("quantum_pool_high", 0, quantum_lots_max, out.quantum_pool_high);
  out.quantum_pool_low = table.integer("quantum_pool_low", 0, quantum_lots_max, (out.quantum_pool_high + 1) / 2);
  if (out.quantum_pool_low > out.quantum_pool_high) table.reject("quantum_pool_low", "must not be more than quantum_pool_high");
}

/// An application that is fresh must be later than all that was applied for with keys that are archived (Application::check_envelope): by a window on either side.
void read_retention(node::Config& table, KmsSettings& out) {
  constexpr std::int64_t ten_years_s = 3650LL * 86'400;
  out.history_retention = std::chrono::seconds(table.integer("history_retention_s", 1, ten_years_s, out.history_retention.count()));
  if (out.history_retention < 2 * out.clock_window) table.reject("history_retention_s", "must be twice kms.clock_window_ms or more");
}

void read_charged_keys(node::Config& table, KmsSettings& out) {
  const std::string charged = table.text("charged_keys", "required_if_stocked");
  if (charged != "optional" && charged != "required_if_stocked") table.reject("charged_keys", "must be optional or required_if_stocked");
  out.charged_keys = charged == "optional" ? ChargedPolicy::optional : ChargedPolicy::required_if_stocked;
  for (const std::string& text : table.texts("charged_released")) {
    if (auto uid = node::parse_uid(text); uid) {
      out.charged_released.insert(*std::move(uid));
    } else {
      table.reject("charged_released", uid.error().message);
    }
  }
}

std::optional<net::ChainNeed> read_chain(node::Config& table, const char* key) {
  const std::string text = table.text(key, "preferred");
  if (text == "off") return std::nullopt;
  if (text == "required") return net::ChainNeed::required;
  if (text != "preferred") table.reject(key, "must be \"off\", \"preferred\" or \"required\"");
  return net::ChainNeed::preferred;
}

}  // namespace

KmsSettings KmsSettings::read(node::Config& config) {
  KmsSettings out;
  node::Config table = config.table("kms");
  const auto milliseconds = [&](std::string_view key, std::chrono::milliseconds absent, std::int64_t max) {
    return std::chrono::milliseconds(table.integer(key, 1, max, absent.count()));
  };
  out.site_key = table.text("site_key");
  out.wk_lifetime = milliseconds("wk_lifetime_ms", out.wk_lifetime, 3600000);
  out.clock_window = milliseconds("clock_window_ms", out.clock_window, 600000);
  out.callee_wait = milliseconds("callee_wait_ms", out.callee_wait, 30000);
  out.quantum_paths = table.integer("quantum_paths", 1, 4, out.quantum_paths);
  out.quantum_shares = table.integer("quantum_shares", 1, 4, out.quantum_shares);
  read_quantum_demand(table, out);
  read_pools(table, out);
  read_retention(table, out);
  out.pqc_fallback = table.flag("pqc_fallback", out.pqc_fallback);
  out.km2_chain = read_chain(table, "km2_chain");
  out.km3_chain = read_chain(table, "km3_chain");
  out.chain_refresh = milliseconds("chain_refresh_ms", out.chain_refresh, 86400000);
  out.symmetric_mode = table.flag("symmetric_mode", out.symmetric_mode);
  read_charged_keys(table, out);
  out.revocation_lists_every = std::chrono::seconds(table.integer("revocation_lists_every_s", 0, 86400, out.revocation_lists_every.count()));
  out.evidence_every = std::chrono::seconds(table.integer("evidence_every_s", 0, 86400, out.evidence_every.count()));
  out.media_keys = table.text("media_keys", "");
  out.known_terminals = table.integer("known_terminals", 1, 1'000'000, out.known_terminals);
  out.joint_deliveries = table.integer("joint_deliveries", 1, wire::joint_messages_max, out.joint_deliveries);
  out.directory_fallback = table.flag("directory_fallback", out.directory_fallback);
  out.profile_v1 = table.flag("profile_v1", out.profile_v1);
  out.policy = PolicySettings::read(table.table("policy"));
  out.csa = csa::CsaSettings::read(table);
  out.sae = SaeSettings::read(config);
  if (out.sae) out.sae->supply.pqc_fallback = out.pqc_fallback;
  return out;
}

}  // namespace qanat::kms
