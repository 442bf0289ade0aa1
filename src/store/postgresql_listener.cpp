#include "store/postgresql_listener.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>

#include "base/check.hpp"
#include "store/postgresql_connection.hpp"

namespace qanat::store {
namespace {

constexpr std::size_t to_tell_max = 4096;
constexpr std::size_t told_at_once_max = 256;
constexpr std::chrono::milliseconds connect_again{500};
constexpr std::chrono::milliseconds name_wait{5000};  // the server learns late that a process was killed

}  // namespace

PostgresqlListener::~PostgresqlListener() {
  if (thread_.joinable()) {
    thread_.request_stop();
    wake();
    thread_.join();
  }
  if (woken_ >= 0) (void)::close(woken_);
}

Result<void> PostgresqlListener::start() {
  woken_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  CHECK(woken_ >= 0);
  ASSIGN_OR_RETURN(std::unique_ptr<PostgresqlConnection> connection, connect(Deadline::after(name_wait)));
  thread_ = std::jthread([this, first = std::move(connection)](const std::stop_token& stopped) mutable { run(std::move(first), stopped); });
  return {};
}

void PostgresqlListener::wake() const {
  const std::uint64_t one = 1;
  (void)!::write(woken_, &one, sizeof one);  // fails only where the counter is full: then it is awake
}

void PostgresqlListener::tell_others(std::string_view channel) {
  CHECK(Changes::is_channel(channel));  // it stands in SQL
  {
    const std::lock_guard lock(mutex_);
    if (to_tell_.size() >= to_tell_max) return;
    to_tell_.emplace_back(channel);
  }
  wake();
}

Result<std::unique_ptr<PostgresqlConnection>> PostgresqlListener::connect(Deadline deadline) const {
  ASSIGN_OR_RETURN(std::unique_ptr<PostgresqlConnection> connection, PostgresqlConnection::open(place_.conninfo, place_.schema));
  TRY(connection->ask("SET synchronous_commit = off"));
  if (!place_.process.empty()) {
    ASSIGN_OR_RETURN(const bool own, connection->lock_session("process of " + place_.schema, place_.process, deadline));
    if (!own) return fail(ErrorCode::conflict, "another process has it open under the name " + place_.process);
  }
  TRY(connection->ask("LISTEN qanat_" + place_.schema));
  return Result<std::unique_ptr<PostgresqlConnection>>(std::move(connection));
}

void PostgresqlListener::run(std::unique_ptr<PostgresqlConnection> connection, const std::stop_token& stopped) {
  while (!stopped.stop_requested()) {
    if (connection) {
      changes_.announce_all();  // what was announced before this
      listen(*connection, stopped);
      connection.reset();
    } else if (auto again = connect(Deadline::after(name_wait))) {
      connection = *std::move(again);
      continue;
    }
    std::unique_lock lock(mutex_);
    again_.wait_for(lock, stopped, connect_again, [] { return false; });
  }
}

void PostgresqlListener::listen(PostgresqlConnection& connection, const std::stop_token& stopped) {
  const int own = PQbackendPID(connection.get());
  while (!stopped.stop_requested()) {
    std::array<pollfd, 2> waiting{pollfd{.fd = PQsocket(connection.get()), .events = POLLIN, .revents = 0},
                                  pollfd{.fd = woken_, .events = POLLIN, .revents = 0}};
    if (::poll(waiting.data(), waiting.size(), -1) < 0 && errno != EINTR) return;
    std::uint64_t count = 0;
    // The lock of run() ends with each round of it, which the analyser does not see.
    (void)!::read(woken_, &count, sizeof count);  // NOLINT(clang-analyzer-unix.BlockInCriticalSection)
    if (!tell(connection) || PQconsumeInput(connection.get()) == 0) return;
    struct Free {
      void operator()(PGnotify* notice) const noexcept { PQfreemem(notice); }
    };
    while (const std::unique_ptr<PGnotify, Free> notice{PQnotifies(connection.get())}) {
      if (notice->be_pid != own && notice->extra[0] != '\0') changes_.announce(notice->extra);
    }
  }
}

bool PostgresqlListener::tell(PostgresqlConnection& connection) {
  while (true) {
    std::deque<std::string> channels;
    {
      const std::lock_guard lock(mutex_);
      if (to_tell_.empty()) return true;
      while (!to_tell_.empty() && channels.size() < told_at_once_max) {
        channels.push_back(std::move(to_tell_.front()));
        to_tell_.pop_front();
      }
    }
    std::string sql;
    for (const std::string& channel : channels) sql += "NOTIFY qanat_" + place_.schema + ", '" + channel + "';";
    if (!connection.ask(sql)) return false;
  }
}

}  // namespace qanat::store
