// How often a subscriber may apply: a token bucket in the database, so that a restart does not fill it. It guards the quantum stock.
#pragma once

#include "base/clock.hpp"
#include "base/id.hpp"
#include "store/store.hpp"

namespace qanat::kms {

struct Rate {
  std::int64_t burst = 300;       // applications that may follow each other at once
  std::int64_t per_minute = 300;  // what comes back
};

/// In thousandths of an application.
struct Bucket {
  std::int64_t level_milli = 0;
  UnixMs at_ms = 0;

  bool operator==(const Bucket&) const = default;
};

/// A bucket that nobody has drawn on.
Bucket full(const Rate& rate, UnixMs now);
/// One application less, or nothing if there is none in the bucket. A clock that was set back gives nothing for the time that seems not to have passed; one
/// that was set forward fills the bucket once, up to the burst.
std::optional<Bucket> draw(Bucket bucket, const Rate& rate, UnixMs now);

/// draw(); `exhausted` if there is none.
Result<Bucket> drawn(const Uid& uid, const Bucket& bucket, const Rate& rate, UnixMs now);
Result<void> put_bucket(store::Transaction& transaction, const Uid& uid, const Bucket& bucket);
/// `exhausted` if the subscriber has applied too often. Part of the caller's transaction: what fails after it costs nothing.
Result<void> count_application(store::Transaction& transaction, const Uid& uid, const Rate& rate, UnixMs now);
/// Full buckets need no row.
Result<void> forget_full_buckets(store::Transaction& transaction, const Rate& rate, UnixMs now);

}  // namespace qanat::kms
