// Ua-1: behaviour records for IAM, sent in the background in batches. A full queue drops the oldest record and counts it: what happened is
// in this KMS's own audit record in any case.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <thread>

#include "node/node.hpp"

namespace qanat::kms {

struct Behaviour {
  Uid uid;
  std::string action;
  std::string outcome;
  std::string object;
};

class Reporter {
 public:
  explicit Reporter(node::Node& node) : node_(node) {}
  ~Reporter() { stop(); }
  void start();
  void stop();
  void report(Behaviour behaviour);
  [[nodiscard]] std::size_t dropped();

 private:
  struct Entry {
    Behaviour behaviour;
    UnixMs time_ms;
  };
  void run();
  Result<void> send(const std::vector<Entry>& batch);

  node::Node& node_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Entry> queue_;
  std::size_t dropped_ = 0;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace qanat::kms
