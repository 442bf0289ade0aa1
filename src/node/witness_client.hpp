// Has the checkpoints of this element's audit record cosigned by a witness: the newest one each time, from a thread of its own. The element goes on when
// its witness is away, which is recorded once and tried again; what the witness refuses is recorded and said loudly.
#pragma once

#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <thread>

#include "node/node.hpp"

namespace qanat::node {

class WitnessClient {
 public:
  /// `peer` is one of the node's; the node must outlive it.
  WitnessClient(Node& node, std::string peer) : node_(node), peer_(std::move(peer)) {}
  ~WitnessClient() { stop(); }
  WitnessClient(const WitnessClient&) = delete;
  WitnessClient& operator=(const WitnessClient&) = delete;

  void start(std::chrono::milliseconds every);
  void stop();
  /// Whether the checkpoint is cosigned, or why not. A witness that is busy is asked again until the deadline, or until `stopped`.
  Result<void> submit(Deadline deadline, const std::stop_token& stopped = {});

 private:
  enum class State : std::uint8_t { unknown, reached, away, refused };
  Result<net::Response> exchange(const audit::Checkpoints::Latest& latest, Deadline deadline);
  Result<void> state_keys(Deadline deadline);
  Result<void> take(const audit::Checkpoints::Latest& latest, const net::Response& response);
  /// Waits for the turn of a busy witness; false if the deadline comes before, or `stopped`.
  bool wait_a_little(Deadline deadline, const std::stop_token& stopped);
  /// Records that the witness is away, refuses, or is back: when it becomes so, not each time. The outcome goes through.
  Result<void> turn(State state, Result<void> outcome);

  Node& node_;
  const std::string peer_;
  std::uint64_t known_ = 0;     // the size that the witness has cosigned, as far as is known here
  std::uint64_t cosigned_ = 0;  // the size of the last checkpoint that bears its cosignature
  State state_ = State::unknown;
  unsigned rest_ = 0;  // turns to let pass after a refusal
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread thread_;
};

}  // namespace qanat::node
