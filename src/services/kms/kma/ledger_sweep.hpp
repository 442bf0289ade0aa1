// Ends the working keys whose time is over: so many in each transaction, and all of them each time. A row that was changed underneath, which the guard does not
// let be changed again (store/guard.hpp), is passed over, on record, and keeps no other key alive.
#pragma once

#include <set>
#include <span>
#include <string>
#include <utility>

#include "node/node.hpp"
#include "services/kms/kma/ledger.hpp"
#include "services/kms/kp/owed_records.hpp"

namespace qanat::kms {

inline constexpr std::int64_t legs_swept_at_once = 1'000;

class LedgerSweep {
 public:
  LedgerSweep(node::Node& node, store::Store& store, Ledger& ledger, std::int64_t at_once = legs_swept_at_once)
      : node_(node), store_(store), ledger_(ledger), at_once_(at_once) {}

  /// What was destroyed is on record when it returns, or owed to it (kp/owed_records.hpp), and what could not be: once for each row and process. Used by one
  /// thread.
  Result<void> run(Ledger::Sweep which, UnixMs now);
  /// kp.database.altered, once for each thing that was found and process. Of the same thread.
  Result<void> tell(const Error& found, std::string_view of = "");

 private:
  /// In one transaction, whether it owes records. Those that due() found are in `legs` afterwards, also where it failed.
  Result<bool> page(const OwedId& owed_id, Ledger::Sweep which, UnixMs now, const Ledger::Due& after, std::vector<Ledger::Due>& legs);
  /// Each in a transaction of its own.
  Result<void> one_by_one(Ledger::Sweep which, UnixMs now, std::span<const Ledger::Due> legs);
  Result<void> pass_over(const Ledger::Due& leg, const Error& why);
  /// Destroys them, and owes the record of it, in this transaction; whether anything is owed.
  Result<bool> sweep(store::Transaction& transaction, const OwedId& owed_id, Ledger::Sweep which, UnixMs now, std::span<const Ledger::Due> legs);

  node::Node& node_;
  store::Store& store_;
  Ledger& ledger_;
  const std::int64_t at_once_;  // in one transaction
  std::set<std::pair<SidWk, wire::Role>> altered_;
  std::set<std::string> told_;
};

}  // namespace qanat::kms
