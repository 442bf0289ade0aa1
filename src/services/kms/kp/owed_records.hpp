// Records that are owed for what a transaction did: they stand in the database from that transaction on, and go when they are in the audit record. So what was
// done and must not be done twice (a revocation, which the CAS tells once) is on record also where the process was killed in between, at the latest at the next
// start.
#pragma once

#include <mutex>
#include <vector>

#include "node/node.hpp"
#include "services/kms/kma/ledger.hpp"
#include "store/store.hpp"

namespace qanat::kms {

struct OwedRecord {
  std::string action;
  std::string subject;
  std::string object;
  std::string reason;
  audit::Outcome outcome = audit::Outcome::success;
};
/// What goes on record for it, whoever makes it. Refers to `record`.
audit::Event event_of(const OwedRecord& record, std::string_view request_id);
struct OwedTag;
using OwedId = Id<OwedTag, 16>;  // of what one transaction owes; drawn

/// That a working key has ended.
OwedRecord end_of(const Destroyed& gone, std::string_view action, std::string_view why);
/// As Destroyed::reason(), of keys of other kinds.
std::string reason_with(std::string_view why, const Bytes& commitment);

/// Part of the transaction that does what is to be recorded.
Result<void> owe_records(store::Transaction& transaction, const OwedId& id, std::span<const OwedRecord> records, UnixMs now);
/// Makes them, in their order, each once or, where the process is killed here, twice. By who owes them.
Result<void> pay_records(node::Node& node, store::Store& store, const OwedId& id, const std::string& request_id = "");
/// The same by whoever comes after a process that was killed. `left_over`: those of a minute ago or more, which nobody else is at. `all`: for a process that
/// has the database to itself and serves nobody yet.
enum class Owed : std::uint8_t { all, left_over };
inline constexpr UnixMs owed_left_over_after_ms = 60'000;
Result<void> pay_records(node::Node& node, store::Store& store, Owed which);

/// Ends each of `due` by itself, with the record of it: a row that somebody changed underneath (store/guard.hpp) holds up no other's end.
/// `end(transaction, key) -> Result<OwedRecord>`; its error `faster`: another front end was. How many were ended, or, once all were tried, the first error.
template <class Key, class End>
Result<std::int64_t> end_each(node::Node& node, store::Store& store, const std::vector<Key>& due, ErrorCode faster, UnixMs now, End end) {
  std::int64_t ended = 0;
  Result<void> failed;
  for (const Key& key : due) {
    const auto owed_id = node.rng().id<OwedId>();
    auto done = store.transact([&](store::Transaction& transaction) -> Result<void> {
      ASSIGN_OR_RETURN(const OwedRecord record, end(transaction, key));
      return owe_records(transaction, owed_id, {&record, 1}, now);
    });
    if (!done && done.error().code == faster) continue;
    if (done) done = pay_records(node, store, owed_id);
    if (done) ++ended;
    if (!done && failed) failed = std::move(done);
  }
  TRY(failed);
  return ended;
}

/// For what comes too often for a transaction of its own to take out what is paid: whoever owes makes the records at once, and they go out of the database with many
/// others. Those that are still there at a kill are made a second time.
class PaidRecords {
 public:
  /// They are on record. Of more than `most` that wait, the oldest are left to Owed::left_over.
  void add(const OwedId& id);
  Result<void> forget(store::Store& store);

 private:
  static constexpr std::size_t most = 100'000;
  std::mutex mutex_;  // guards paid_
  std::vector<OwedId> paid_;
};

}  // namespace qanat::kms
