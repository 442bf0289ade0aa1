// Those who wait for something to happen to a stream, without a thread each: looked after by one thread, which calls them again when it happened, or when
// their time has come.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "quantum/qkm/stock.hpp"

namespace qanat::qkm {

class StreamWaiting {
 public:
  using Time = std::chrono::steady_clock::time_point;
  struct Guest {
    StreamId id;
    Time at;                                // called then at the latest
    std::move_only_function<void()> again;  // must not block
  };
  static constexpr std::size_t guests_max = 4096;

  StreamWaiting();
  ~StreamWaiting() { stop(); }
  StreamWaiting(const StreamWaiting&) = delete;
  StreamWaiting& operator=(const StreamWaiting&) = delete;

  /// Take it before looking: what happens after the look is then not slept through.
  [[nodiscard]] std::uint64_t rings() const;
  /// False, and `guest` stays the caller's, if too many wait. It is called at once if something happened since `seen`.
  [[nodiscard]] bool wait(Guest& guest, std::uint64_t seen);
  /// Something happened to the stream.
  void ring(const StreamId& id);
  /// Calls all who wait; whoever comes later is called at once. Idempotent.
  void stop();

 private:
  void run();

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::multimap<StreamId, Guest> guests_;
  std::uint64_t rings_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace qanat::qkm
