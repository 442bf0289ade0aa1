// The MACs and the set hash of guarded rows (guard.hpp). Private to store.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "crypto/suite.hpp"
#include "store/guard.hpp"
#include "store/guard_statement.hpp"

namespace qanat::store {

/// What is derived from the guard's key: one key per use.
struct GuardKeys {
  GuardKeys(const crypto::Suite& suite, const Secret& key);
  const crypto::Suite& suite;
  Secret row;      // MACs of rows
  Secret element;  // elements of the set hash
  Secret state;    // seals the state, one key per shard and epoch out of it
  Secret anchor;
};

/// Set hash and count of one table's rows, or of what one transaction changed in it. Counts and hashes of processes and transactions add up.
struct TableSum {
  std::int64_t rows = 0;
  Bytes hash;  // suite.digest octets; the exclusive or of the rows' elements
};
struct GuardState {
  std::map<std::string, TableSum, std::less<>> tables;
  /// Adds what is in the other.
  void add(const GuardState& other);
  bool operator==(const GuardState& other) const;
};

/// A row as its MAC covers it: table ‖ every column that is not NULL, by name; not row_mac.
using Stored = std::variant<std::int64_t, std::string, Bytes>;
struct GuardedColumn {
  std::string name;
  Stored value;
  bool operator==(const GuardedColumn&) const = default;
};
struct GuardedRow {
  std::vector<GuardedColumn> columns;  // by name
  Bytes row_mac;                       // empty: NULL
  std::vector<Stored> key;
};
/// What must be known of a table to be certain of what a statement stores in it: in a column of a value's own type (STRICT) the value, in one that nobody names nothing.
struct ColumnShape {
  std::string name;
  ColumnType type{};
  bool gives = false;  // the database gives it a value where nobody does: a default, or it is of the primary key
};
struct TableShape {
  std::string name;
  std::vector<ColumnShape> columns;
};
/// Of those tables whose columns are all INTEGER, TEXT or BLOB. None where the database does not tell (it is no SQLite).
std::vector<TableShape> shapes_of(Store& store, std::span<const GuardedTable> tables);

/// "working_key sid_wk=0a1b…, leg=1"
std::string describe(const GuardedTable& table, const GuardedRow& row);
/// `internal` if the table has no row_mac or not the columns of its key.
Result<GuardedRow> read_row(const GuardedTable& table, const Row& row);

/// What an INSERT or the UPDATE of one row (`before`) leaves, as far as the statement says it itself: what the database adds (a default) is not in it. No row_mac, no
/// key. Nothing where the statement does not say it.
std::optional<GuardedRow> foretold(const Statement& statement, std::span<const Value> values, std::span<const GuardedRow> before);
/// True if what foretold() says is what the table will have.
bool is_certain(const TableShape& shape, const Statement& statement, std::span<const Value> values);

Bytes mac_of(const GuardKeys& keys, const GuardedTable& table, const GuardedRow& row);
/// A row's part of the set hash: a PRF of its MAC, so that no element can be computed from what stands in the database.
Bytes element_of(const GuardKeys& keys, ByteView row_mac);
/// `denied`, naming the row, unless it has the MAC that it must have.
Result<void> check_row(const GuardKeys& keys, const GuardedTable& table, const GuardedRow& row);

void add_row(const GuardKeys& keys, GuardState& state, std::string_view table, ByteView row_mac);
void take_row(const GuardKeys& keys, GuardState& state, std::string_view table, ByteView row_mac);

/// Under a key of this shard and epoch, with a random nonce: an epoch that a crash undid is sealed anew with another nonce.
Bytes seal_state(const GuardKeys& keys, std::string_view shard, std::int64_t epoch, const GuardState& state, crypto::Rng& rng);
/// `denied` for anything but what seal_state() made for this shard and epoch.
Result<GuardState> open_state(const GuardKeys& keys, std::string_view shard, std::int64_t epoch, ByteView sealed);

/// Sees to it that what a transaction changes in guarded tables changes their MACs, and keeps what that does to the set hash. Statements on other tables go
/// through as they are. Where a statement says itself what its one row will be, the MAC is written by it. Unless the table's shape leaves no doubt, what comes back
/// must be that row, column for column; where it is another one (a default), and where the statement does not say it, a second one writes the MAC of the row that
/// came back.
class GuardedTransaction final : public Transaction {
 public:
  GuardedTransaction(Transaction& inner, std::span<const GuardedTable> tables, const GuardKeys& keys, std::span<const TableShape> shapes = {})
      : inner_(inner), tables_(tables), keys_(keys), shapes_(shapes) {}

  /// `denied`, naming the row, if a row that is to be changed is not as this program left it. `internal` for a statement that changes rows in a way that
  /// cannot be followed (OR REPLACE, DO UPDATE, ?1, row_mac by name).
  Result<std::int64_t> run(std::string_view sql, std::span<const Value> values) override;
  Result<void> query(std::string_view sql, std::span<const Value> values, const std::function<void(const Row&)>& each) override;
  using Transaction::query;
  using Transaction::run;

  /// What was changed; empty if nothing was.
  [[nodiscard]] const GuardState& change() const noexcept { return change_; }
  [[nodiscard]] bool changed() const noexcept { return changed_; }

 private:
  Result<std::vector<GuardedRow>> rows(const GuardedTable& table, std::string_view sql, std::span<const Value> values);
  /// `written`: the MAC that it has got already; empty: it gets one now.
  Result<void> admit(const GuardedTable& table, const GuardedRow& row, ByteView written);
  Result<void> dismiss(const GuardedTable& table, const GuardedRow& row);
  /// A work may undo a part of itself (SAVEPOINT, ROLLBACK TO, RELEASE): what that part changed is forgotten with it.
  Result<std::int64_t> run_savepoint(std::string_view sql);

  struct Savepoint {
    std::string name;
    GuardState change;
    bool changed = false;
  };
  Transaction& inner_;
  std::span<const GuardedTable> tables_;
  const GuardKeys& keys_;
  std::span<const TableShape> shapes_;
  GuardState change_;
  bool changed_ = false;
  std::vector<Savepoint> savepoints_;
};

/// The row's key as values, which live as long as the row.
std::vector<Value> key_values(const GuardedRow& row);
/// Writes the row's MAC into it.
Result<void> put_mac(Transaction& transaction, const GuardedTable& table, const GuardedRow& row, ByteView mac);

}  // namespace qanat::store
