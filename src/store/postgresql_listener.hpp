// Carries announcements between the processes on one database: a connection of its own that listens, and tells. Private to store.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>

#include "store/changes.hpp"
#include "store/store.hpp"

namespace qanat::store {

class PostgresqlConnection;

/// NOTIFY makes the commits of a database wait for one another, so it is not in the works' transactions but follows them, several at a time, in one that is
/// not waited for. What is lost with a process or a connection, others see at their next look.
class PostgresqlListener {
 public:
  PostgresqlListener(PostgresqlPlace place, Changes& changes) : place_(std::move(place)), changes_(changes) {}
  ~PostgresqlListener();
  PostgresqlListener(const PostgresqlListener&) = delete;
  PostgresqlListener& operator=(const PostgresqlListener&) = delete;
  /// Takes the process's name, if it has one: `conflict` if another process has it, after a while in which one that was just killed lets go.
  Result<void> start();
  /// What is over the queue's limit is dropped.
  void tell_others(std::string_view channel);

 private:
  Result<std::unique_ptr<PostgresqlConnection>> connect(Deadline deadline) const;
  void run(std::unique_ptr<PostgresqlConnection> connection, const std::stop_token& stopped);
  /// Until the connection is lost.
  void listen(PostgresqlConnection& connection, const std::stop_token& stopped);
  bool tell(PostgresqlConnection& connection);
  void wake() const;

  const PostgresqlPlace place_;
  Changes& changes_;
  std::mutex mutex_;
  std::condition_variable_any again_;
  std::deque<std::string> to_tell_;  // under mutex_
  int woken_ = -1;                   // an eventfd
  std::jthread thread_;
};

}  // namespace qanat::store
