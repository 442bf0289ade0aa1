#include "services/kms/forgetting.hpp"

#include <algorithm>
#include <array>
#include <functional>

#include "services/kms/kim/charges.hpp"
#include "services/kms/kma/charging_records.hpp"
#include "services/kms/kma/group_rows.hpp"
#include "services/kms/kma/group_rules.hpp"
#include "services/kms/kma/pending.hpp"
#include "services/kms/kma/rate.hpp"
#include "services/kms/kma/replay.hpp"
#include "services/kms/kp/terminals.hpp"

namespace qanat::kms {
namespace {

constexpr UnixMs charges_day_ms = 86'400'000;

}  // namespace

Result<void> forget_what_is_over(store::Store& store, const PolicySettings& policy, UnixMs now) {
  const auto ago = [now](UnixMs time) { return now - std::min(now, time); };
  const std::array<std::function<Result<void>(store::Transaction&)>, 8> each{
      [&](store::Transaction& transaction) { return forget_applications(transaction, now); },
      [&](store::Transaction& transaction) { return forget_full_buckets(transaction, policy.applications, now); },
      [&](store::Transaction& transaction) {
        return forget_charging_records(transaction, ago(static_cast<UnixMs>(policy.charges_kept_days) * charges_day_ms));
      },
      [&](store::Transaction& transaction) { return forget_old_prepared(transaction, now); },
      [&](store::Transaction& transaction) { return drop_expired_pending(transaction, now); },
      [&](store::Transaction& transaction) { return forget_idle_groups(transaction, ago(group_idle_max_ms)); },
      [&](store::Transaction& transaction) { return sweep_charges(transaction, now); },
      [&](store::Transaction& transaction) { return transaction.change("DELETE FROM announced_session WHERE expires_ms < ?", {store::column(now)}); }};
  Result<void> out;
  for (const auto& forget : each) {
    auto done = store.transact(forget);
    if (out && !done) out = std::move(done);
  }
  return out;
}

}  // namespace qanat::kms
