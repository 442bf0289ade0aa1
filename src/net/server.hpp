// HTTP/1.1 over mutual TLS 1.3: a listener that routes by table.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "net/chain.hpp"
#include "net/http.hpp"
#include "net/tls.hpp"

namespace qanat::net {

struct ServerLimits {
  std::size_t connections_max = 512;          // a further one is closed at once
  std::size_t head_max = 16 * 1024;
  std::chrono::milliseconds handshake_max{5000};
  std::chrono::milliseconds head_and_body_max{5000};   // a slow client is cut off
  std::chrono::milliseconds idle_max{60000};           // between keep-alive requests
  std::chrono::milliseconds request_max{30000};        // upper bound of any request's deadline
  std::size_t worker_threads = 8;                      // handlers block on these
  std::size_t queue_max = 256;                         // requests waiting for a worker; a further one gets 503
};

struct ServerSettings {
  std::string address = "127.0.0.1";
  std::uint16_t port = 0;  // 0: any free port
  ServerLimits limits;
  ChainedKeys* chained = nullptr;  // must outlive the server; nullptr: certificates alone
};

/// Owns its threads. Before a handler runs: at most one Authorization field (400), route found (404), caller's kind in the row (403), certificate not
/// expired and its status good (403), body type and size in bounds (415, 413), deadline taken from header `Qanat-Deadline-Ms` (at most request_max). Each
/// refusal goes to the sink.
class Server {
 public:
  /// Binds and starts; unavailable if the port is taken. `status` may be empty (CAS checks in its own route handlers' table: it passes its own function).
  static Result<std::unique_ptr<Server>> start(const ServerSettings& settings, const TlsIdentity& identity, std::shared_ptr<const crypto::TrustStore> trust,
                                               std::vector<Route> routes, StatusCheck status, RefusalSink refused, Staple staple = {});
  virtual ~Server() = default;  // stops
  [[nodiscard]] virtual std::uint16_t port() const noexcept = 0;
  /// Connections that are accepted from now on are shown this certificate; those that are open go on with theirs. On failure all is as it was.
  virtual Result<void> show(const TlsIdentity& identity) = 0;
  /// Closes the connections whose peer shows a certificate that is no longer wanted, idle or in the middle of a request; each goes to the sink as a refusal.
  /// Returns at once.
  virtual void drop_peers(std::function<bool(const crypto::Certificate&)> unwanted) = 0;
  /// Stops accepting, lets requests that run finish (at most `grace`), then closes. Idempotent.
  virtual void stop(std::chrono::milliseconds grace) = 0;
};

}  // namespace qanat::net
