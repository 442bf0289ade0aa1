// Alice's end: answers Bob's exchanges and decides when a block begins.
#pragma once

#include <chrono>
#include <condition_variable>

#include "quantum/qkd/process/end.hpp"

namespace qanat::qkd {

class AliceEnd {
 public:
  AliceEnd(EndParts parts, std::unique_ptr<AliceDevice> device) : runner_(std::move(parts)), device_(std::move(device)) {}

  /// One exchange. With nothing to say the answer waits until there is, or until `hold`. Exchanges are worked on one at a time. conflict for
  /// an exchange of a connection that is over.
  Result<Bytes> answer(ByteView request, Deadline hold);
  /// This site's order; a block is begun when either site wants one.
  void set_run(bool run);
  [[nodiscard]] EndFacts facts() const { return runner_.facts(); }

 private:
  /// Bob has no keys yet. denied unless this link agrees on its first key, and only before the first block.
  Result<Bytes> agree_first_key(ByteView request);
  /// Takes the request's piece of the stream. What a session that ends by it has still to say goes to `last_words`.
  Result<void> take(const Exchange& request, FrameOutlet& last_words);
  Result<void> connect(const Exchange& request, FrameOutlet& last_words);
  /// Feeds the frames to the session; false once it has ended.
  Result<bool> feed(AliceSession& session, const std::vector<Bytes>& frames, FrameOutlet& replies);
  bool await_run(bool bob_wants_run, Deadline hold);
  Result<void> begin_block(const ConnectionId& connection);
  void rest();
  void disconnect();

  StepRunner runner_;
  std::unique_ptr<AliceDevice> device_;
  std::mutex work_;  // one exchange at a time; guards the four below
  std::optional<AliceSession> session_;
  ConnectionId connection_;
  FrameInlet inlet_;
  FrameOutlet outlet_;

  std::mutex run_mutex_;  // guards what is below
  std::condition_variable run_changed_;
  bool run_ = false;
  std::chrono::steady_clock::time_point rest_until_{};  // after a block that failed
};

}  // namespace qanat::qkd
