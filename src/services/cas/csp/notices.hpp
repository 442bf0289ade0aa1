// Tells every element of the configuration that certificates are revoked, until it has heard: it then forgets what it knew of them, and closes the
// connections that show them.
#pragma once

#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "net/workers.hpp"
#include "node/node.hpp"

namespace qanat::cas {

class RevocationNotices {
 public:
  explicit RevocationNotices(node::Node& node);
  ~RevocationNotices() { stop(); }
  RevocationNotices(const RevocationNotices&) = delete;
  RevocationNotices& operator=(const RevocationNotices&) = delete;

  void start();
  void stop();
  /// SHA-256 fingerprints, hexadecimal. An element that cannot be reached is asked again, with growing pauses; of more than 10 000 that one has not
  /// heard of the oldest are dropped: by then it has asked for their status anyway.
  void send(std::span<const std::string> fingerprints);
  /// How many notices an element has not heard yet, by its name; those that have heard all are left out.
  [[nodiscard]] std::map<std::string, std::size_t> waiting() const;

 private:
  using SteadyClock = std::chrono::steady_clock;
  struct Reader {
    std::deque<std::string> waiting;
    SteadyClock::time_point not_before{};
    std::chrono::milliseconds pause{};
    bool being_told = false;
  };
  void run();
  void tell(const std::string& peer, const std::vector<std::string>& fingerprints);

  node::Node& node_;
  net::Workers callers_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::map<std::string, Reader> readers_;  // by the peer's name
  std::thread thread_;
};

}  // namespace qanat::cas
