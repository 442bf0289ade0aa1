// Keeps a fresh status answer about this element's own certificate, for its server to staple to it: whoever connects then need not ask CAS. Asked for in the
// background, and only while somebody connects: an element at rest asks nothing.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>

#include "base/clock.hpp"
#include "net/tls.hpp"
#include "node/status.hpp"

namespace qanat::node {

class Stapler {
 public:
  using Ask = std::function<Result<StatusChecker::Fetched>()>;
  /// `fresh`: how long an answer counts with those who check it. Half of it is how old one may become before the next is asked for.
  Stapler(Ask ask, std::chrono::milliseconds fresh, const Clock& clock) : ask_(std::move(ask)), fresh_(fresh), clock_(clock) {}
  ~Stapler() { stop(); }
  Stapler(const Stapler&) = delete;
  Stapler& operator=(const Stapler&) = delete;

  void start();
  void stop();
  /// For the server: what is there and still fresh, otherwise nullptr. Wakes the thread if the next one is due. Does not block.
  std::shared_ptr<const Bytes> staple();
  /// The certificate has changed: what is there is no answer about the new one.
  void forget();

 private:
  void run(const std::stop_token& stopped);

  const Ask ask_;
  const std::chrono::milliseconds fresh_;
  const Clock& clock_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::shared_ptr<const Bytes> response_;  // under mutex_
  UnixMs made_ms_ = 0;                     // its thisUpdate
  std::uint64_t generation_ = 0;           // grows with each forget()
  bool wanted_ = false;
  std::jthread thread_;
};

}  // namespace qanat::node
