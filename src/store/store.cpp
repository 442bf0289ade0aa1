#include "store/store.hpp"

#include <atomic>
#include <mutex>
#include <thread>
#include <utility>

#include "base/check.hpp"
#include "store/connection.hpp"
#include "store/migrations.hpp"
#include "store/process_lock.hpp"

namespace qanat::store {
namespace {

class SqliteTransaction final : public Transaction {
 public:
  explicit SqliteTransaction(Connection& connection) : connection_(connection) {}
  ~SqliteTransaction() override {
    // Nothing to do after COMMIT. After a failure or an exception of the work everything is undone here; if that fails too, the
    // connection stays inside the transaction and the next BEGIN is refused.
    if (connection_.in_transaction()) (void)connection_.run("ROLLBACK", {});
  }
  SqliteTransaction(const SqliteTransaction&) = delete;
  SqliteTransaction& operator=(const SqliteTransaction&) = delete;

  Result<std::int64_t> run(std::string_view sql, std::span<const Value> values) override {
    TRY(check_open(sql));
    return connection_.run(sql, values);
  }
  Result<void> query(std::string_view sql, std::span<const Value> values, const std::function<void(const Row&)>& each) override {
    TRY(check_open(sql));
    return connection_.query(sql, values, each);
  }
  Result<void> commit() {
    TRY(check_open("COMMIT"));
    TRY(connection_.run("COMMIT", {}));
    return {};
  }

 private:
  /// When SQLite itself rolled back, a further statement would commit on its own, outside of any transaction.
  Result<void> check_open(std::string_view sql) const {
    if (connection_.in_transaction()) return {};
    return fail(ErrorCode::internal, "the transaction was rolled back before: " + std::string(sql));
  }
  Connection& connection_;
};

class SqliteStore final : public Store {
 public:
  SqliteStore(ProcessLock lock, std::unique_ptr<Connection> connection, std::string name)
      : lock_(std::move(lock)), connection_(std::move(connection)), name_(std::move(name)) {}

 protected:
  Result<void> transact_erased(const std::function<Result<void>(Transaction&)>& work) override {
    CHECK(holder_.load() != std::this_thread::get_id());  // transact() inside its own work would wait for itself for ever
    const std::lock_guard lock(mutex_);
    const HeldByThisThread held(holder_);
    if (const auto begun = connection_->run("BEGIN IMMEDIATE", {}); !begun) return fail_in(name_, begun.error());
    SqliteTransaction transaction(*connection_);
    TRY(work(transaction));
    if (const Result<void> done = transaction.commit(); !done) return fail_in(name_, done.error());
    return {};
  }

 private:
  class HeldByThisThread {
   public:
    explicit HeldByThisThread(std::atomic<std::thread::id>& holder) : holder_(holder) { holder_ = std::this_thread::get_id(); }
    ~HeldByThisThread() { holder_ = std::thread::id(); }
    HeldByThisThread(const HeldByThisThread&) = delete;
    HeldByThisThread& operator=(const HeldByThisThread&) = delete;

   private:
    std::atomic<std::thread::id>& holder_;
  };

  ProcessLock lock_;  // before the connection: given back after the file is closed
  std::unique_ptr<Connection> connection_;
  std::string name_;
  std::mutex mutex_;  // guards connection_
  std::atomic<std::thread::id> holder_;
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
  return Result<std::unique_ptr<Store>>(std::make_unique<SqliteStore>(std::move(*lock), std::move(*connection), name));
}

Bytes column_context(std::string_view table_column, ByteView row_key) { return to_bytes(std::string(table_column) + '/' + to_hex(row_key)); }

}  // namespace qanat::store
