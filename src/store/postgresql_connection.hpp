// One connection to PostgreSQL, set up as the store promises. Private to store: elements see Store and Transaction alone.
#pragma once

#include <libpq-fe.h>

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "store/database.hpp"
#include "store/dialect.hpp"
#include "store/postgresql_values.hpp"

namespace qanat::store {

/// How long the server works on one statement, waits for a lock, or bears with a transaction that does nothing, before it gives up.
inline constexpr int statement_max_ms = 10000;
inline constexpr int lock_wait_max_ms = 5000;
inline constexpr int idle_transaction_max_ms = 30000;
/// How long this end waits for an answer before it takes the connection for lost; longer than the server's own limits.
inline constexpr std::chrono::milliseconds answer_max{15000};
inline constexpr int connect_max_s = 5;
inline constexpr std::size_t postgresql_statements_cached_max = 256;
inline constexpr std::size_t changes_waiting_max = 32;

/// Checks what a configuration may say, without connecting: libpq's words, no password among them, and TLS that names the server where there is a network in
/// between. `invalid_argument` says what is wrong.
Result<void> check_conninfo(const std::string& conninfo);
/// The same for the name of a schema: what needs no quoting.
Result<void> check_schema_name(std::string_view schema);

class PostgresqlConnection final : public Database {
 public:
  /// Connects, sets time-outs and isolation, and checks that what is committed is on disk when it is said to be: fsync, full_page_writes, synchronous_commit
  /// (on or remote_apply); `denied` otherwise. `unavailable` if there is no such server, or it does not take writes. The schema is made if it is not there.
  static Result<std::unique_ptr<PostgresqlConnection>> open(const std::string& conninfo, const std::string& schema);

  Result<std::int64_t> run(std::string_view sql, std::span<const Value> values) override;
  Result<void> query(std::string_view sql, std::span<const Value> values, const std::function<void(const Row&)>& each) override;
  Result<void> run_script(std::string_view sql) override;
  /// Nothing is sent before the first statement; a transaction without one costs nothing. It is serialisable.
  Result<void> begin() override;
  /// The same for one query and nothing else, with which it ends.
  void begin_look();
  /// The change waits for the next round trip, at the latest that of the commit.
  Result<void> run_later(std::string_view sql, std::span<const Value> values, Transaction::Rows rows);
  Result<void> commit() override;
  void roll_back() override;
  [[nodiscard]] bool in_transaction() const noexcept override;
  Result<void> check_strict() override { return {}; }  // its columns hold to their types always; dialect.cpp asks for the word

  /// After a failure: what is to be made of it.
  enum class Trouble : std::uint8_t {
    none,    // the statement's own
    repeat,  // the transaction met another one: the same work may succeed now
    lost,    // the connection is of no further use; a transaction whose commit was not sent is undone
  };
  [[nodiscard]] Trouble trouble() const noexcept { return trouble_; }
  /// The server has committed, but warned: it did not wait for its standby to have it.
  [[nodiscard]] bool warned() const noexcept { return warned_; }
  /// The number of the transaction that is open or was just ended; empty if it wrote nothing.
  [[nodiscard]] const std::string& transaction_id() const noexcept { return transaction_id_; }
  /// Which history of which database: server, database and timeline. It is another one after a restoration, and where another server has taken over; numbers of
  /// transactions then mean something else.
  [[nodiscard]] const std::string& history() const noexcept { return history_; }
  /// The server's start and the end of its last recovery: others after a crash. Numbers of transactions that never came to disk are then given out again.
  [[nodiscard]] const std::string& incarnation() const noexcept { return incarnation_; }

  /// One value of one row of a statement of our own (no place, PostgreSQL's SQL), outside of a transaction. Empty for NULL.
  Result<std::string> ask(const std::string& sql);
  /// How often this end has waited for the server: what it is to keep low.
  [[nodiscard]] std::uint64_t round_trips() const noexcept { return round_trips_; }
  /// Waits for a lock of the session (pg_advisory_lock) until the deadline; false if another session has it.
  Result<bool> lock_session(std::string_view kind, std::string_view name, Deadline deadline);
  [[nodiscard]] PGconn* get() const noexcept { return connection_.get(); }

 private:
  struct Finish {
    void operator()(PGconn* connection) const noexcept { PQfinish(connection); }
  };
  struct Clear {
    void operator()(PGresult* result) const noexcept { PQclear(result); }
  };
  using ResultPointer = std::unique_ptr<PGresult, Clear>;
  struct Command;
  /// A statement of an element.
  struct Known {
    PostgresqlStatement statement;
    bool before_changes = false;  // works that begin with it have changed something: the transaction's number is asked for with it
  };
  /// A change that waits.
  struct Waiting {
    std::string text;  // as the element wrote it
    std::string sql;
    std::string key;  // in prepared_
    PostgresqlValues values;
  };

  explicit PostgresqlConnection(PGconn* connection) : connection_(connection) {}
  Result<void> set_up(const std::string& schema);
  /// What the environment adds to the configuration (PGHOSTADDR) leads over no network unchecked.
  Result<void> check_channel();
  Result<void> check_durability();
  Result<Known*> translated(std::string_view sql, std::size_t values);
  /// What stands before the next statement: BEGIN, and the changes that wait.
  std::vector<Command> opening();
  /// Prepares the statement, if it is not, and runs it: at which place.
  std::size_t add(std::vector<Command>& commands, const std::string& key, const std::string& sql, const PostgresqlValues& values);
  /// Asks for the transaction's number, unless it is known: at which place.
  std::optional<std::size_t> add_number(std::vector<Command>& commands, std::string_view function) const;
  Result<void> send_waiting();
  /// The first failure; where it was goes into `at`.
  Result<void> judge(const std::vector<Command>& commands, const std::vector<ResultPointer>& results, std::string_view sql, std::size_t& at);
  void take_number(const std::vector<ResultPointer>& results, std::optional<std::size_t> at);
  /// One statement of an element, with what belongs before and after it, in one round trip.
  Result<ResultPointer> execute(std::string_view sql, std::span<const Value> values, bool& changes);
  Result<std::vector<ResultPointer>> exchange(const std::vector<Command>& commands);
  bool flush(Deadline deadline);
  ResultPointer next(Deadline deadline);
  bool await(short events, Deadline deadline);
  std::unexpected<Error> lost(const std::string& what);
  std::unexpected<Error> failure(const PGresult* result, std::string_view sql);
  static void note(void* self, const PGresult* notice);

  std::unique_ptr<PGconn, Finish> connection_;
  std::map<std::string, Known, std::less<>> statements_;      // by their text as the element wrote it
  std::map<std::string, std::string, std::less<>> prepared_;  // name, by text and types of the values
  std::deque<Waiting> waiting_;                               // they do not move: what is sent points into them
  Known* first_ = nullptr;                                    // the transaction's first statement, if it only read
  std::uint64_t names_ = 0;
  std::string transaction_id_;
  std::string history_;
  std::string incarnation_;
  Trouble trouble_ = Trouble::none;
  std::uint64_t round_trips_ = 0;
  bool begin_pending_ = false;
  bool looking_ = false;
  bool warned_ = false;
};

}  // namespace qanat::store
