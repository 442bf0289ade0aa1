// Charging records that nothing changes any more: a day after the delivery they leave the guarded table, which is looked through at each start, for an archive,
// which is not, since it grows with the years. What the archive holds is said by one guarded row for each day: how many records, and a digest over all of them
// in their order (a hash chain: it grows by a record without the others being read). Own design; the argument stands in docs/adr/0025-guarded-store.md.
#pragma once

#include <algorithm>
#include <set>

#include "services/kms/kma/charging_records.hpp"
#include "services/kms/kp/owed_records.hpp"

namespace qanat::kms {

inline constexpr UnixMs charge_archived_after_ms = 86'400'000;  // far longer than a terminal may confirm
inline constexpr std::int64_t charges_archived_at_once = 1'000;  // in one transaction
inline constexpr int charges_batches = 8;                        // one after the other, for one look

/// Moves the oldest of those that were delivered before, at most charges_archived_at_once. How many.
Result<std::int64_t> archive_charging_records(store::Transaction& transaction, UnixMs delivered_before);
/// Of the records that would be moved next, those that do not let themselves be moved, since somebody changed their rows underneath (store/guard.hpp), are set
/// apart: what stands in them is copied into charging_altered, and from then on they are no charges any more: not listed, not moved, not forgotten. That is
/// owed to the record under `owed`, as if for long. How many.
Result<std::int64_t> set_altered_charges_apart(store::Transaction& transaction, UnixMs delivered_before, const OwedId& owed);
/// Moves in so many transactions as it takes, at most charges_batches, and sets apart what cannot be moved: to be called every second or so. How many were
/// moved.
Result<std::int64_t> archive_charges(store::Store& store, crypto::Rng& rng, UnixMs delivered_before);
/// For the health answer: how many are set apart.
void describe_charges(store::Store& store, wire::Json& body);
/// As list_charging_records(), which has those of the archive too.
Result<std::vector<ChargingRecord>> list_archived_charges(store::Transaction& transaction, const ChargingPlace& after, UnixMs until);
/// Whole days alone, and charges_forgotten_at_once at a time.
Result<void> forget_archived_charges(store::Transaction& transaction, UnixMs delivered_before);

/// Goes through the archive, so many records at a time, and again an hour after it has come to the end. Where it is stands in the database (a guarded row): the
/// next process goes on there, and several look at different parts. Used by one thread.
class ArchiveCheck {
 public:
  static constexpr std::int64_t records_at_least = 500;
  /// How many records to look at while so many come into the archive: twice as many, so that a pass is over before the archive has doubled.
  static constexpr std::int64_t pace(std::int64_t archived) { return std::max(records_at_least, 2 * archived); }

  /// What is wrong with a day, once for each day and process; nothing as long as nothing is in the next `records`.
  Result<std::optional<std::string>> step(store::Store& store, UnixMs now, std::int64_t records = records_at_least);

 private:
  struct Seen;
  static Result<Seen> look(store::Transaction& transaction, std::int64_t most);

  UnixMs again_ms_ = 0;
  std::set<std::int64_t> told_;
};

}  // namespace qanat::kms
