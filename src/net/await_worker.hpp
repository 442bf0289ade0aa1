// A coroutine on the io thread waits for work that blocks on a worker. Private to net/.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "net/workers.hpp"

namespace qanat::net {

enum class WorkState : unsigned char {
  done,
  late,  // the time came first, or the wait was cancelled: the work still runs, and its value will be dropped
  full,  // no place in the queue: the work was not taken
};

template <class T>
struct Awaited {
  WorkState state{};
  std::optional<T> value;  // iff done
};

/// `io` must be run by exactly one thread, the one that this coroutine is on. While it waits, `*waiting` points to a timer whose
/// cancel() ends the wait.
template <class T>
boost::asio::awaitable<Awaited<T>> await_worker(boost::asio::io_context& io, Workers& workers, std::move_only_function<T()> work,
                                                boost::asio::steady_timer::time_point until, boost::asio::steady_timer** waiting) {
  struct Slot {
    explicit Slot(boost::asio::io_context& context) : done(context) {}
    boost::asio::steady_timer done;
    std::optional<T> value;
  };
  // Shared by this coroutine and the worker: either may be gone first.
  auto slot = std::make_shared<Slot>(io);
  slot->done.expires_at(until);
  // What the worker posts runs on this thread, so never between submit() and async_wait().
  const bool taken = workers.submit([slot, work = std::move(work), &io]() mutable {
    T value = work();
    boost::asio::post(io, [slot = std::move(slot), value = std::move(value)]() mutable {
      slot->value = std::move(value);
      slot->done.cancel();
    });
  });
  if (!taken) co_return Awaited<T>{.state = WorkState::full, .value = std::nullopt};
  *waiting = &slot->done;
  co_await slot->done.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
  *waiting = nullptr;
  if (!slot->value) co_return Awaited<T>{.state = WorkState::late, .value = std::nullopt};
  co_return Awaited<T>{.state = WorkState::done, .value = std::move(slot->value)};
}

}  // namespace qanat::net
