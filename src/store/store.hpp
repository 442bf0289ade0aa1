// Durable state: transactions over SQLite (a file, WAL, synchronous FULL) or PostgreSQL (a schema of a database that several processes share), migrations,
// sealed columns. SQL stands in the element's own files, next to the function that runs it, once for both (dialect.hpp says what it may be).
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.hpp"
#include "base/clock.hpp"
#include "base/id.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "crypto/device.hpp"

namespace qanat::store {

/// A bound parameter. Text and blobs are copied by the database. A text has no zero octet (PostgreSQL has no place for it).
using Value = std::variant<std::monostate, std::int64_t, std::string_view, ByteView>;

/// A time or a count as a column's value: integers of the database are signed.
constexpr std::int64_t column(std::uint64_t value) noexcept { return static_cast<std::int64_t>(value); }

/// What a column of a row holds.
enum class ColumnType : std::uint8_t { null = 0, integer = 1, text = 2, blob = 3 };

class Row {
 public:
  virtual ~Row() = default;
  /// What a reader needs who does not know the table (guard.hpp): how many columns, and each one's name and type.
  [[nodiscard]] virtual int columns() const = 0;
  [[nodiscard]] virtual std::string name(int column) const = 0;
  [[nodiscard]] virtual ColumnType type(int column) const = 0;
  [[nodiscard]] virtual std::int64_t integer(int column) const = 0;
  [[nodiscard]] virtual std::string text(int column) const = 0;
  [[nodiscard]] virtual Bytes blob(int column) const = 0;
  [[nodiscard]] virtual bool is_null(int column) const = 0;
};

/// Inside a transaction: statements are prepared once and cached.
class Transaction {
 public:
  virtual ~Transaction() = default;
  /// Number of rows changed. `conflict` on a constraint violation, `internal` otherwise (message has the SQL, never the values).
  virtual Result<std::int64_t> run(std::string_view sql, std::span<const Value> values) = 0;
  virtual Result<void> query(std::string_view sql, std::span<const Value> values, const std::function<void(const Row&)>& each) = 0;
  /// A change whose count nobody looks at: a server gets it together with what follows it, at the latest with the commit, and its failure may come out only
  /// there. So the failure is always that of the whole work. Rows::one: `conflict` unless one row was changed.
  enum class Rows : std::uint8_t { any, one };
  virtual Result<void> run_later(std::string_view sql, std::span<const Value> values, Rows rows);

  Result<void> change(std::string_view sql, std::initializer_list<Value> values) { return run_later(sql, std::span(values.begin(), values.size()), Rows::any); }
  Result<void> change_one(std::string_view sql, std::initializer_list<Value> values) {
    return run_later(sql, std::span(values.begin(), values.size()), Rows::one);
  }
  Result<std::int64_t> run(std::string_view sql, std::initializer_list<Value> values) { return run(sql, std::span(values.begin(), values.size())); }
  Result<void> query(std::string_view sql, std::initializer_list<Value> values, const std::function<void(const Row&)>& each) {
    return query(sql, std::span(values.begin(), values.size()), each);
  }
};

struct Migration {
  int version;  // 1, 2, 3 …
  std::string_view sql;
};

/// A schema of a PostgreSQL database.
struct PostgresqlPlace {
  std::string conninfo;         // libpq's words, "host=/run/postgresql dbname=kms"; never a password: that is in passfile= or ~/.pgpass
  std::string schema;           // this store's alone
  std::size_t connections = 8;  // at most so many at a time, and one that listens
  std::string process = {};     // if given: `conflict` while another process has the schema open under this name
  /// Run once for all processes, before any work, when the database may be an earlier state of itself: its history is not the one that it had when it was last
  /// open. It was restored from a dump or an archive, or another server has taken over.
  std::function<Result<void>(Transaction& transaction)> on_other_history = {};
  std::chrono::milliseconds outcome_max{15000};  // how long the outcome of a commit is asked for
};

/// Whether a configuration may say this as `conninfo`, without connecting: no password, and TLS that names the server where there is a network in between.
Result<void> check_place(const std::string& conninfo);

/// Waits for a change that somebody announces, in this process or in another one on the same database.
class Watch {
 public:
  virtual ~Watch() = default;
  /// True: it is time to look (again). False: the deadline has passed, and nothing was announced since the last look. Look once before the first wait: what
  /// was announced since the watch was made is not missed.
  virtual bool wait(Deadline deadline) = 0;
};

/// What SQLite has allocated in this process, for all its databases: their pages above all, up to a bound for each connection (connection.cpp).
std::int64_t sqlite_octets_in_use() noexcept;

class Store {
 public:
  /// Opens or creates, takes an exclusive process lock (a second process gets `conflict`), and runs the migrations that are missing, each in
  /// its own transaction. A database of a later version is refused.
  static Result<std::unique_ptr<Store>> open(const std::filesystem::path& file, std::span<const Migration> migrations);
  virtual ~Store() = default;

  /// The same in PostgreSQL, for any number of processes at a time. `denied` if the server does not keep what it has acknowledged (fsync, synchronous_commit),
  /// `unavailable` if there is none.
  static Result<std::unique_ptr<Store>> open(const PostgresqlPlace& place, std::span<const Migration> migrations);

  /// Runs `work` in one transaction: committed and durable (fsync) when it returns a value, rolled back when it returns a failure. Never call transact() from
  /// inside `work`, and never wait there for another caller.
  ///
  /// SQLite: one work at a time; callers queue, and those that stand in the queue become durable with one commit: each is undone by itself if it fails, and none
  /// returns before all that it may have seen is on the disk.
  ///
  /// PostgreSQL: works run side by side, serialisable: as if one after the other. One that meets another, or whose connection is lost before the commit is sent,
  /// is undone and run again, a bounded number of times. So **a work may run more than once**: all that it has read must come out of the run that counts (keep
  /// it in locals of the work and return it, or set it anew at the beginning; never append to what is outside), and it does nothing but SQL. Where the
  /// connection is lost at the commit, the outcome is asked for on another one. If it cannot be had, the failure is `unavailable` and says "outcome unknown": what
  /// the work did may stand. A caller takes it for what it is, not for a refusal: it does not go on, and does not do the same under another name; the same
  /// request again finds out, since all here is keyed by the request.
  template <class Work>
  auto transact(Work&& work) -> decltype(work(std::declval<Transaction&>())) {
    return erased(work, [this](const std::function<Result<void>(Transaction&)>& one) { return transact_erased(one); });
  }
  /// The same for a work that is one query and nothing else: a change in it, and a second statement, are refused (`internal`). A server takes it, from its
  /// beginning to its end, in one round trip; in a file it waits for no work and no commit, and sees what is committed.
  template <class Work>
  auto look(Work&& work) -> decltype(work(std::declval<Transaction&>())) {
    return erased(work, [this](const std::function<Result<void>(Transaction&)>& one) { return look_erased(one); });
  }
  /// Several queries that see one state, and nothing else. In a file it waits for no work and no commit, and a change is refused (`internal`); a server takes it
  /// as any work.
  template <class Work>
  auto read(Work&& work) -> decltype(work(std::declval<Transaction&>())) {
    return erased(work, [this](const std::function<Result<void>(Transaction&)>& one) { return read_erased(one); });
  }
  /// What is committed by now cannot be undone by putting back an older copy of the database, once this returns. Nothing for a store without a guard (guard.hpp).
  virtual Result<void> settle() { return {}; }
  /// Works of several callers run at the same time (a server), not one after the other (a file).
  [[nodiscard]] virtual bool side_by_side() const noexcept { return false; }
  /// Callers whose work has not begun.
  [[nodiscard]] virtual std::size_t queued() const noexcept = 0;

  /// Tells all watches on `channel` that what they look at may have changed; after the transaction, not in it. A hint: others may get it late, and look by
  /// themselves a few times a second. A channel is printable ASCII of at most 200 octets, no secret.
  virtual void announce(std::string_view channel) = 0;
  virtual std::unique_ptr<Watch> watch(std::string_view channel) = 0;

  /// Of this name there is one at a time, in all processes on the database; it ends with the object, or with the process.
  class Lock {
   public:
    virtual ~Lock() = default;
  };
  /// deadline_exceeded if somebody else has it until then. For work that takes long and may be given up; what is in a transaction needs none.
  virtual Result<std::unique_ptr<Lock>> lock(std::string_view name, Deadline deadline) = 0;

  /// How many other processes have this store open; 0 for a file.
  virtual Result<std::size_t> other_processes() { return std::size_t{0}; }
  /// A copy of the whole, in a new file of mode 0600. Files alone: a server's database is copied by the server's own means.
  virtual Result<void> copy_to(const std::filesystem::path& file) = 0;

  /// For the health answer.
  struct Counts {
    std::uint64_t repeated = 0;     // works that were run again
    std::uint64_t connections = 0;  // that were made; 0 for a file
    std::uint64_t asked = 0;        // commits whose outcome had to be asked for
    std::uint64_t unknown = 0;      // those of which it could not be had
    std::uint64_t round_trips = 0;  // to the server, for works
  };
  [[nodiscard]] virtual Counts counts() const { return {}; }

 protected:
  virtual Result<void> transact_erased(const std::function<Result<void>(Transaction&)>& work) = 0;
  virtual Result<void> look_erased(const std::function<Result<void>(Transaction&)>& work) { return transact_erased(work); }
  virtual Result<void> read_erased(const std::function<Result<void>(Transaction&)>& work) { return transact_erased(work); }

 private:
  template <class Work, class Carry>
  static auto erased(Work& work, const Carry& carry) -> decltype(work(std::declval<Transaction&>())) {
    using R = decltype(work(std::declval<Transaction&>()));
    std::optional<R> out;
    const Result<void> done = carry([&](Transaction& transaction) -> Result<void> {
      out.emplace(work(transaction));
      if (!*out) return fail(out->error());
      return {};
    });
    if (!done) return fail(done.error());
    return std::move(*out);
  }
};

/// The context string that binds a sealed column to its place, "kms.wk.key/<id hex>".
Bytes column_context(std::string_view table_column, ByteView row_key);

}  // namespace qanat::store
