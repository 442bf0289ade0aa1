// Renews this element's certificates in good time, from a thread of its own: when two thirds of their life are over, again and again until it has been done.
#pragma once

#include <condition_variable>
#include <mutex>
#include <stop_token>
#include <thread>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "crypto/x509.hpp"

namespace qanat::node {

class Node;

/// When a certificate is to be renewed: `percent` of its life after its beginning, and up to renewal_jitter_percent of it later, as `chance` (of 256) says, so
/// that elements that were enrolled together do not come together.
inline constexpr unsigned renewal_jitter_percent = 5;
UnixMs renewal_due(const crypto::Certificate& certificate, unsigned percent, std::uint8_t chance) noexcept;
/// How long to wait after the `failures`-th failed attempt in a row (1, 2 …): from five seconds doubled to an hour, but never so long that a short life passes
/// meanwhile.
std::chrono::milliseconds renewal_pause(unsigned failures, std::chrono::milliseconds life) noexcept;

/// Puts it on record that what is in force now follows the certificate with this serial, or why nothing does.
Result<void> record_renewal(Node& node, const std::string& former, const Result<void>& renewed);
/// One attempt, on record whatever its outcome.
Result<void> renew_on_record(Node& node, Deadline deadline);

class Renewal {
 public:
  /// The node must outlive this.
  explicit Renewal(Node& node) : node_(node) {}
  ~Renewal() { stop(); }
  Renewal(const Renewal&) = delete;
  Renewal& operator=(const Renewal&) = delete;

  void start(unsigned percent);
  void stop();

 private:
  void run(unsigned percent, const std::stop_token& stopped);
  /// False if `stopped` came first.
  bool wait_until(UnixMs due, const std::stop_token& stopped);

  Node& node_;
  std::mutex mutex_;
  std::condition_variable_any wake_;
  std::jthread thread_;
};

}  // namespace qanat::node
