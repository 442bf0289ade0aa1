// The store in PostgreSQL: a bounded pool of connections, works that are run again where they met, and commits whose outcome is asked for.
#include <array>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <random>
#include <thread>
#include <utility>

#include "base/check.hpp"
#include "store/changes.hpp"
#include "store/migrations.hpp"
#include "store/named_locks.hpp"
#include "store/postgresql_connection.hpp"
#include "store/postgresql_listener.hpp"
#include "store/store.hpp"

namespace qanat::store {
namespace {

constexpr std::size_t connections_max = 64;
constexpr int runs_max = 40;  // of one work
constexpr int history_runs_max = 10;
constexpr std::chrono::milliseconds begin_max{30000};  // for another process that migrates
constexpr std::chrono::milliseconds turn_max{10000};   // for a connection, and for all runs of a work
constexpr std::chrono::milliseconds pause_longest{50};
constexpr std::chrono::milliseconds look_every{250};
constexpr std::string_view unknown_outcome = "outcome unknown: the connection was lost at the commit, what was to be done may have been";

thread_local const void* store_at_work = nullptr;  // whose work this thread runs

/// Waits for a random part of a span that grows with the run, so that those who met do not meet again.
void pause_before(int run) {
  thread_local std::minstd_rand random(std::random_device{}());
  const auto longest = std::min<std::int64_t>(pause_longest.count() * 1000, std::int64_t{500} << std::min(run, 8));
  std::this_thread::sleep_for(std::chrono::microseconds(std::uniform_int_distribution<std::int64_t>(0, longest)(random)));
}

class PostgresqlTransaction final : public Transaction {
 public:
  explicit PostgresqlTransaction(PostgresqlConnection& connection) : connection_(connection) {}
  Result<std::int64_t> run(std::string_view sql, std::span<const Value> values) override {
    TRY(check_open(sql));
    return connection_.run(sql, values);
  }
  Result<void> query(std::string_view sql, std::span<const Value> values, const std::function<void(const Row&)>& each) override {
    TRY(check_open(sql));
    return connection_.query(sql, values, each);
  }
  Result<void> run_later(std::string_view sql, std::span<const Value> values, Rows rows) override {
    TRY(check_open(sql));
    return connection_.run_later(sql, values, rows);
  }

 private:
  Result<void> check_open(std::string_view sql) const {
    if (connection_.in_transaction()) return {};
    return fail(ErrorCode::internal, "the transaction was rolled back before: " + std::string(sql));
  }
  PostgresqlConnection& connection_;
};

/// Connections that are made when they are needed and kept.
class Connections {
 public:
  explicit Connections(PostgresqlPlace place) : place_(std::move(place)) {}

  Result<std::unique_ptr<PostgresqlConnection>> take(Deadline deadline) {
    std::unique_lock lock(mutex_);
    ++waiting_;
    const bool turn = changed_.wait_until(lock, deadline.at(), [&] { return !idle_.empty() || out_ < place_.connections; });
    --waiting_;
    if (!turn) return fail(ErrorCode::exhausted, "all " + std::to_string(place_.connections) + " connections to PostgreSQL are in use");
    ++out_;
    while (!idle_.empty()) {
      std::unique_ptr<PostgresqlConnection> connection = std::move(idle_.back());
      idle_.pop_back();
      if (PQstatus(connection->get()) == CONNECTION_OK) return connection;
    }
    lock.unlock();
    auto made = make();
    if (!made) give_back(nullptr);
    return made;
  }
  /// One that belongs to nobody's turn; only where the database has the history that this process knows.
  Result<std::unique_ptr<PostgresqlConnection>> make() {
    ++made_;
    ASSIGN_OR_RETURN(std::unique_ptr<PostgresqlConnection> connection, PostgresqlConnection::open(place_.conninfo, place_.schema));
    const std::lock_guard lock(history_mutex_);
    if (connection->history() != history_) TRY(enter_history(*connection));
    return Result<std::unique_ptr<PostgresqlConnection>>(std::move(connection));
  }
  /// nullptr for one that is of no further use: then those that are idle have probably been lost, too.
  void give_back(std::unique_ptr<PostgresqlConnection> connection) {
    std::vector<std::unique_ptr<PostgresqlConnection>> lost;  // closed after the lock is released
    {
      const std::lock_guard lock(mutex_);
      --out_;
      if (connection) {
        idle_.push_back(std::move(connection));
      } else {
        lost.swap(idle_);
      }
    }
    changed_.notify_one();
  }
  /// Brings the schema to its version, and the history on record; one process at a time.
  Result<void> begin(std::span<const Migration> migrations) {
    ASSIGN_OR_RETURN(const std::unique_ptr<PostgresqlConnection> connection, PostgresqlConnection::open(place_.conninfo, place_.schema));
    ASSIGN_OR_RETURN(const bool alone, connection->lock_session("migrations", place_.schema, Deadline::after(begin_max)));
    if (!alone) return fail(ErrorCode::unavailable, "another process is changing the schema");
    TRY(migrate(*connection, migrations));
    TRY(connection->run_script("CREATE TABLE IF NOT EXISTS store_history (one INTEGER PRIMARY KEY CHECK (one = 1), history TEXT NOT NULL) STRICT"));
    const std::lock_guard lock(history_mutex_);
    return enter_history(*connection);
  }
  [[nodiscard]] std::size_t waiting() const noexcept { return waiting_; }
  [[nodiscard]] std::uint64_t made() const noexcept { return made_; }

 private:
  /// The first process that comes to another history does what is to be done then; the transaction's own row decides who that is.
  Result<void> enter_history(PostgresqlConnection& connection) {
    Result<void> done = fail(ErrorCode::unavailable, "the history of the database could not be entered");
    for (int run = 1; run <= history_runs_max; ++run) {
      TRY(connection.begin());
      done = change_history(connection);
      if (done) done = connection.commit();
      if (done) {
        history_ = connection.history();
        return {};
      }
      connection.roll_back();
      if (connection.trouble() != PostgresqlConnection::Trouble::repeat) break;
      pause_before(run);
    }
    return done;
  }
  Result<void> change_history(PostgresqlConnection& connection) const {
    std::optional<std::string> known;
    TRY(connection.query("SELECT history FROM store_history", {}, [&](const Row& row) { known = row.text(0); }));
    if (known == connection.history()) return {};
    if (known && place_.on_other_history) {
      PostgresqlTransaction transaction(connection);
      TRY(place_.on_other_history(transaction));
    }
    const std::array values{Value(std::string_view(connection.history()))};
    TRY(connection.run("INSERT INTO store_history (one, history) VALUES (1, ?) ON CONFLICT (one) DO UPDATE SET history = excluded.history", values));
    return {};
  }

  const PostgresqlPlace place_;
  std::mutex history_mutex_;
  std::string history_;  // under history_mutex_
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::unique_ptr<PostgresqlConnection>> idle_;  // under mutex_
  std::size_t out_ = 0;                                      // lent, or being made; under mutex_
  std::atomic<std::size_t> waiting_ = 0;
  std::atomic<std::uint64_t> made_ = 0;
};

class PostgresqlStore final : public Store {
 public:
  PostgresqlStore(const PostgresqlPlace& place, std::string name)
      : name_(std::move(name)),
        schema_(place.schema),
        own_name_(!place.process.empty()),
        outcome_max_(place.outcome_max),
        connections_(place),
        listener_(place, changes_) {}

  Result<void> begin(std::span<const Migration> migrations) {
    TRY(connections_.begin(migrations));
    return listener_.start();
  }

  [[nodiscard]] bool side_by_side() const noexcept override { return true; }
  [[nodiscard]] std::size_t queued() const noexcept override { return connections_.waiting(); }
  void announce(std::string_view channel) override {
    changes_.announce(channel);
    listener_.tell_others(channel);
  }
  std::unique_ptr<Watch> watch(std::string_view channel) override { return changes_.watch(channel, look_every); }
  Result<std::unique_ptr<Lock>> lock(std::string_view name, Deadline deadline) override {
    ASSIGN_OR_RETURN(std::unique_ptr<Lock> here, locks_.take(name, deadline));
    ASSIGN_OR_RETURN(std::unique_ptr<PostgresqlConnection> connection, connections_.make());
    ASSIGN_OR_RETURN(const bool taken, connection->lock_session("lock of " + schema_, name, deadline));
    if (!taken) return fail(ErrorCode::deadline_exceeded, "another process holds the lock '" + std::string(name) + "'");
    return std::unique_ptr<Lock>(std::make_unique<SessionLock>(std::move(here), std::move(connection)));
  }
  Result<std::size_t> other_processes() override {
    ASSIGN_OR_RETURN(const std::unique_ptr<PostgresqlConnection> connection, connections_.make());
    ASSIGN_OR_RETURN(const std::string count, connection->ask("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND database ="
                                                              " (SELECT oid FROM pg_database WHERE datname = current_database()) AND"
                                                              " classid::bigint = (hashtext('qanat process of " +
                                                              schema_ + "')::bigint & 4294967295)"));
    const std::size_t own = own_name_ ? 1 : 0;
    const auto all = static_cast<std::size_t>(std::strtoull(count.c_str(), nullptr, 10));
    return all > own ? all - own : 0;
  }
  Result<void> copy_to(const std::filesystem::path& /*file*/) override {
    return fail(ErrorCode::invalid_argument, name_ + ": is backed up by the server's own means, pg_basebackup or pg_dump");
  }
  [[nodiscard]] Counts counts() const override {
    return {.repeated = repeated_, .connections = connections_.made(), .asked = asked_, .unknown = unknown_, .round_trips = round_trips_};
  }

 protected:
  Result<void> transact_erased(const std::function<Result<void>(Transaction&)>& work) override { return in_turn(work, Kind::work); }
  Result<void> look_erased(const std::function<Result<void>(Transaction&)>& work) override { return in_turn(work, Kind::look); }

 private:
  enum class Kind : std::uint8_t { work, look };
  enum class End : std::uint8_t { over, again };

  Result<void> in_turn(const std::function<Result<void>(Transaction&)>& work, Kind kind) {
    CHECK(store_at_work != this);  // a work that waits for a second connection while it holds its first one may wait for ever
    const Deadline deadline = Deadline::after(turn_max);
    for (int run = 1;; ++run) {
      auto taken = connections_.take(deadline);
      if (!taken) {
        // The server may be starting, or another one taking its place.
        if (taken.error().code != ErrorCode::unavailable || run >= runs_max || deadline.passed()) return fail_in(name_, taken.error());
        pause_before(run);
        continue;
      }
      const Lent connection(connections_, *std::move(taken));
      Result<void> done;
      const std::uint64_t before = (*connection).round_trips();
      const End end = once(*connection, work, kind, done);
      round_trips_ += (*connection).round_trips() - before;
      if (end == End::over) return done;
      if (run >= runs_max || deadline.passed())
        return fail_in(name_ + ", after " + std::to_string(run) + " runs", done ? Error{ErrorCode::unavailable, "undone"} : done.error());
      ++repeated_;
      pause_before(run);
    }
  }

  /// Ends with its session.
  class SessionLock final : public Lock {
   public:
    SessionLock(std::unique_ptr<Lock> here, std::unique_ptr<PostgresqlConnection> session) : here_(std::move(here)), session_(std::move(session)) {}

   private:
    std::unique_ptr<Lock> here_;
    std::unique_ptr<PostgresqlConnection> session_;
  };

  /// A connection that comes back to the pool, unless it was lost.
  class Lent {
   public:
    Lent(Connections& connections, std::unique_ptr<PostgresqlConnection> connection) : connections_(connections), connection_(std::move(connection)) {}
    ~Lent() {
      const bool sound = PQtransactionStatus(connection_->get()) == PQTRANS_IDLE && connection_->trouble() != PostgresqlConnection::Trouble::lost;
      connections_.give_back(sound ? std::move(connection_) : nullptr);
    }
    Lent(const Lent&) = delete;
    Lent& operator=(const Lent&) = delete;
    PostgresqlConnection& operator*() const { return *connection_; }

   private:
    Connections& connections_;
    std::unique_ptr<PostgresqlConnection> connection_;
  };
  class AtWork {
   public:
    explicit AtWork(const void* store) : before_(std::exchange(store_at_work, store)) {}
    ~AtWork() { store_at_work = before_; }
    AtWork(const AtWork&) = delete;
    AtWork& operator=(const AtWork&) = delete;

   private:
    const void* before_;
  };

  End once(PostgresqlConnection& connection, const std::function<Result<void>(Transaction&)>& work, Kind kind, Result<void>& done) {
    using Trouble = PostgresqlConnection::Trouble;
    // Nothing is sent yet.
    if (kind == Kind::look) {
      connection.begin_look();
    } else {
      (void)connection.begin();
    }
    PostgresqlTransaction transaction(connection);
    try {
      const AtWork here(this);
      done = work(transaction);
    } catch (...) {
      connection.roll_back();
      throw;
    }
    // Whatever the work made of it: what it saw does not count.
    if (connection.trouble() != Trouble::none) {
      connection.roll_back();
      return End::again;
    }
    if (!done || kind == Kind::look) {  // a look has ended with its query
      connection.roll_back();
      return End::over;
    }
    if (!connection.in_transaction()) done = fail(ErrorCode::internal, "the transaction was rolled back within its work");
    const auto committed = done ? connection.commit() : done;
    if (committed && !connection.warned()) return End::over;
    if (committed || connection.trouble() == Trouble::lost) return resolve(connection, done);
    done = fail_in(name_, committed.error());
    connection.roll_back();
    return connection.trouble() == Trouble::repeat ? End::again : End::over;
  }

  /// The commit was sent, and the answer is missing or doubtful: what became of it.
  End resolve(const PostgresqlConnection& connection, Result<void>& done) {
    if (connection.transaction_id().empty()) return End::again;  // it has only read
    ++asked_;
    const Deadline deadline = Deadline::after(outcome_max_);
    done = fail_in(name_, {ErrorCode::unavailable, std::string(unknown_outcome)});
    for (int run = 1; !deadline.passed(); ++run) {
      pause_before(run);
      const auto other = connections_.make();
      if (!other) continue;
      // After a failover this history is another one, in which the number may be somebody else's.
      if ((*other)->history() != connection.history()) break;
      const auto status = (*other)->ask("SELECT pg_xact_status('" + connection.transaction_id() + "'::xid8)");
      if (!status || *status == "in progress") continue;
      if (*status == "aborted") return End::again;
      // After a crash it may be somebody else's: if ours never came to disk, its number was free again.
      if (*status != "committed" || (*other)->incarnation() != connection.incarnation()) break;
      // Committed here; and kept like any other commit once a later one has come through to disk and standby.
      if (!(*other)->ask("UPDATE schema_version SET applied_s = applied_s WHERE version = 1") || (*other)->warned()) continue;
      done = {};
      return End::over;
    }
    ++unknown_;
    return End::over;
  }

  const std::string name_;
  const std::string schema_;
  const bool own_name_;
  const std::chrono::milliseconds outcome_max_;
  Connections connections_;
  Changes changes_;
  NamedLocks locks_;
  PostgresqlListener listener_;  // after changes_: it tells them
  std::atomic<std::uint64_t> round_trips_ = 0;
  std::atomic<std::uint64_t> repeated_ = 0;
  std::atomic<std::uint64_t> asked_ = 0;
  std::atomic<std::uint64_t> unknown_ = 0;
};

}  // namespace

Result<void> check_place(const std::string& conninfo) { return check_conninfo(conninfo); }

Result<std::unique_ptr<Store>> Store::open(const PostgresqlPlace& place, std::span<const Migration> migrations) {
  const std::string name = "store " + place.schema + " in PostgreSQL";
  if (place.connections == 0 || place.connections > connections_max) {
    return fail(ErrorCode::invalid_argument, name + ": connections must be 1 to " + std::to_string(connections_max));
  }
  auto store = std::make_unique<PostgresqlStore>(place, name);
  if (const auto begun = store->begin(migrations); !begun) return fail_in(name, begun.error());
  return Result<std::unique_ptr<Store>>(std::move(store));
}

}  // namespace qanat::store
