// TLS 1.3 with ML-DSA certificates both ways and hybrid groups only.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "crypto/x509.hpp"
#include "net/http.hpp"

namespace qanat::net {

/// What an element shows in a handshake. `chain`: leaf first, then issuing CA(s), without the root.
struct TlsIdentity {
  std::vector<crypto::Certificate> chain;
  crypto::PrivateKey key;
};

/// Only these are ever offered or accepted.
inline constexpr const char* tls_groups = "X25519MLKEM768";
inline constexpr const char* tls_signature_algorithms = "mldsa65:mldsa87";
inline constexpr const char* tls_cipher_suites = "TLS_AES_256_GCM_SHA384";

/// Asked once per connection, after chain and validity held: is this certificate still good? Blocking, on a worker thread.
using StatusCheck = std::function<Result<void>(const crypto::Certificate&, Deadline)>;

/// A status answer (DER OCSPResponse) about a server's own certificate, for the handshakes that ask for it (RFC 6066 §8, RFC 8446 §4.4.2.1); nullptr: there is
/// none at present. Called on an io thread: must not block.
using Staple = std::function<std::shared_ptr<const Bytes>()>;
/// What a server has stapled to its certificate; whoever gets it decides whether it counts.
using StapleSink = std::function<void(const crypto::Certificate&, ByteView response)>;

/// A refusal worth an audit record: handshake, status, wrong kind, no route, limits.
struct Refusal {
  std::string point;    // "" when it failed before a route was known
  std::string peer;     // SAN URI if known, else the address
  std::string reason;
  ErrorCode code{};
};
using RefusalSink = std::function<void(const Refusal&)>;

}  // namespace qanat::net
