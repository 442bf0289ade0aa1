#include "store/postgresql_connection.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <ranges>
#include <set>
#include <thread>

#include "base/check.hpp"
#include "store/postgresql_values.hpp"

namespace qanat::store {
namespace {

constexpr std::size_t conninfo_octets_max = 2048;
constexpr std::size_t schema_name_max = 32;
constexpr int server_version_min = 140000;  // the oldest that was thought of; tried with 15
constexpr std::size_t sql_octets_max = 65536;
constexpr std::string_view begin_words = "BEGIN ISOLATION LEVEL SERIALIZABLE";
constexpr std::string_view begin_look_words = "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY";
constexpr std::string_view number_if_any = "pg_current_xact_id_if_assigned()";
constexpr std::string_view number_of_this = "pg_current_xact_id()";

std::string without_newline(const char* text) {
  std::string out = text == nullptr ? "" : text;
  while (!out.empty() && (out.back() == '\n' || out.back() == ' ')) out.pop_back();
  std::ranges::replace(out, '\n', ' ');
  return out;
}

struct FreeOptions {
  void operator()(PQconninfoOption* options) const noexcept { PQconninfoFree(options); }
};

/// Statements after which the transaction goes on if they fail, so a savepoint stands before them. Not around a savepoint of the work's own: it would go with it.
bool may_change(std::string_view verb) {
  return verb != "SELECT" && verb != "VALUES" && verb != "SAVEPOINT" && verb != "RELEASE" && verb != "ROLLBACK";
}

}  // namespace

Result<void> check_conninfo(const std::string& conninfo) {
  if (conninfo.size() > conninfo_octets_max) return fail(ErrorCode::invalid_argument, "is longer than " + std::to_string(conninfo_octets_max) + " octets");
  char* message = nullptr;
  const std::unique_ptr<PQconninfoOption, FreeOptions> options(PQconninfoParse(conninfo.c_str(), &message));
  if (!options) {
    PQfreemem(message);  // it quotes what it did not understand, which may be a password
    return fail(ErrorCode::invalid_argument, "is not keyword=value, as libpq has it");
  }
  std::map<std::string, std::string, std::less<>> given;
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
    if (option->val != nullptr) given[option->keyword] = option->val;
  }
  for (const std::string_view secret : {"password", "sslpassword"}) {
    if (given.contains(secret)) return fail(ErrorCode::invalid_argument, "no " + std::string(secret) + " belongs here: name a file of mode 0600 by passfile=");
  }
  for (const std::string_view own : {"options", "service", "client_encoding", "replication"}) {
    if (given.contains(own)) return fail(ErrorCode::invalid_argument, std::string(own) + " may not be given");
  }
  if (!given.contains("dbname") || (!given.contains("host") && !given.contains("hostaddr")))
    return fail(ErrorCode::invalid_argument, "host and dbname must be given");
  // Where there is a hostaddr, that is where libpq goes, whatever the host says.
  const auto is_socket = [](const auto& host) { return !host.empty() && host.front() == '/'; };
  const bool local = !given.contains("hostaddr") && !given["host"].empty() && std::ranges::all_of(given["host"] | std::views::split(','), is_socket);
  if (!local && given["sslmode"] != "verify-full") {
    return fail(ErrorCode::invalid_argument, "a server over the network needs sslmode=verify-full and sslrootcert=");
  }
  return {};
}

Result<void> check_schema_name(std::string_view schema) {
  const auto plain = [](char c) { return (c >= 'a' && c <= 'z') || c == '_' || (c >= '0' && c <= '9'); };
  if (schema.empty() || schema.size() > schema_name_max || schema.front() < 'a' || schema.starts_with("pg_") || !std::ranges::all_of(schema, plain)) {
    return fail(ErrorCode::invalid_argument, "schema '" + std::string(schema) + "': small letters, digits and _, at most " + std::to_string(schema_name_max));
  }
  return {};
}

/// What is sent in one round trip.
struct PostgresqlConnection::Command {
  std::string name;  // of the prepared statement; empty: `sql` is run as it is
  std::string sql;   // with a name: prepare it
  const PostgresqlValues* values = nullptr;
  std::string prepares = {};        // its key in prepared_
  const Waiting* waited = nullptr;  // the change that it is of, if that waited
};

void PostgresqlConnection::note(void* self, const PGresult* notice) {
  const char* severity = PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED);
  if (severity != nullptr && std::strcmp(severity, "WARNING") == 0) static_cast<PostgresqlConnection*>(self)->warned_ = true;
}

Result<std::unique_ptr<PostgresqlConnection>> PostgresqlConnection::open(const std::string& conninfo, const std::string& schema) {
  TRY(check_conninfo(conninfo));
  TRY(check_schema_name(schema));
  // What the configuration does not say. Its own words stand first in `dbname`, which is expanded, and what follows would win: so these stand before it.
  const std::string timeout = std::to_string(connect_max_s);
  const std::string unacknowledged = std::to_string(answer_max.count());
  const std::array keywords{"connect_timeout",
                            "keepalives_idle",
                            "keepalives_interval",
                            "keepalives_count",
                            "tcp_user_timeout",
                            "ssl_min_protocol_version",
                            "gssencmode",
                            "target_session_attrs",
                            "fallback_application_name",
                            "dbname",
                            static_cast<const char*>(nullptr)};
  const std::array values{timeout.c_str(),
                          "10",
                          "5",
                          "3",
                          unacknowledged.c_str(),
                          "TLSv1.3",
                          "disable",
                          "read-write",
                          "qanat",
                          conninfo.c_str(),
                          static_cast<const char*>(nullptr)};
  static_assert(keywords.size() == values.size());
  std::unique_ptr<PostgresqlConnection> out(new PostgresqlConnection(PQconnectdbParams(keywords.data(), values.data(), 1)));
  if (PQstatus(out->get()) != CONNECTION_OK) return fail(ErrorCode::unavailable, "PostgreSQL: " + without_newline(PQerrorMessage(out->get())));
  TRY(out->check_channel());
  (void)PQsetNoticeReceiver(out->get(), note, out.get());
  if (PQsetnonblocking(out->get(), 1) != 0) return fail(ErrorCode::internal, "PostgreSQL: the connection cannot be made non-blocking");
  TRY(out->set_up(schema));
  return Result<std::unique_ptr<PostgresqlConnection>>(std::move(out));
}

Result<void> PostgresqlConnection::check_channel() {
  sockaddr_storage peer{};
  socklen_t size = sizeof peer;
  if (::getpeername(PQsocket(get()), reinterpret_cast<sockaddr*>(&peer), &size) != 0) return lost("its peer is not known");
  if (peer.ss_family == AF_UNIX) return {};
  const std::unique_ptr<PQconninfoOption, FreeOptions> used(PQconninfo(get()));
  for (const PQconninfoOption* option = used.get(); option != nullptr && option->keyword != nullptr; ++option) {
    if (std::string_view(option->keyword) != "sslmode" || option->val == nullptr) continue;
    if (std::string_view(option->val) == "verify-full" && PQsslInUse(get()) == 1) return {};
  }
  return fail(ErrorCode::denied, "PostgreSQL: the server was reached over the network without sslmode=verify-full: is PGHOSTADDR set?");
}

Result<void> PostgresqlConnection::set_up(const std::string& schema) {
  if (PQserverVersion(get()) < server_version_min)
    return fail(ErrorCode::denied, "PostgreSQL: the server is older than version " + std::to_string(server_version_min / 10000));
  const auto milliseconds = [](std::string_view setting, int value) { return "SET " + std::string(setting) + " = " + std::to_string(value); };
  for (const std::string& setting :
       {milliseconds("statement_timeout", statement_max_ms), milliseconds("lock_timeout", lock_wait_max_ms),
        milliseconds("idle_in_transaction_session_timeout", idle_transaction_max_ms), std::string("SET client_encoding = 'UTF8'"),
        std::string("SET standard_conforming_strings = on"), std::string("SET default_transaction_isolation = 'serializable'"),
        // A scan of a whole table reads, for a serialisable transaction, all that others write to it: small tables are looked up by their index, too.
        std::string("SET enable_seqscan = off"), "SET search_path = " + schema, std::string("SET client_min_messages = warning")}) {
    TRY(ask(setting));
  }
  TRY(check_durability());
  ASSIGN_OR_RETURN(history_, ask("SELECT system_identifier || '/' || (SELECT oid FROM pg_database WHERE datname = current_database()) || '/' ||"
                                 " substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) FROM pg_control_system()"));
  ASSIGN_OR_RETURN(incarnation_, ask("SELECT pg_postmaster_start_time()::text || '/' || coalesce(pg_last_wal_replay_lsn()::text, '')"));
  // Asked first: who may not make a schema may use one that the operator made.
  ASSIGN_OR_RETURN(const std::string there, ask("SELECT count(*) FROM pg_namespace WHERE nspname = '" + schema + "'"));
  if (there == "0") TRY(ask("CREATE SCHEMA IF NOT EXISTS " + schema));
  warned_ = false;
  return {};
}

Result<void> PostgresqlConnection::check_durability() {
  struct Setting {
    std::string_view name;
    std::set<std::string_view> sound;
  };
  // remote_write and local acknowledge what a standby, or the disk, may not have.
  const std::array settings{Setting{"synchronous_commit", {"on", "remote_apply"}}, Setting{"fsync", {"on"}}, Setting{"full_page_writes", {"on"}},
                            Setting{"server_encoding", {"UTF8"}}, Setting{"transaction_read_only", {"off"}}};
  for (const Setting& setting : settings) {
    ASSIGN_OR_RETURN(const std::string is, ask("SELECT current_setting('" + std::string(setting.name) + "')"));
    if (setting.sound.contains(is)) continue;
    const ErrorCode code = setting.name == "transaction_read_only" ? ErrorCode::unavailable : ErrorCode::denied;
    return fail(code, "PostgreSQL: " + std::string(setting.name) + " is " + is + ", it must be " + std::string(*setting.sound.begin()));
  }
  return {};
}

std::unexpected<Error> PostgresqlConnection::lost(const std::string& what) {
  trouble_ = Trouble::lost;
  return fail(ErrorCode::unavailable, "PostgreSQL: " + what + ": " + without_newline(PQerrorMessage(get())));
}

std::unexpected<Error> PostgresqlConnection::failure(const PGresult* result, std::string_view sql) {
  const char* field = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  const std::string state = field == nullptr ? "" : field;
  if (state.empty()) return lost("connection lost in: " + std::string(sql));
  const std::string_view group = std::string_view(state).substr(0, 2);
  const std::string in = " in: " + std::string(sql);
  // Of these the first line names constraints, columns and words of the statement; others quote values.
  const std::string primary = without_newline(PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY));
  if (group == "23") return fail(ErrorCode::conflict, primary + in);
  if (state == "22012") return fail(ErrorCode::conflict, "not one row was changed" + in);  // run_later() divides; no element does
  if (group == "42") return fail(ErrorCode::internal, primary + in);
  if (state == "40001" || state == "40P01") {
    trouble_ = Trouble::repeat;
    return fail(ErrorCode::unavailable, "PostgreSQL: the transaction met another one (" + state + ")" + in);
  }
  if (state == "55P03" || state == "57014") return fail(ErrorCode::unavailable, "PostgreSQL: took too long (" + state + ")" + in);
  const bool read_only = state == "25006";  // the server has become a standby
  if (group == "08" || group == "57" || read_only || state == "25P03") {
    trouble_ = Trouble::lost;
    return fail(ErrorCode::unavailable, "PostgreSQL: the server ended the connection (" + state + ")");
  }
  return fail(ErrorCode::internal, "PostgreSQL: error " + state + in);
}

bool PostgresqlConnection::await(short events, Deadline deadline) {
  pollfd waiting{.fd = PQsocket(get()), .events = events, .revents = 0};
  while (true) {
    const int count = ::poll(&waiting, 1, static_cast<int>(deadline.remaining().count()));
    if (count < 0 && errno == EINTR) continue;
    return count > 0;
  }
}

bool PostgresqlConnection::flush(Deadline deadline) {
  while (true) {
    const int left = PQflush(get());
    if (left <= 0) return left == 0;
    // What the server sends meanwhile must be taken, or both would wait.
    if (!await(POLLIN | POLLOUT, deadline) || PQconsumeInput(get()) == 0) return false;
  }
}

/// The next result; nullptr at the end of one command's results, and when the connection is lost, which trouble_ tells.
PostgresqlConnection::ResultPointer PostgresqlConnection::next(Deadline deadline) {
  while (PQisBusy(get()) != 0) {
    if (!await(POLLIN, deadline) || PQconsumeInput(get()) == 0) {
      trouble_ = Trouble::lost;
      return nullptr;
    }
  }
  return ResultPointer(PQgetResult(get()));
}

Result<std::string> PostgresqlConnection::ask(const std::string& sql) {
  const Deadline deadline = Deadline::after(answer_max);
  ++round_trips_;
  if (PQsendQuery(get(), sql.c_str()) == 0 || !flush(deadline)) return lost("cannot send " + sql);
  std::string out;
  std::optional<std::unexpected<Error>> failed;
  while (ResultPointer result = next(deadline)) {
    const ExecStatusType status = PQresultStatus(result.get());
    if (status == PGRES_TUPLES_OK && PQntuples(result.get()) > 0 && PQgetisnull(result.get(), 0, 0) == 0) out = PQgetvalue(result.get(), 0, 0);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK && !failed) failed = failure(result.get(), sql);
  }
  if (failed) return *failed;
  if (trouble_ == Trouble::lost || PQstatus(get()) != CONNECTION_OK) return lost("no answer to " + sql);
  return out;
}

Result<bool> PostgresqlConnection::lock_session(std::string_view kind, std::string_view name, Deadline deadline) {
  constexpr std::chrono::milliseconds look_again{20};
  for (const std::string_view text : {kind, name}) CHECK(text.find_first_of("'\\") == std::string_view::npos);
  const std::string sql = "SELECT pg_try_advisory_lock(hashtext('qanat " + std::string(kind) + "'), hashtext('" + std::string(name) + "'))";
  while (true) {
    ASSIGN_OR_RETURN(const std::string taken, ask(sql));
    if (taken == "t") return true;
    if (deadline.passed()) return false;
    std::this_thread::sleep_for(std::min(look_again, deadline.remaining()));
  }
}

/// One result for each command, in order; nullptr for those after one that failed.
Result<std::vector<PostgresqlConnection::ResultPointer>> PostgresqlConnection::exchange(const std::vector<Command>& commands) {
  const Deadline deadline = Deadline::after(answer_max);
  ++round_trips_;
  bool sent = PQenterPipelineMode(get()) == 1;
  for (const Command& command : commands) {
    if (command.name.empty()) {
      sent = sent && PQsendQueryParams(get(), command.sql.c_str(), 0, nullptr, nullptr, nullptr, nullptr, 0) == 1;
    } else if (!command.sql.empty()) {
      sent = sent && PQsendPrepare(get(), command.name.c_str(), command.sql.c_str(), command.values->count(), command.values->types()) == 1;
    } else {
      sent = sent && PQsendQueryPrepared(get(), command.name.c_str(), command.values->count(), command.values->octets(), command.values->lengths(),
                                         command.values->formats(), 1) == 1;
    }
  }
  if (!sent || PQpipelineSync(get()) != 1 || !flush(deadline)) return lost("cannot send");
  std::vector<ResultPointer> out;
  for (std::size_t i = 0; i < commands.size(); ++i) {
    ResultPointer result = next(deadline);
    if (!result) return lost("no answer");
    const ExecStatusType status = PQresultStatus(result.get());
    if (status != PGRES_COMMAND_OK && !commands[i].prepares.empty()) prepared_.erase(commands[i].prepares);
    out.push_back(status == PGRES_PIPELINE_ABORTED ? nullptr : std::move(result));
    while (const ResultPointer more = next(deadline)) continue;
    if (trouble_ == Trouble::lost) return lost("no answer");
  }
  const ResultPointer synced = next(deadline);
  if (!synced || PQresultStatus(synced.get()) != PGRES_PIPELINE_SYNC || PQexitPipelineMode(get()) != 1) return lost("no answer");
  return Result<std::vector<ResultPointer>>(std::move(out));
}

Result<PostgresqlConnection::Known*> PostgresqlConnection::translated(std::string_view sql, std::size_t values) {
  if (statements_.size() >= postgresql_statements_cached_max || prepared_.size() >= postgresql_statements_cached_max) {
    statements_.clear();
    prepared_.clear();
    first_ = nullptr;
    if (const auto freed = exchange({{.name = "", .sql = "DEALLOCATE ALL"}}); !freed) return fail(freed.error());
  }
  auto known = statements_.find(sql);
  if (known == statements_.end()) {
    if (sql.size() > sql_octets_max) return fail(ErrorCode::internal, "SQL of " + std::to_string(sql.size()) + " octets is over the limit");
    ASSIGN_OR_RETURN(PostgresqlStatement made, postgresql_statement(sql));
    known = statements_.emplace(std::string(sql), Known{.statement = std::move(made)}).first;
  }
  const std::size_t places = known->second.statement.places;
  if (places == values) return &known->second;
  return fail(ErrorCode::internal, std::to_string(values) + " values for " + std::to_string(places) + " places in: " + std::string(sql));
}

std::size_t PostgresqlConnection::add(std::vector<Command>& commands, const std::string& key, const std::string& sql, const PostgresqlValues& values) {
  auto known = prepared_.find(key);
  if (known == prepared_.end()) {
    known = prepared_.emplace(key, "q" + std::to_string(++names_)).first;
    commands.push_back({.name = known->second, .sql = sql, .values = &values, .prepares = key});
  }
  commands.push_back({.name = known->second, .sql = "", .values = &values});
  return commands.size() - 1;
}

std::vector<PostgresqlConnection::Command> PostgresqlConnection::opening() {
  std::vector<Command> out;
  if (std::exchange(begin_pending_, false)) out.push_back({.name = "", .sql = std::string(looking_ ? begin_look_words : begin_words)});
  for (const Waiting& one : waiting_) {
    const std::size_t from = out.size();
    (void)add(out, one.key, one.sql, one.values);
    for (std::size_t i = from; i < out.size(); ++i) out[i].waited = &one;
  }
  return out;
}

std::optional<std::size_t> PostgresqlConnection::add_number(std::vector<Command>& commands, std::string_view function) const {
  if (!transaction_id_.empty() || looking_) return std::nullopt;
  commands.push_back({.name = "", .sql = "SELECT " + std::string(function)});
  return commands.size() - 1;
}

void PostgresqlConnection::take_number(const std::vector<ResultPointer>& results, std::optional<std::size_t> at) {
  if (at && PQgetisnull(results[*at].get(), 0, 0) == 0) transaction_id_ = PQgetvalue(results[*at].get(), 0, 0);
}

Result<void> PostgresqlConnection::judge(const std::vector<Command>& commands, const std::vector<ResultPointer>& results, std::string_view sql,
                                         std::size_t& at) {
  for (at = 0; at < results.size(); ++at) {
    const ExecStatusType status = results[at] ? PQresultStatus(results[at].get()) : PGRES_FATAL_ERROR;
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) continue;
    const Waiting* const waited = commands[at].waited;
    return results[at] ? failure(results[at].get(), waited != nullptr ? std::string_view(waited->text) : sql) : lost("no answer");
  }
  return {};
}

Result<PostgresqlConnection::ResultPointer> PostgresqlConnection::execute(std::string_view sql, std::span<const Value> values, bool& changes) {
  ASSIGN_OR_RETURN(Known* const known, translated(sql, values.size()));
  ASSIGN_OR_RETURN(const PostgresqlValues given, PostgresqlValues::of(values, sql, PostgresqlValues::Octets::stay));
  changes = may_change(known->statement.verb);
  if (changes && looking_) return fail(ErrorCode::internal, "a look changes nothing: " + std::string(sql));
  const bool guarded = changes && (begin_pending_ || PQtransactionStatus(get()) == PQTRANS_INTRANS);
  const bool writes = guarded || !waiting_.empty();
  if (begin_pending_ && !writes) first_ = known;
  const bool before_changes = first_ == known && known->before_changes;

  std::vector<Command> commands = opening();
  const std::size_t own = commands.size();
  if (guarded) commands.push_back({.name = "", .sql = "SAVEPOINT statement"});
  const std::size_t place = add(commands, std::string(sql) + '\0' + given.signature(), known->statement.sql, given);
  if (guarded) commands.push_back({.name = "", .sql = "RELEASE statement"});
  std::optional<std::size_t> number;
  if (writes || before_changes) number = add_number(commands, before_changes ? number_of_this : number_if_any);
  if (looking_) commands.push_back({.name = "", .sql = "COMMIT"});
  auto results = exchange(commands);
  std::size_t at = 0;
  const auto done = results ? judge(commands, *results, sql, at) : Result<void>(fail(results.error()));
  waiting_.clear();  // after judge(): it names the change that failed
  if (!results) return fail(results.error());
  if (!done) {
    // What failed is undone and the transaction goes on, unless it is to be repeated as a whole, or failed in what came before.
    if (guarded && at >= own && trouble_ == Trouble::none) {
      if (const auto undone = exchange({{.name = "", .sql = "ROLLBACK TO statement"}, {.name = "", .sql = "RELEASE statement"}}); !undone)
        return fail(undone.error());
    }
    return fail(done.error());
  }
  take_number(*results, number);
  return Result<ResultPointer>(std::move((*results)[place]));
}

Result<void> PostgresqlConnection::run_later(std::string_view sql, std::span<const Value> values, Transaction::Rows rows) {
  ASSIGN_OR_RETURN(const Known* const known, translated(sql, values.size()));
  if (looking_ || !may_change(known->statement.verb)) return fail(ErrorCode::internal, "no change that can wait: " + std::string(sql));
  ASSIGN_OR_RETURN(PostgresqlValues given, PostgresqlValues::of(values, sql, PostgresqlValues::Octets::are_copied));
  Waiting one{.text = std::string(sql), .sql = known->statement.sql, .key = std::string(sql) + '\0' + given.signature(), .values = std::move(given)};
  if (rows == Transaction::Rows::one) {
    // COMMIT may follow before anybody here sees the count: the server itself must refuse.
    one.sql = "WITH changed AS (" + one.sql + " RETURNING 1) SELECT 1 / CASE WHEN count(*) = 1 THEN 1 ELSE 0 END FROM changed";
    one.key += '\1';
  }
  waiting_.push_back(std::move(one));
  return waiting_.size() < changes_waiting_max ? Result<void>() : send_waiting();
}

Result<void> PostgresqlConnection::send_waiting() {
  std::vector<Command> commands = opening();
  const std::optional<std::size_t> number = add_number(commands, number_if_any);
  const auto results = exchange(commands);
  std::size_t at = 0;
  const auto done = results ? judge(commands, *results, "", at) : Result<void>(fail(results.error()));
  waiting_.clear();
  if (done) take_number(*results, number);
  return done;
}

Result<std::int64_t> PostgresqlConnection::run(std::string_view sql, std::span<const Value> values) {
  bool changes = false;
  ASSIGN_OR_RETURN(const ResultPointer result, execute(sql, values, changes));
  const char* changed = changes ? PQcmdTuples(result.get()) : "";
  return *changed == '\0' ? std::int64_t{0} : std::int64_t{std::strtoll(changed, nullptr, 10)};
}

Result<void> PostgresqlConnection::query(std::string_view sql, std::span<const Value> values, const std::function<void(const Row&)>& each) {
  bool changes = false;
  ASSIGN_OR_RETURN(const ResultPointer result, execute(sql, values, changes));
  TRY(check_columns(*result, sql));
  const int rows = PQntuples(result.get());
  for (int row = 0; row < rows; ++row) each(PostgresqlRow(*result, row));
  return {};
}

Result<void> PostgresqlConnection::run_script(std::string_view script) {
  ASSIGN_OR_RETURN(const std::vector<std::string> statements, statements_of(script));
  for (const std::string& statement : statements) TRY(run(statement, {}));
  return {};
}

Result<void> PostgresqlConnection::begin() {
  CHECK(!begin_pending_ && waiting_.empty() && PQtransactionStatus(get()) == PQTRANS_IDLE);
  begin_pending_ = true;
  looking_ = warned_ = false;
  first_ = nullptr;
  transaction_id_.clear();
  trouble_ = Trouble::none;
  return {};
}

void PostgresqlConnection::begin_look() {
  (void)begin();
  looking_ = true;
}

Result<void> PostgresqlConnection::commit() {
  if (waiting_.empty() && std::exchange(begin_pending_, false)) return {};
  if (trouble_ == Trouble::lost) return fail(ErrorCode::unavailable, "PostgreSQL: the connection was lost");
  if (!waiting_.empty() && transaction_id_.empty()) {
    // The number must be here before COMMIT is sent, or nobody could ask what became of it. The next time it comes with the first statement.
    if (first_ != nullptr) first_->before_changes = true;
    TRY(send_waiting());
  }
  std::vector<Command> commands = opening();
  commands.push_back({.name = "", .sql = "COMMIT"});
  const auto results = exchange(commands);
  std::size_t at = 0;
  const auto done = results ? judge(commands, *results, "COMMIT", at) : Result<void>(fail(results.error()));
  waiting_.clear();
  TRY(done);
  if (std::strcmp(PQcmdStatus(results->back().get()), "COMMIT") != 0) return fail(ErrorCode::internal, "the transaction was rolled back within its work");
  return {};
}

void PostgresqlConnection::roll_back() {
  waiting_.clear();
  if (std::exchange(begin_pending_, false) || trouble_ == Trouble::lost || PQtransactionStatus(get()) == PQTRANS_IDLE) return;
  const Trouble before = trouble_;
  (void)ask("ROLLBACK");
  if (trouble_ != Trouble::lost) trouble_ = before;
}

bool PostgresqlConnection::in_transaction() const noexcept {
  return begin_pending_ || (trouble_ == Trouble::none && PQtransactionStatus(get()) == PQTRANS_INTRANS);
}

}  // namespace qanat::store
