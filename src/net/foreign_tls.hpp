// OpenSSL contexts for connections with software that others wrote: their certificates and keys come as files or values, their roots are their own. Private to
// net/.
#pragma once

#include <memory>
#include <mutex>

#include "net/foreign.hpp"
#include "net/tls_context.hpp"

namespace qanat::net {

enum class TlsSide : std::uint8_t { server, client };

struct ForeignPeerCheck : PeerCheck {
  std::vector<std::string> names;  // of the certificate: URIs, DNS names, common name
};

/// foreign_policy with verification of the peer against `files.roots`. A connection needs attach() with a ForeignPeerCheck, which gets the peer's names or the
/// refusal. invalid_argument names the file that does not fit.
Result<TlsContext> make_foreign_context(TlsSide side, const ForeignTls& files);

/// What new connections of a listener begin with, which may be replaced while it runs. None: plain connections.
class CurrentContext {
 public:
  explicit CurrentContext(TlsContext context) : context_(std::move(context)) {}
  [[nodiscard]] bool plain() const;
  /// A connection of the context in force, which it keeps alive: by a count of ours, since those inside OpenSSL are none that a thread sanitizer sees. nullptr on
  /// a plain listener.
  [[nodiscard]] std::shared_ptr<SSL> begin() const;
  void replace(TlsContext context);

 private:
  mutable std::mutex mutex_;
  std::shared_ptr<SSL_CTX> context_;  // under mutex_
};

/// After the handshake.
ForeignPeer describe_peer(SSL* connection, const ForeignPeerCheck& check, std::string address);

}  // namespace qanat::net
