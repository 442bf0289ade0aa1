// Keeps the pools of relayed keys full: looks at each domain every now and then, at once when keys were taken, and leaves a domain alone for a while
// where a relay failed. Each attempt costs link keys, so what rings does not shorten that.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "base/result.hpp"
#include "kme/stock/arrivals.hpp"

namespace qanat::kme {

class PoolFiller {
 public:
  struct Pauses {
    std::chrono::milliseconds look_every{500};
    std::chrono::milliseconds failed_max{8000};  // twice look_every after a failure, doubled with each further one up to this
  };
  /// Fills what is not full; may block. Called from one thread.
  using Fill = std::function<Result<void>(const std::string& domain)>;

  PoolFiller(const std::vector<std::string>& domains, Fill fill) : PoolFiller(domains, std::move(fill), Pauses{}) {}
  PoolFiller(const std::vector<std::string>& domains, Fill fill, Pauses pauses);
  ~PoolFiller() { stop(); }
  PoolFiller(const PoolFiller&) = delete;
  PoolFiller& operator=(const PoolFiller&) = delete;

  void start();
  /// Keys were taken. Does not block.
  void ring() { rung_.ring(); }
  /// Idempotent; waits for a fill that is under way.
  void stop();

 private:
  struct Domain {
    std::string name;
    std::chrono::milliseconds pause{0};  // after the last failure; 0: it succeeded
    Deadline::clock::time_point not_before{};
  };
  void run();
  /// When to look again at the latest.
  Deadline::clock::time_point look();

  const Fill fill_;
  const Pauses pauses_;
  std::vector<Domain> domains_;
  Arrivals rung_;
  std::atomic<bool> stopping_ = false;
  std::thread thread_;
};

}  // namespace qanat::kme
