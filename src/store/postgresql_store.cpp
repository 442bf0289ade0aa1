// The store in PostgreSQL: a bounded pool of connections, works that are run again where they met, and commits whose outcome is asked for.
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <random>
#include <thread>
#include <utility>

#include "base/check.hpp"
#include "store/changes.hpp"
#include "store/migrations.hpp"
#include "store/postgresql_connection.hpp"
#include "store/postgresql_listener.hpp"
#include "store/store.hpp"

namespace qanat::store {
namespace {

constexpr std::size_t connections_max = 64;
constexpr int runs_max = 40;                            // of one work
constexpr std::chrono::milliseconds turn_max{10000};    // for a connection, and for all runs of a work
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
  Result<std::unique_ptr<PostgresqlConnection>> make() {
    ++made_;
    return PostgresqlConnection::open(place_.conninfo, place_.schema);
  }
  /// nullptr for one that is of no further use: then those that are idle have probably been lost, too, and the next uses find out.
  void give_back(std::unique_ptr<PostgresqlConnection> connection) {
    {
      const std::lock_guard lock(mutex_);
      --out_;
      if (connection) idle_.push_back(std::move(connection));
    }
    changed_.notify_one();
  }
  [[nodiscard]] std::size_t waiting() const noexcept { return waiting_; }
  [[nodiscard]] std::uint64_t made() const noexcept { return made_; }

 private:
  const PostgresqlPlace place_;
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
      : name_(std::move(name)), outcome_max_(place.outcome_max), connections_(place), listener_(place, changes_) {}

  /// Brings the schema to its version; one process at a time.
  Result<void> begin(const std::string& schema, std::span<const Migration> migrations) {
    ASSIGN_OR_RETURN(std::unique_ptr<PostgresqlConnection> connection, connections_.take(Deadline::after(turn_max)));
    TRY(connection->ask("SELECT pg_advisory_lock(hashtext('qanat " + schema + "'))"));
    const auto migrated = migrate(*connection, migrations);
    const auto unlocked = connection->ask("SELECT pg_advisory_unlock(hashtext('qanat " + schema + "'))");
    connections_.give_back(migrated && unlocked ? std::move(connection) : nullptr);
    TRY(migrated);
    listener_.start();
    return {};
  }

  [[nodiscard]] std::size_t queued() const noexcept override { return connections_.waiting(); }
  void announce(std::string_view channel) override {
    changes_.announce(channel);
    listener_.tell_others(channel);
  }
  std::unique_ptr<Watch> watch(std::string_view channel) override { return changes_.watch(channel, look_every); }
  [[nodiscard]] Counts counts() const override { return {.repeated = repeated_, .connections = connections_.made(), .asked = asked_, .unknown = unknown_}; }

 protected:
  Result<void> transact_erased(const std::function<Result<void>(Transaction&)>& work) override {
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
      const End end = once(*connection, work, done);
      if (end == End::over) return done;
      if (run >= runs_max || deadline.passed()) return fail_in(name_ + ", after " + std::to_string(run) + " runs", done ? Error{ErrorCode::unavailable, "undone"} : done.error());
      ++repeated_;
      pause_before(run);
    }
  }

 private:
  enum class End : std::uint8_t { over, again };

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

  End once(PostgresqlConnection& connection, const std::function<Result<void>(Transaction&)>& work, Result<void>& done) {
    using Trouble = PostgresqlConnection::Trouble;
    (void)connection.begin();  // nothing is sent yet
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
    if (!done) {
      connection.roll_back();
      return End::over;
    }
    if (!connection.in_transaction()) done = fail(ErrorCode::internal, "the transaction was rolled back within its work");
    const auto committed = done ? connection.commit() : done;
    if (committed && !connection.warned()) return End::over;
    if (committed || connection.trouble() == Trouble::lost) return settle(connection, done);
    done = fail_in(name_, committed.error());
    connection.roll_back();
    return connection.trouble() == Trouble::repeat ? End::again : End::over;
  }

  /// The commit was sent, and the answer is missing or doubtful: what became of it.
  End settle(const PostgresqlConnection& connection, Result<void>& done) {
    if (connection.transaction_id().empty()) return End::again;  // it has only read
    ++asked_;
    const Deadline deadline = Deadline::after(outcome_max_);
    done = fail_in(name_, {ErrorCode::unavailable, std::string(unknown_outcome)});
    for (int run = 1; !deadline.passed(); ++run) {
      pause_before(run);
      const auto other = connections_.make();
      if (!other) continue;
      // After a failover this history is another one, in which the number may be somebody else's.
      if ((*other)->timeline() != connection.timeline()) break;
      const auto status = (*other)->ask("SELECT pg_xact_status('" + connection.transaction_id() + "'::xid8)");
      if (!status || *status == "in progress") continue;
      if (*status == "aborted") return End::again;
      if (*status != "committed") break;
      // Committed here; and kept like any other commit once a later one has come through to disk and standby.
      if (!(*other)->ask("UPDATE schema_version SET applied_s = applied_s WHERE version = 1") || (*other)->warned()) continue;
      done = {};
      return End::over;
    }
    ++unknown_;
    return End::over;
  }

  const std::string name_;
  const std::chrono::milliseconds outcome_max_;
  Connections connections_;
  Changes changes_;
  PostgresqlListener listener_;  // after changes_: it tells them
  std::atomic<std::uint64_t> repeated_ = 0;
  std::atomic<std::uint64_t> asked_ = 0;
  std::atomic<std::uint64_t> unknown_ = 0;
};

}  // namespace

Result<std::unique_ptr<Store>> Store::open(const PostgresqlPlace& place, std::span<const Migration> migrations) {
  const std::string name = "store " + place.schema + " in PostgreSQL";
  if (place.connections == 0 || place.connections > connections_max) {
    return fail(ErrorCode::invalid_argument, name + ": connections must be 1 to " + std::to_string(connections_max));
  }
  auto store = std::make_unique<PostgresqlStore>(place, name);
  if (const auto begun = store->begin(place.schema, migrations); !begun) return fail_in(name, begun.error());
  return Result<std::unique_ptr<Store>>(std::move(store));
}

}  // namespace qanat::store
