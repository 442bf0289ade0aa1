// Charging records that nothing changes any more: a day after the delivery they leave the guarded table, which is looked through at each start, for an archive,
// which is not, since it grows with the years. What the archive holds is said by one guarded row for each day: how many records, and a digest over all of them
// in their order (a hash chain: it grows by a record without the others being read). Own design; the argument stands in docs/adr/0025-guarded-store.md.
#pragma once

#include <set>

#include "services/kms/kma/charging_records.hpp"

namespace qanat::kms {

inline constexpr UnixMs charge_archived_after_ms = 86'400'000;  // far longer than a terminal may confirm
inline constexpr std::int64_t charges_archived_at_once = 2'000;

/// Moves the oldest of those that were delivered before, at most charges_archived_at_once: to be called every second or so.
Result<void> archive_charging_records(store::Transaction& transaction, UnixMs delivered_before);
/// As list_charging_records(), which has those of the archive too.
Result<std::vector<ChargingRecord>> list_archived_charges(store::Transaction& transaction, const ChargingPlace& after, UnixMs until);
/// Whole days alone, and charges_forgotten_at_once at a time.
Result<void> forget_archived_charges(store::Transaction& transaction, UnixMs delivered_before);

/// Goes through the archive, so many records at a time, and again an hour after it has come to the end. Used by one thread.
class ArchiveCheck {
 public:
  /// What is wrong with a day, once for each day and process; nothing as long as nothing is.
  Result<std::optional<std::string>> step(store::Store& store, UnixMs now);

 private:
  struct Seen;
  Result<Seen> look(store::Transaction& transaction) const;

  std::int64_t day_ = -1;   // that was checked last, or is being checked
  std::int64_t place_ = 0;  // how many of its records were
  Bytes digest_;            // over them; empty: the next day is to be begun
  UnixMs again_ms_ = 0;
  std::set<std::int64_t> told_;
};

}  // namespace qanat::kms
