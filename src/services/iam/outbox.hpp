// What must reach another element although it may be away now: entered in the transaction that gives rise to it, sent by a thread of its own in order per
// destination, until that one has answered. A message may come twice; receivers take it twice without harm.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "base/clock.hpp"
#include "points/points.hpp"
#include "store/store.hpp"
#include "wire/json.hpp"

namespace qanat::iam {

/// Hands a message to its destination; a value when that one has it.
using SendLetter = std::function<Result<void>(points::Endpoint endpoint, const std::string& destination, const wire::Json& body)>;

class Outbox {
 public:
  Outbox(store::Store& store, SendLetter send) : store_(store), send_(std::move(send)) {}
  ~Outbox() { stop(); }
  Outbox(const Outbox&) = delete;
  Outbox& operator=(const Outbox&) = delete;

  static Result<void> put(store::Transaction& transaction, const std::string& destination, points::Endpoint endpoint, const wire::Json& body, UnixMs now);
  /// After the transaction: there is something to send.
  void ring();
  void start();
  void stop();
  Result<std::int64_t> waiting();

  /// One round: for each destination what waits for it, until it does not answer. True if all of it was sent. The thread does this; tests too.
  Result<bool> deliver();

 private:
  void run();

  store::Store& store_;
  const SendLetter send_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool rung_ = false;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace qanat::iam
