// Notices a database that was edited, or put back to an earlier copy, by somebody else than this program. Own design; the argument and what it does not cover
// stand in docs/adr/0025-guarded-store.md.
//
// Each row of a guarded table has a MAC over the table's name and all of its columns (`row_mac`). Over all rows of all guarded tables there is a keyed set hash
// with a count per table: MSet-XOR-Hash of Clarke, Devadas, van Dijk, Gassend and Suh (ASIACRYPT 2003), of elements that never leave the process. It stands,
// sealed, in `guard_state` beside an epoch that grows with each transaction that changes a guarded row, and is brought up to date in that transaction. Which
// epochs the database may be at stands in a file beside it, the anchor (guard_anchor.hpp).
//
// Found at open: a changed column, rows that were exchanged, put in, taken out or put back to what they were, a guard that was taken off, an older copy of the
// file. Found while it runs: a row that was changed underneath, before this program changes it itself; a database that went back in time.
#pragma once

#include <array>
#include <condition_variable>
#include <filesystem>
#include <mutex>

#include "crypto/suite.hpp"
#include "store/store.hpp"

namespace qanat::store {

/// A table that is guarded: it has a column `row_mac BLOB`. Later migrations may add columns that are NULL in the rows that are there; they change no MAC.
struct GuardedTable {
  std::string_view name;
  std::array<std::string_view, 3> key;  // columns of its primary key; all but the first may be ""
};

/// The guard's own tables, for the element's list of migrations.
inline constexpr std::string_view guard_schema = R"sql(
      CREATE TABLE guard_key (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        sealed BLOB NOT NULL   -- under the device
      ) STRICT;
      -- One row per process that writes to the database: what it added and took away. The sum of all is what is there.
      CREATE TABLE guard_state (
        shard TEXT PRIMARY KEY,
        epoch INTEGER NOT NULL,
        sealed BLOB NOT NULL   -- the set hash and the counts
      ) STRICT;)sql";

/// How many epochs an anchor reaches ahead: so many transactions may pass before one of them has to write it.
inline constexpr std::int64_t guard_epochs_ahead = 65536;

struct GuardSettings {
  std::filesystem::path anchor;
  std::string shard = "0";  // this process among those that write to one database
  std::size_t lanes = 1;    // transactions that the database runs side by side for this process; each lane beyond the first has an anchor of its own, "<anchor>.<n>"
  std::span<const GuardedTable> tables;
  const crypto::Suite* suite = nullptr;
  crypto::CryptoDevice* device = nullptr;  // seals the guard's key; the same for all processes of one database
  /// Asked where the database has no guard: may its rows be taken as they are? `denied` where it is known to have had one.
  std::function<Result<void>()> may_adopt;
};

struct GuardKeys;
struct GuardState;
struct TableShape;
class GuardLane;

class GuardedStore final : public Store {
 public:
  /// Checks everything first. `denied`, naming table and row where that is known, if the database is not what this program left.
  static Result<std::unique_ptr<GuardedStore>> open(std::unique_ptr<Store> store, const GuardSettings& settings);
  /// The operator's explicit step after such a refusal: every row is taken as it is now, under a new key and an epoch beyond all that were used. What open() would
  /// have complained of, one text per finding (the first of each table). `before` runs in the same transaction, before the rows are taken, as it would on a store
  /// without a guard: there goes what could be used twice.
  static Result<std::vector<std::string>> accept(Store& store, const GuardSettings& settings, const std::function<Result<void>(Transaction&)>& before = {});
  ~GuardedStore() override;

  [[nodiscard]] bool side_by_side() const noexcept override { return store_->side_by_side(); }
  [[nodiscard]] std::size_t queued() const noexcept override { return store_->queued(); }
  void announce(std::string_view channel) override { store_->announce(channel); }
  std::unique_ptr<Watch> watch(std::string_view channel) override { return store_->watch(channel); }
  Result<std::unique_ptr<Lock>> lock(std::string_view name, Deadline deadline) override { return store_->lock(name, deadline); }
  Result<std::size_t> other_processes() override { return store_->other_processes(); }
  Result<void> copy_to(const std::filesystem::path& file) override { return store_->copy_to(file); }
  [[nodiscard]] Counts counts() const override { return store_->counts(); }
  /// Where the database stands, for the audit record: the epochs of all lanes together.
  [[nodiscard]] std::int64_t epoch() const noexcept;
  /// True if the process before this one did not close() the store: the database may then be as old as its anchor's floor, and what is live in it may have been used.
  [[nodiscard]] bool after_crash() const noexcept;

  /// Moves the anchor up to where the database is now: from here on an older copy is refused. To be called every second or so, and after what must not be undone.
  Result<void> settle() override;
  /// The same without any room: to be called when nothing is written any more.
  Result<void> close();

 protected:
  Result<void> transact_erased(const std::function<Result<void>(Transaction&)>& work) override;
  /// Plain reads are not checked, and a look is nothing else.
  Result<void> look_erased(const std::function<Result<void>(Transaction&)>& work) override { return store_->look(work); }
  Result<void> read_erased(const std::function<Result<void>(Transaction&)>& work) override { return store_->read(work); }

 private:
  class Turn;  // a lane, for one transaction
  GuardedStore(std::unique_ptr<Store> store, const GuardSettings& settings, std::unique_ptr<GuardKeys> keys);
  Result<void> check(const GuardSettings& settings);
  /// Every row has its MAC, and together they are those that were left. The first lane's epoch then.
  Result<std::int64_t> check_rows(Transaction& transaction, const GuardSettings& settings);
  /// One epoch on, with what changed. The epoch.
  Result<std::int64_t> step(Transaction& transaction, GuardLane& lane, const GuardState& change);

  std::unique_ptr<Store> store_;
  std::vector<GuardedTable> tables_;
  std::vector<TableShape> shapes_;
  std::unique_ptr<GuardKeys> keys_;
  crypto::Rng& rng_;
  std::vector<std::unique_ptr<GuardLane>> lanes_;
  std::mutex mutex_;  // guards free_
  std::condition_variable given_back_;
  std::vector<GuardLane*> free_;
};

}  // namespace qanat::store
