// Carries to one other site's QKM what it must hear of the streams between the two: a thread of its own, so that a silent site holds up no other. What is to
// be told stands in the database; here is only which streams to look at, and which chunks are waited for.
#pragma once

#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "quantum/qkm/stock.hpp"

namespace qanat::qkm {

class StreamCourier {
 public:
  struct Key {
    StreamId id;
    kme::SaeId sae;  // whose end
    auto operator<=>(const Key&) const = default;
  };
  struct Task {
    Key key;
    std::uint32_t priority = 0;                                     // the greater is attended to first
    std::optional<std::uint32_t> wanted{};                          // a chunk that is waited for …
    Deadline until = Deadline(Deadline::clock::time_point::min());  // … so long
  };
  /// Of one walk over all tasks.
  struct Round {
    bool unreachable = false;    // the other QKM does not answer: nothing more is tried
    bool short_of_keys = false;  // a stream of greater priority got none: the others get none either
  };
  enum class Next : std::uint8_t { done, again };
  using Attend = std::function<Next(const Task& task, Round& round)>;

  explicit StreamCourier(Attend attend);
  ~StreamCourier() { stop(); }
  StreamCourier(const StreamCourier&) = delete;
  StreamCourier& operator=(const StreamCourier&) = delete;

  /// Look at that stream soon; what is waited for adds to what was waited for before.
  void look_at(Task task);
  /// Idempotent. What is left stands in the database.
  void stop();

 private:
  struct Entry {
    Task task;
    std::uint64_t change = 0;
  };
  void run();
  std::vector<Entry> in_order();

  const Attend attend_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<Key, Entry> tasks_;
  std::uint64_t changes_ = 0;
  bool fresh_ = false;  // something was added since the last round began
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace qanat::qkm
