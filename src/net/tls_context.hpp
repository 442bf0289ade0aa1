// The one place that says what TLS is here (tls.hpp's constants), as OpenSSL contexts for both sides, and the check of the peer's
// certificate. Private to net/.
#pragma once

#include <openssl/ssl.h>

#include <chrono>
#include <memory>
#include <optional>

#include "net/chain.hpp"
#include "net/tls.hpp"

namespace qanat::net {

/// A certificate's status is asked anew on a connection that lives longer than this.
inline constexpr std::chrono::milliseconds status_recheck{5000};

/// What became of the peer's certificate in one handshake. Lives as long as the SSL object that it is attached to.
struct PeerCheck {
  const crypto::TrustStore* trust = nullptr;
  std::optional<Identity> expected;               // a client's: whose certificate the server must show
  std::optional<crypto::Certificate> certificate;  // set as soon as it was parsed, also when it is then refused
  std::optional<Error> refused;                   // why the handshake was ended by us, if it was
  ChainedKeys* chained = nullptr;                 // a server's: keys that a client may prove in place of a certificate
  Bytes identity;                                 // of the key that the client named
  std::optional<ChainedKeys::Found> found;        // that key
  const ChainedKey* proves = nullptr;             // a client's: the key that it proves
};

struct FreeContext {
  void operator()(SSL_CTX* context) const noexcept { SSL_CTX_free(context); }
};
using TlsContext = std::unique_ptr<SSL_CTX, FreeContext>;

enum class ClientCertificate : unsigned char { required, optional };

/// invalid_argument if the chain is empty or the key is not the leaf's.
Result<TlsContext> make_server_context(const TlsIdentity& identity, ClientCertificate client);
/// `identity` may be nullptr: an anonymous caller.
Result<TlsContext> make_client_context(const TlsIdentity* identity);

/// Answers clients that ask for the status of this server's certificate. `staple` must outlive the context and its connections.
void staple_status(SSL_CTX* context, const Staple* staple);
/// For a server's status callback: gives the connection the answer; SSL_TLSEXT_ERR_NOACK, and the handshake goes on without, if there is none or it is too large.
int give_status(SSL* connection, const std::shared_ptr<const Bytes>& answer) noexcept;
/// Asks servers for the status of their certificate.
Result<void> ask_for_status(SSL_CTX* context);
/// After a client's handshake: what the server stapled; empty if nothing.
Bytes stapled_status(SSL* connection);

/// Before the handshake: where the verification finds its trust and leaves its verdict.
void attach(SSL* connection, PeerCheck* check);

/// A server that takes keys of `PeerCheck::chained`.
Result<void> take_chained(SSL_CTX* context);
/// A client that proves `PeerCheck::proves`.
void prove_chained(SSL* connection);
/// After a handshake: whether such a key was proved, so that no certificate was shown.
bool is_chained(const SSL* connection);
/// After the handshake, hence after both Finished: what the next connection's key is made of (chain.hpp).
Secret chain_exporter(SSL* connection);

/// OpenSSL's words for an error code of its queue ("no suitable key share").
std::string tls_reason(unsigned long code);

}  // namespace qanat::net
