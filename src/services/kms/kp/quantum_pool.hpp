// KP's pool of quantum keys, one per peer domain: drawn from the QKM (Km-3 take) before calls need them, held sealed with their ids and quality, handed to one
// working key each. The far KMS fetches them by id from its own QKM, as it does with keys that are drawn on demand.
//
// What keeps both ends in agreement: a key is handed out only as long as the far end's QKM surely keeps it (`fetch_within_ms` of Km-3, less what a call takes until
// it fetches). The QKM counts a drawn key as delivered to this KMS; one that is not used in time is reported back as unused and destroyed at the near end, and
// the far end's copy ends with its time there. After a restart no key of the pool is used: all are reported back, so that none is used twice whatever became of the
// database.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <vector>

#include "base/clock.hpp"
#include "crypto/random.hpp"
#include "services/kms/kma/quantum_shares.hpp"
#include "services/kms/kp/pool_keys.hpp"
#include "store/store.hpp"

namespace qanat::kms {

/// Between taking a key for a call and the far end's fetch: what the key must have left.
inline constexpr UnixMs quantum_fetch_margin_ms = 5'000;
inline constexpr std::int64_t quantum_lots_max = 1024;

class QuantumPool {
 public:
  struct Marks {
    std::int64_t low = 0;   // lots per domain: fewer, and more are drawn
    std::int64_t high = 0;  // until there are so many; 0: no pool
  };
  struct Lot {
    std::int64_t keys = 1;   // what one working key takes
    std::int64_t paths = 1;  // above 1: over so many separate paths, and as many keys
    bool operator==(const Lot&) const = default;
  };
  /// Km-3 take: 1 to `count` keys for the domain (exactly `paths` of them where that is above 1).
  using Draw = std::function<Result<QuantumShares>(const std::string& domain, std::int64_t count, std::int64_t paths, Deadline deadline)>;
  /// Km-3 done, for keys that were not used.
  using GiveBack = std::function<Result<void>(const std::vector<KeyId>& ids, Deadline deadline)>;
  using Record = std::function<Result<void>(std::string_view action, std::string_view object, std::string_view reason)>;
  struct Parts {
    store::Store& store;
    PoolKeys& keys;
    const Clock& clock;
    crypto::Rng& rng;
    std::string owner;  // this process among those of this KMS
    Draw draw;
    GiveBack give_back;
    Record record;
  };
  QuantumPool(Parts parts, Marks marks);

  [[nodiscard]] bool is_on() const noexcept { return marks_.high > 0; }
  /// The keys for one working key: from standby into use, their octets out of the database. `exhausted` if there is no such lot for the domain.
  Result<QuantumShares> take(const std::string& domain, const Lot& lot, const SidWk& sid_wk);
  /// The working key is agreed with them, or is not: into history. Keys that are not of the pool are left alone.
  Result<void> done(const std::vector<wire::ShareRef>& refs, std::string_view fate);

  /// Draws such lots for the domain until it is filled, if it is below the low-water mark. Lots of another kind, from before the policy changed, go back first:
  /// no call takes them any more. By who calls expire() alone.
  Result<void> refill(const std::string& domain, const Lot& lot, Deadline deadline);
  /// Gives back what may no longer be handed out, and forgets the history of more than a day ago. What is in use longer than an agreement can take, so that
  /// nobody will say what became of it any more, goes into history as it is; the QKM ends it by itself.
  Result<void> expire(Deadline deadline);
  /// Into history with all that is in standby or in use: at the start, before the first request, and at the end. The QKM is told by the next expire(), or by
  /// void_all() itself where there is none; it destroys by itself what it is not told of.
  Result<void> void_left_over();
  Result<void> void_all(std::string_view why, Deadline deadline);

  struct Level {
    std::string domain;
    std::int64_t lots = 0;
  };
  /// Lots that can be taken, for domains that have any.
  Result<std::vector<Level>> levels();
  [[nodiscard]] Marks marks() const noexcept { return marks_; }

 private:
  Result<std::int64_t> count(const std::string& domain);
  Result<std::int64_t> put(const std::string& domain, const Lot& lot, const QuantumShares& drawn);
  /// Rows into history, as the libraries' table has it; the ids of their keys.
  Result<std::vector<KeyId>> close(store::Transaction& transaction, std::string_view condition, std::span<const store::Value> values, std::string_view fate);
  Result<std::vector<KeyId>> close_all(std::string_view why);
  Result<void> give_back(const std::vector<KeyId>& ids, std::string_view why, Deadline deadline);

  Parts parts_;
  const Marks marks_;
  // Of who calls expire() alone.
  std::vector<KeyId> untold_;         // left over from before the start
  std::map<std::string, Lot> filled_;  // by domain: the lots that are in standby, where any were drawn since then
};

}  // namespace qanat::kms
