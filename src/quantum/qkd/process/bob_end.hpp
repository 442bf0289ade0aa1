// Bob's end: dials, greets, and keeps the exchanges going.
#pragma once

#include <atomic>

#include "quantum/qkd/process/end.hpp"

namespace qanat::qkd {

class BobEnd {
 public:
  /// Brings one exchange to Alice and her answer back.
  using Send = std::function<Result<Bytes>(ByteView exchange, Deadline deadline)>;
  BobEnd(EndParts parts, std::unique_ptr<BobDevice> device, Send send) : runner_(std::move(parts)), device_(std::move(device)), send_(std::move(send)) {}

  /// One exchange; connects first if need be. After a failure the connection is over and the next turn begins a new one.
  Result<void> turn(Deadline deadline);
  /// This site's order, which Alice is told.
  void set_run(bool run) { run_ = run; }
  [[nodiscard]] EndFacts facts() const { return runner_.facts(); }

 private:
  Result<void> connect(Deadline deadline);
  /// With Alice, if this end has no state and the link agrees on its first key.
  Result<void> agree_first_key(Deadline deadline);
  Result<void> exchange(Deadline deadline);
  /// Queues what the session wants to say; false once it has ended.
  Result<bool> carry_out(Step step);

  StepRunner runner_;
  std::unique_ptr<BobDevice> device_;
  const Send send_;
  std::atomic<bool> run_ = false;
  std::optional<BobSession> session_;
  ConnectionId connection_;
  FrameInlet inlet_;
  FrameOutlet outlet_;
};

}  // namespace qanat::qkd
