// OpenSSL contexts for connections with software that others wrote: their certificates and keys come as files, their roots are their own. Private to net/.
#pragma once

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

/// After the handshake.
ForeignPeer describe_peer(SSL* connection, const ForeignPeerCheck& check, std::string address);

}  // namespace qanat::net
