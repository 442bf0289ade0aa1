#include "services/kms/sae/day_quotas.hpp"

#include "services/kms/kma/incarnation.hpp"

namespace qanat::kms {
namespace {

constexpr UnixMs quota_day_ms = 86400000;

std::int64_t day_of(UnixMs now) { return static_cast<std::int64_t>(now / quota_day_ms); }

}  // namespace

Result<void> charge_day(store::Transaction& transaction, const kme::Sae& sae, std::uint32_t keys, UnixMs now) {
  if (sae.keys_per_day == 0) return {};
  ASSIGN_OR_RETURN(const bool put_back, was_put_back(transaction, now - now % quota_day_ms));
  if (put_back) return fail(ErrorCode::exhausted, "SAE " + sae.id.text() + ": the database was put back today, and with it what was ordered: nothing more until the day (UTC) is over");
  std::int64_t spent = 0;
  TRY(transaction.query("SELECT keys FROM sae_spent WHERE sae = ? AND day = ?", {std::string_view(sae.id.text()), day_of(now)},
                        [&](const store::Row& row) { spent = row.integer(0); }));
  if (static_cast<std::uint64_t>(spent) + keys > sae.keys_per_day)
    return fail(ErrorCode::exhausted, "SAE " + sae.id.text() + " may order " + std::to_string(sae.keys_per_day) + " keys a day");
  ASSIGN_OR_RETURN(const std::int64_t there, transaction.run("UPDATE sae_spent SET day = ?, keys = ? WHERE sae = ?", {day_of(now), spent + keys, std::string_view(sae.id.text())}));
  if (there == 0) TRY(transaction.run("INSERT INTO sae_spent (sae, day, keys) VALUES (?, ?, ?)", {std::string_view(sae.id.text()), day_of(now), spent + keys}));
  return {};
}

Result<void> forget_days(store::Transaction& transaction, UnixMs now) {
  TRY(transaction.run("DELETE FROM sae_spent WHERE sae IN (SELECT sae FROM sae_spent WHERE day < ? LIMIT 256)", {day_of(now)}));
  return {};
}

}  // namespace qanat::kms
