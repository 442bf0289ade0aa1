// CMP over HTTP (RFC 9811): the paths that listeners serve, the threads that answer, and the one that looks after what is not confirmed.
#pragma once

#include <condition_variable>
#include <mutex>
#include <thread>

#include "net/foreign.hpp"
#include "net/workers.hpp"
#include "services/cas/ceis/cmp.hpp"

namespace qanat::cas {

class CmpFront {
 public:
  explicit CmpFront(CmpServer& server);
  ~CmpFront() { stop(); }
  CmpFront(const CmpFront&) = delete;
  CmpFront& operator=(const CmpFront&) = delete;

  /// Begins to look after what is not confirmed. Idempotent.
  void start();
  /// Listeners must have stopped: what waits for a thread is dropped.
  void stop();
  /// For a listener of plain HTTP and one of TLS alike; outlived by this object.
  [[nodiscard]] net::ForeignService service();

 private:
  void answer(net::ForeignRequest request, std::string profile, net::ForeignReply reply);
  void run();

  CmpServer& server_;
  net::Workers workers_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace qanat::cas
