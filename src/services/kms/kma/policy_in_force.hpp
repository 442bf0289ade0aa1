// The terms under which this KMS makes keys: its configuration, under the policy that CSO gave (Mo-2). A request takes them once per step and keeps them.
#pragma once

#include <memory>
#include <mutex>
#include <optional>

#include "base/clock.hpp"
#include "points/kms_policy.hpp"
#include "services/kms/settings.hpp"
#include "store/store.hpp"

namespace qanat::kms {

struct Terms {
  std::int64_t version = 0;  // of the policy; 0: as configured
  std::chrono::milliseconds wk_lifetime{};
  std::int64_t quantum_paths = 1;
  std::int64_t quantum_shares = 1;
  std::int64_t quantum_reserve = 0;
  bool pqc_fallback = true;
  bool directory_fallback = false;
  HistoryPolicy history = HistoryPolicy::none;
  std::optional<std::int64_t> pool_low = {};  // both or neither
  std::optional<std::int64_t> pool_high = {};
};

/// A policy sets amounts, and may forbid the fallbacks, to PQC alone and to CMSP's directory, and private keys in history; it cannot allow what the configuration
/// forbids.
Terms terms_under(const KmsSettings& settings, const std::optional<points::KmsPolicy>& policy);

class PolicyInForce {
 public:
  explicit PolicyInForce(const KmsSettings& settings) : settings_(settings), terms_(std::make_shared<const Terms>(terms_under(settings, {}))) {}

  [[nodiscard]] std::shared_ptr<const Terms> terms() const;
  /// Takes up what an earlier run was given, if it is for this epoch.
  Result<void> take_up(store::Store& store, std::uint32_t epoch);
  /// The version of the last policy that was taken, for whatever epoch; 0: none was.
  Result<std::int64_t> last_version(store::Store& store);

  /// overtaken: later than what CSO was asked with, but another front end on this database has taken a later one still.
  enum class News : std::uint8_t { later, same, overtaken };
  /// `denied`: for another epoch, earlier than what was taken before, or of its version and with other words. `asked`: the version that CSO was told is
  /// here. Changes nothing.
  Result<News> judge(store::Store& store, const points::KmsPolicy& policy, std::uint32_t epoch, std::int64_t asked);
  /// The same; durable, and then in force, unless it was overtaken.
  Result<News> put_in_force(store::Store& store, const points::KmsPolicy& policy, std::uint32_t epoch, std::int64_t asked, UnixMs now);

 private:
  void set(const points::KmsPolicy& policy);

  const KmsSettings& settings_;
  mutable std::mutex mutex_;
  std::shared_ptr<const Terms> terms_;  // under mutex_
};

}  // namespace qanat::kms
