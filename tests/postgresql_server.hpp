// A PostgreSQL server with a cluster of its own in a new folder, reached by a socket there and by nothing else; gone with the object, and with the process
// however it ends. For tests (postgresql.hpp) and for the load test (bench/soak.hpp).
#pragma once

#include <grp.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fcntl.h>
#include <condition_variable>
#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/check.hpp"
#include "base/clock.hpp"
#include "base/result.hpp"

namespace qanat::test {

struct PostgresqlPlan {
  std::filesystem::path within = {};  // where its folder is made; empty: in memory, where there is room
  std::vector<std::string> settings = {"shared_buffers=32MB", "autovacuum=off"};
  std::string standby_of = {};  // conninfo of the server that this one follows by streaming replication; empty: it begins with a cluster of its own
};

/// Starts and ends in one thread: the kernel ends the server with the thread that started it.
class PostgresqlServer {
 public:
  explicit PostgresqlServer(PostgresqlPlan plan = {}) : plan_(std::move(plan)) {
    make_folder();
    const std::string data = folder_ / "data";
    const pid_t made = plan_.standby_of.empty() ? spawn({program("initdb"), "-D", data, "-A", "trust", "-U", "qanat", "-E", "UTF8", "--locale=C", "-N"})
                                                : spawn({program("pg_basebackup"), "-D", data, "-d", plan_.standby_of, "-R", "-X", "stream", "-c", "fast"});
    int status = 0;
    CHECK(::waitpid(made, &status, 0) == made && status == 0);
    start();
  }
  ~PostgresqlServer() {
    if (::getpid() != owner_) return;  // a child of a death test
    stop(SIGQUIT);
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  PostgresqlServer(const PostgresqlServer&) = delete;
  PostgresqlServer& operator=(const PostgresqlServer&) = delete;

  /// Where its socket is.
  [[nodiscard]] const std::filesystem::path& folder() const { return folder_; }
  /// "qanat" is the superuser.
  [[nodiscard]] std::string conninfo(const std::string& database = "postgres", const std::string& user = "qanat") const {
    return "host=" + folder_.string() + " user=" + user + " dbname=" + database;
  }
  /// As the superuser: every value of the answer's first column, as text.
  [[nodiscard]] Result<std::vector<std::string>> answer(const std::string& sql, const std::string& database = "postgres") const {
    const std::unique_ptr<PGconn, decltype([](PGconn* c) { PQfinish(c); })> connection(PQconnectdb(conninfo(database).c_str()));
    const std::unique_ptr<PGresult, decltype([](PGresult* r) { PQclear(r); })> result(PQexec(connection.get(), sql.c_str()));
    const ExecStatusType status = PQresultStatus(result.get());
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) return fail(ErrorCode::unavailable, sql + ": " + PQerrorMessage(connection.get()));
    std::vector<std::string> out;
    out.reserve(static_cast<std::size_t>(PQntuples(result.get())));
    for (int row = 0; row < PQntuples(result.get()); ++row) out.emplace_back(PQgetvalue(result.get(), row, 0));
    return Result<std::vector<std::string>>(std::move(out));
  }
  /// Ends every other connection to the database; how many.
  [[nodiscard]] Result<std::size_t> end_connections_to(const std::string& database) const {
    ASSIGN_OR_RETURN(const auto ended,
                     answer("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '" + database + "' AND pid <> pg_backend_pid()", database));
    return ended.size();
  }
  /// As after a loss of power: nothing is written that was not there.
  void crash() { stop(SIGQUIT); }
  void start() {
    CHECK(process_ == 0);
    std::vector<std::string> words{program("postgres"), "-D", (folder_ / "data").string(), "-k", folder_.string(),       "-c",
                                   "listen_addresses=", "-c", "max_connections=200",       "-c", "logging_collector=off"};
    for (const std::string& setting : plan_.settings) {
      words.emplace_back("-c");
      words.push_back(setting);
    }
    process_ = spawn(std::move(words));
    const Deadline deadline = Deadline::after(std::chrono::seconds(60));
    std::mutex mutex;
    std::condition_variable never;
    std::unique_lock lock(mutex);
    while (PQping(conninfo().c_str()) != PQPING_OK) {
      CHECK(!deadline.passed() && ::waitpid(process_, nullptr, WNOHANG) == 0);
      never.wait_for(lock, std::chrono::milliseconds(10));
    }
  }

 private:
  static constexpr std::uintmax_t memory_min = 1ULL << 30U;  // containers often have 64 MiB there, which is less than a cluster's log

  void make_folder() {
    // In memory where there is such a place: a commit waits for fsync, as it must, and that takes no time there.
    std::error_code none;
    const bool memory = ::access("/dev/shm", W_OK) == 0 && std::filesystem::space("/dev/shm", none).available >= memory_min && !none;
    const std::filesystem::path usual = memory ? "/dev/shm" : std::filesystem::temp_directory_path();
    const std::filesystem::path base = plan_.within.empty() ? usual : plan_.within;
    std::string pattern = (base / "qanat-pg-XXXXXX").string();
    CHECK(::mkdtemp(pattern.data()) != nullptr);
    folder_ = pattern;
    if (::geteuid() == 0) {  // PostgreSQL does not run as root
      const passwd* user = ::getpwnam("postgres");
      CHECK(user != nullptr);
      user_ = user->pw_uid;
      group_ = user->pw_gid;
      CHECK(::chown(folder_.c_str(), user_, group_) == 0);
    }
  }

  /// Debian keeps the server's programs out of the way, by version.
  static std::string program(const std::string& name) {
    std::filesystem::path found;
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator("/usr/lib/postgresql", none)) {
      if (std::filesystem::exists(entry.path() / "bin" / name) && entry.path() > found) found = entry.path();
    }
    CHECK(!found.empty() && "package postgresql is not installed: make setup");
    return found / "bin" / name;
  }

  [[nodiscard]] pid_t spawn(std::vector<std::string> words) const {
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    const std::string log = folder_ / "log";
    const pid_t parent = ::getpid();
    const pid_t child = ::fork();
    CHECK(child >= 0);
    if (child != 0) return child;
    if (user_ != 0 && (::setgroups(0, nullptr) != 0 || ::setgid(group_) != 0 || ::setuid(user_) != 0)) ::_exit(126);
    ::prctl(PR_SET_PDEATHSIG, SIGQUIT);  // at once and without ceremony
    if (::getppid() != parent) ::_exit(126);
    const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (out < 0) ::_exit(126);
    ::dup2(out, STDOUT_FILENO);
    ::dup2(out, STDERR_FILENO);
    ::close_range(STDERR_FILENO + 1, ~0U, 0);
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::setpgid(0, 0);
    ::execv(argv.front(), argv.data());
    ::_exit(127);
  }
  void stop(int signal) {
    if (process_ <= 0) return;
    (void)::kill(process_, signal);
    int status = 0;
    CHECK(::waitpid(process_, &status, 0) == process_);
    process_ = 0;
  }

  const PostgresqlPlan plan_;
  std::filesystem::path folder_;
  uid_t user_ = 0;
  gid_t group_ = 0;
  pid_t owner_ = ::getpid();
  pid_t process_ = 0;
};

}  // namespace qanat::test
