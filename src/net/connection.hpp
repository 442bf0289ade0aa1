// One connection of a client: blocking, with a deadline on everything, on the caller's thread. Private to net/.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "net/client.hpp"
#include "net/tls_context.hpp"

namespace qanat::net {

inline constexpr std::size_t response_body_max = 1024 * 1024;
inline constexpr std::size_t response_head_max = 16 * 1024;

struct Exchanged {
  Result<Response> answer;
  bool untouched = false;  // the connection ended before the first octet of an answer
  bool keep = false;       // a further request may follow
};

class Connection {
 public:
  virtual ~Connection() = default;
  /// Connects and shakes hands. unauthenticated if the certificate does not hold or is not `expected`'s.
  virtual Result<void> open(const std::string& host, std::uint16_t port, Deadline deadline) = 0;
  /// The same in place of certificates by a key that a connection to the same server made (chain.hpp), whose certificate is given.
  /// unauthenticated if the server does not prove the key.
  virtual Result<void> open_chained(const std::string& host, std::uint16_t port, const ChainedKey& key, const crypto::Certificate& server, Deadline deadline) = 0;
  /// After open(): for the key of the next connection.
  [[nodiscard]] virtual Secret exporter() = 0;
  /// After open(): the server's certificate, verified.
  [[nodiscard]] virtual const crypto::Certificate& server_certificate() const = 0;
  /// After open(): what the server stapled to it; empty if nothing.
  [[nodiscard]] virtual Bytes stapled() = 0;
  virtual Exchanged exchange(const Call& call, Deadline deadline) = 0;
  /// False if the server has closed meanwhile, or sent what nobody asked for.
  [[nodiscard]] virtual bool is_open() = 0;

  // The pool's notes.
  std::optional<std::chrono::steady_clock::time_point> status_good_at;
  std::chrono::steady_clock::time_point dialled_at;
  std::chrono::steady_clock::time_point idle_since;
  std::uint64_t generation = 0;  // of the pool, when it was dialled
};

/// The context and the trust store must outlive the connection.
std::unique_ptr<Connection> make_connection(SSL_CTX& context, const crypto::TrustStore& trust, const Identity& expected);

}  // namespace qanat::net
