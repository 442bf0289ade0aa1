#include "services/kms/kma/rate.hpp"

#include <algorithm>

namespace qanat::kms {
namespace {

constexpr std::int64_t application_milli = 1000;
constexpr std::int64_t minute_ms = 60'000;

std::int64_t capacity(const Rate& rate) { return rate.burst * application_milli; }

/// Until an empty bucket is full again, rounded up.
std::int64_t time_to_fill_ms(const Rate& rate) { return rate.burst * minute_ms / rate.per_minute + 1; }

}  // namespace

Bucket full(const Rate& rate, UnixMs now) { return {.level_milli = capacity(rate), .at_ms = now}; }

std::optional<Bucket> draw(Bucket bucket, const Rate& rate, UnixMs now) {
  // Bounded before it is multiplied: after this time the bucket is full whatever it was.
  const std::int64_t passed = now > bucket.at_ms ? static_cast<std::int64_t>(std::min(now - bucket.at_ms, static_cast<UnixMs>(time_to_fill_ms(rate)))) : 0;
  const std::int64_t back = passed * rate.per_minute * application_milli / minute_ms;
  bucket.level_milli = std::min(capacity(rate), bucket.level_milli + back);
  bucket.at_ms = now;  // a refused draw is not stored: its time counts at the next one
  if (bucket.level_milli < application_milli) return std::nullopt;
  bucket.level_milli -= application_milli;
  return bucket;
}

Result<Bucket> drawn(const Uid& uid, const Bucket& bucket, const Rate& rate, UnixMs now) {
  const std::optional<Bucket> left = draw(bucket, rate, now);
  if (left) return *left;
  return fail(ErrorCode::exhausted, uid.text() + " applies more often than " + std::to_string(rate.per_minute) + " times a minute (" + std::to_string(rate.burst) +
                                        " at once); apply again later");
}

Result<void> put_bucket(store::Transaction& transaction, const Uid& uid, const Bucket& bucket) {
  return transaction.change(
      "INSERT INTO application_rate (uid, level_milli, at_ms) VALUES (?, ?, ?) ON CONFLICT (uid) DO UPDATE SET "
      "level_milli = excluded.level_milli, at_ms = excluded.at_ms",
      {std::string_view(uid.text()), bucket.level_milli, store::column(bucket.at_ms)});
}

Result<void> count_application(store::Transaction& transaction, const Uid& uid, const Rate& rate, UnixMs now) {
  Bucket bucket = full(rate, now);
  TRY(transaction.query("SELECT level_milli, at_ms FROM application_rate WHERE uid = ?", {std::string_view(uid.text())},
                        [&](const store::Row& row) { bucket = {.level_milli = row.integer(0), .at_ms = static_cast<UnixMs>(row.integer(1))}; }));
  ASSIGN_OR_RETURN(const Bucket left, drawn(uid, bucket, rate, now));
  return put_bucket(transaction, uid, left);
}

Result<void> forget_full_buckets(store::Transaction& transaction, const Rate& rate, UnixMs now) {
  const std::int64_t empty_until = store::column(now) - time_to_fill_ms(rate);
  TRY(transaction.run("DELETE FROM application_rate WHERE at_ms < ?", {empty_until}));
  return {};
}

}  // namespace qanat::kms
