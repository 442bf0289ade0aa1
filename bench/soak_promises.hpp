// What the terminals of the load test may believe about their working keys, held while it runs: a session has one key, and a key has one session.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/id.hpp"
#include "base/secret.hpp"

namespace qanat::bench {

/// Thread-safe. Of a key it keeps SHA-256, in memory alone.
class Promises {
 public:
  /// A terminal has opened this key for this session.
  void opened(const SidWk& session, const Secret& wk);
  /// Something else that must not be.
  void broken(std::string what);

  /// In the order in which they were found; the first hundred.
  [[nodiscard]] std::vector<std::string> findings() const;
  [[nodiscard]] bool kept() const;
  /// Sessions of which at least one end has its key.
  [[nodiscard]] std::size_t sessions() const;

 private:
  using KeyHash = Id<struct KeyHashTag, 32>;

  void note(std::string what);  // under mutex_

  mutable std::mutex mutex_;
  std::map<SidWk, KeyHash> key_of_;
  std::map<KeyHash, SidWk> session_of_;
  std::vector<std::string> findings_;
};

}  // namespace qanat::bench
