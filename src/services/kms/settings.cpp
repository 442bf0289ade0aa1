#include "services/kms/settings.hpp"

namespace qanat::kms {

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
  out.pqc_fallback = table.flag("pqc_fallback", out.pqc_fallback);
  out.profile_v1 = table.flag("profile_v1", out.profile_v1);
  return out;
}

}  // namespace qanat::kms
