#include "store/store.hpp"

#include <array>
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include "base/check.hpp"
#include "store/changes.hpp"
#include "store/connection.hpp"
#include "store/migrations.hpp"
#include "store/named_locks.hpp"
#include "store/process_lock.hpp"

namespace qanat::store {

Result<void> Transaction::run_later(std::string_view sql, std::span<const Value> values, Rows rows) {
  ASSIGN_OR_RETURN(const std::int64_t changed, run(sql, values));
  if (rows == Rows::any || changed == 1) return {};
  return fail(ErrorCode::conflict, std::to_string(changed) + " rows were changed, not one, in: " + std::string(sql));
}

namespace {

/// Transactions that become durable together: one commit, and one wait for the disk, for all that were waiting for one another anyway.
struct Group {
  std::size_t works = 0;
  std::optional<Result<void>> outcome;  // of the commit, when it is known
};
constexpr std::size_t group_works_max = 64;

/// What a work sees of the connection.
class SqliteTransaction final : public Transaction {
 public:
  explicit SqliteTransaction(Connection& connection) : connection_(connection) {}

  Result<std::int64_t> run(std::string_view sql, std::span<const Value> values) override {
    TRY(check_open(sql));
    return connection_.run(sql, values);
  }
  Result<void> query(std::string_view sql, std::span<const Value> values, const std::function<void(const Row&)>& each) override {
    TRY(check_open(sql));
    return connection_.query(sql, values, each);
  }

 private:
  /// When SQLite itself rolled back, a further statement would commit on its own, outside of any transaction.
  Result<void> check_open(std::string_view sql) const {
    if (connection_.in_transaction()) return {};
    return fail(ErrorCode::internal, "the transaction was rolled back before: " + std::string(sql));
  }
  Connection& connection_;
};

/// What a work that only looks sees: what is committed.
class SqliteLook final : public Transaction {
 public:
  SqliteLook(Connection& connection, std::size_t queries_max) : connection_(connection), left_(queries_max) {}

  Result<std::int64_t> run(std::string_view sql, std::span<const Value> /*values*/) override {
    return fail(ErrorCode::internal, "a change by who only looks: " + std::string(sql));
  }
  Result<void> query(std::string_view sql, std::span<const Value> values, const std::function<void(const Row&)>& each) override {
    if (left_ == 0) return fail(ErrorCode::internal, "a second statement in a look: " + std::string(sql));
    --left_;
    return connection_.query(sql, values, each);
  }

 private:
  Connection& connection_;
  std::size_t left_;
};

/// Of the connection that looks: several queries that see one state. Nothing was changed that could be committed.
class OneState {
 public:
  explicit OneState(Connection& connection) : connection_(connection) {}
  OneState(const OneState&) = delete;
  OneState& operator=(const OneState&) = delete;
  ~OneState() { connection_.roll_back(); }
  Result<void> begin() {
    TRY(connection_.run("BEGIN", {}));
    return {};
  }

 private:
  Connection& connection_;
};

class SqliteStore final : public Store {
 public:
  SqliteStore(ProcessLock lock, std::unique_ptr<Connection> connection, std::unique_ptr<Connection> looking, std::string name)
      : lock_(std::move(lock)), connection_(std::move(connection)), looking_(std::move(looking)), name_(std::move(name)) {}

  [[nodiscard]] std::size_t queued() const noexcept override { return coming_; }
  void announce(std::string_view channel) override {
    CHECK(Changes::is_channel(channel));
    changes_.announce(channel);
  }
  std::unique_ptr<Watch> watch(std::string_view channel) override { return changes_.watch(channel, std::nullopt); }
  Result<std::unique_ptr<Lock>> lock(std::string_view name, Deadline deadline) override { return locks_.take(name, deadline); }
  Result<void> copy_to(const std::filesystem::path& file) override {
    std::error_code error;
    if (std::filesystem::exists(file, error)) return fail(ErrorCode::conflict, file.string() + " is there already");
    TRY(make_private_file(file));
    const std::lock_guard lock(mutex_);
    if (group_) return fail(ErrorCode::unavailable, name_ + ": is at work");
    if (const auto copied = connection_->copy_to(file); !copied) return fail_in(name_, copied.error());
    return {};
  }

 protected:
  Result<void> transact_erased(const std::function<Result<void>(Transaction&)>& work) override {
    CHECK(holder_.load() != std::this_thread::get_id());  // transact() inside its own work would wait for itself for ever
    ++coming_;
    std::unique_lock lock(mutex_);
    --coming_;
    if (!group_) {
      if (const auto begun = connection_->run("BEGIN IMMEDIATE", {}); !begun) return fail_in(name_, begun.error());
      group_ = std::make_shared<Group>();
    }
    const std::shared_ptr<Group> group = group_;
    Result<void> own;
    try {
      own = take_part(*group, work);
    } catch (...) {
      undo(*group);
      conclude_if_last(*group);
      throw;
    }
    if (!own) undo(*group);
    conclude_if_last(*group);
    // Whoever stands in the queue takes part, and the last of them commits.
    settled_.wait(lock, [&] { return group->outcome.has_value(); });
    // A refusal may rest on what another work of the group did: it counts when that is durable.
    if (*group->outcome && !own) return own;
    return *group->outcome;
  }
  /// Takes no turn: a work that is under way has changed nothing yet for who looks, and what he sees is on the disk.
  Result<void> look_erased(const std::function<Result<void>(Transaction&)>& work) override {
    check_may_look();
    const std::lock_guard lock(looking_mutex_);
    const HeldByThisThread held(looker_);
    SqliteLook transaction(*looking_, 1);
    return work(transaction);
  }
  Result<void> read_erased(const std::function<Result<void>(Transaction&)>& work) override {
    constexpr std::size_t queries_max = 64;
    check_may_look();
    const std::lock_guard lock(looking_mutex_);
    const HeldByThisThread held(looker_);
    OneState state(*looking_);
    if (const auto begun = state.begin(); !begun) return fail_in(name_, begun.error());
    SqliteLook transaction(*looking_, queries_max);
    return work(transaction);
  }

 private:
  void check_may_look() const {
    CHECK(holder_.load() != std::this_thread::get_id());  // what its own work has changed would not be there
    CHECK(looker_.load() != std::this_thread::get_id());  // look() or read() inside its own work would wait for itself for ever
  }
  class HeldByThisThread {
   public:
    explicit HeldByThisThread(std::atomic<std::thread::id>& holder) : holder_(holder) { holder_ = std::this_thread::get_id(); }
    ~HeldByThisThread() { holder_ = std::thread::id(); }
    HeldByThisThread(const HeldByThisThread&) = delete;
    HeldByThisThread& operator=(const HeldByThisThread&) = delete;

   private:
    std::atomic<std::thread::id>& holder_;
  };

  Result<void> take_part(Group& group, const std::function<Result<void>(Transaction&)>& work) {
    const HeldByThisThread held(holder_);
    ++group.works;
    // The first needs none: it is alone until it ends.
    if (group.works > 1) TRY(connection_->run("SAVEPOINT work", {}));
    SqliteTransaction transaction(*connection_);
    TRY(work(transaction));
    if (!connection_->in_transaction()) return fail(ErrorCode::internal, "the transaction was rolled back within its work");
    if (group.works > 1) TRY(connection_->run("RELEASE work", {}));
    return {};
  }
  /// What the last work did is undone; if that cannot be, what the whole group did.
  void undo(Group& group) {
    if (group.works > 1 && connection_->in_transaction() && connection_->run("ROLLBACK TO work", {}) && connection_->run("RELEASE work", {})) return;
    const bool alone = group.works == 1;
    if (connection_->in_transaction()) (void)connection_->run("ROLLBACK", {});
    conclude(group, alone ? Result<void>() : fail_in(name_, {ErrorCode::internal, "the transaction was rolled back with another one"}));
  }
  void conclude_if_last(Group& group) {
    if (group.outcome || (coming_ != 0 && group.works < group_works_max)) return;
    const auto done = connection_->run("COMMIT", {});
    // If that fails, too, the connection stays inside the transaction, and the next BEGIN is refused.
    if (!done && connection_->in_transaction()) (void)connection_->run("ROLLBACK", {});
    conclude(group, done ? Result<void>() : fail_in(name_, done.error()));
  }
  void conclude(Group& group, Result<void> outcome) {
    group.outcome = std::move(outcome);
    group_ = nullptr;
    settled_.notify_all();
  }

  ProcessLock lock_;  // before the connection: given back after the file is closed
  std::unique_ptr<Connection> connection_;
  std::mutex looking_mutex_;             // guards looking_
  std::unique_ptr<Connection> looking_;  // after the other one: that is closed last, and moves the log into the file
  std::string name_;
  std::mutex mutex_;              // guards connection_ and group_
  std::shared_ptr<Group> group_;  // that takes part in the transaction that is open
  std::condition_variable settled_;
  std::atomic<std::size_t> coming_ = 0;  // callers that wait for mutex_, and are sure to take it
  std::atomic<std::thread::id> holder_;
  std::atomic<std::thread::id> looker_;  // the same of looking_
  Changes changes_;
  NamedLocks locks_;
};

}  // namespace

Result<std::unique_ptr<Store>> Store::open(const std::filesystem::path& file, std::span<const Migration> migrations) {
  const std::string name = "store " + file.string();
  const auto in_file = [&](const Error& error) { return fail_in(name, error); };
  // The lock comes first: closing a second descriptor of a database that this process has open would drop SQLite's own locks on it.
  auto lock = ProcessLock::acquire(file);
  if (!lock) return in_file(lock.error());
  if (const auto made = make_private_file(file); !made) return in_file(made.error());
  auto connection = Connection::open(file);
  if (!connection) return in_file(connection.error());
  if (const auto migrated = migrate(**connection, migrations); !migrated) return in_file(migrated.error());
  auto looking = Connection::open_to_look(file);
  if (!looking) return in_file(looking.error());
  return Result<std::unique_ptr<Store>>(std::make_unique<SqliteStore>(std::move(*lock), std::move(*connection), std::move(*looking), name));
}

Bytes column_context(std::string_view table_column, ByteView row_key) { return to_bytes(std::string(table_column) + '/' + to_hex(row_key)); }

}  // namespace qanat::store
