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
  using Frames = std::vector<Bytes>;
  Result<Frames> take_frames(const Exchange& request);
  Result<Frames> connect(const Exchange& request);
  /// Feeds the frames to the session; false in `alive` when it has ended.
  Result<Frames> feed(AliceSession& session, const Frames& frames, bool& alive);
  bool await_run(bool bob_wants_run, Deadline hold);
  Result<Frames> begin_block(const ConnectionId& connection);
  void disconnect();

  StepRunner runner_;
  std::unique_ptr<AliceDevice> device_;
  std::mutex work_;  // one exchange at a time; guards session_ and connection_
  std::optional<AliceSession> session_;
  ConnectionId connection_;

  std::mutex run_mutex_;  // guards what is below
  std::condition_variable run_changed_;
  bool run_ = false;
  std::chrono::steady_clock::time_point rest_until_{};  // after a block that failed
};

}  // namespace qanat::qkd
