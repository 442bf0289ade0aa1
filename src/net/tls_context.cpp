#include "net/tls_context.hpp"

#include <openssl/err.h>
#include <openssl/x509.h>

#include <csignal>

#include "base/check.hpp"
#include "crypto/x509_openssl.hpp"
#include "net/tls_policy.hpp"

namespace qanat::net {
namespace {

std::string last_reason() {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  return tls_reason(code);
}

int check_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

bool is_ml_dsa(crypto::KeyAlgorithm algorithm) noexcept {
  return algorithm == crypto::KeyAlgorithm::ml_dsa_65 || algorithm == crypto::KeyAlgorithm::ml_dsa_87;
}

Result<void> check_peer(PeerCheck& check, X509* leaf) {
  ASSIGN_OR_RETURN(check.certificate, crypto::Certificate::parse(crypto::to_der<i2d_X509>(leaf)));
  const crypto::Certificate& certificate = *check.certificate;
  if (!is_ml_dsa(certificate.key_algorithm())) {
    return fail(ErrorCode::denied, "certificate has a " + std::string(name(certificate.key_algorithm())) + " key where only ML-DSA is accepted");
  }
  if (certificate.is_ca()) return fail(ErrorCode::denied, "certificate is a CA's");
  TRY(check.trust->verify(certificate, SystemClock().now_ms()));
  if (!certificate.names().element) return fail(ErrorCode::denied, "certificate names no element");
  if (check.expected && *certificate.names().element != *check.expected) {
    return fail(ErrorCode::unauthenticated, "certificate is " + certificate.names().element->uri() + "'s, not " + check.expected->uri() + "'s");
  }
  return {};
}

/// Replaces OpenSSL's chain building: the intermediates come from our trust store, never from the peer.
int verify_peer(X509_STORE_CTX* store, void*) noexcept {
  PeerCheck* const check = &check_of(store);
  X509* const leaf = X509_STORE_CTX_get0_cert(store);
  const crypto::ErrorScope errors;
  const Result<void> verdict = check_peer(*check, leaf);
  if (verdict) {
    X509_STORE_CTX_set_error(store, X509_V_OK);
    return 1;
  }
  check->refused = verdict.error();
  // The number chooses the alert (RFC 8446 §6.2): certificate_expired tells an element that it must renew, bad_certificate the rest.
  const bool expired = check->certificate && check->certificate->not_after() < SystemClock().now_ms();
  X509_STORE_CTX_set_error(store, expired ? X509_V_ERR_CERT_HAS_EXPIRED : X509_V_ERR_CERT_UNTRUSTED);
  return 0;
}

/// An answer with a nonce, an ML-DSA-87 signature and a responder's certificate has under 16 KiB.
constexpr std::size_t staple_octets_max = 32 * 1024;

int give_staple(SSL* connection, void* argument) noexcept {
  const auto& staple = *static_cast<const Staple*>(argument);
  return give_status(connection, staple ? staple() : nullptr);
}

struct FreeSession {
  void operator()(SSL_SESSION* session) const noexcept { SSL_SESSION_free(session); }
};

/// The pre-shared key as OpenSSL has it, for the one cipher suite; nullptr if OpenSSL cannot. The callbacks that know no suite would tie it to SHA-256.
SSL_SESSION* session_of(SSL* connection, const Secret& psk) noexcept {
  static constexpr unsigned char aes_256_gcm_sha384[] = {0x13, 0x02};
  std::unique_ptr<SSL_SESSION, FreeSession> session(SSL_SESSION_new());
  const SSL_CIPHER* const cipher = SSL_CIPHER_find(connection, aes_256_gcm_sha384);
  const ByteView key = psk.reveal();
  const bool made = session && cipher != nullptr && SSL_SESSION_set1_master_key(session.get(), key.data(), key.size()) == 1 &&
                    SSL_SESSION_set_cipher(session.get(), cipher) == 1 && SSL_SESSION_set_protocol_version(session.get(), TLS1_3_VERSION) == 1;
  return made ? session.release() : nullptr;
}

PeerCheck* check_of(const SSL* connection) noexcept { return static_cast<PeerCheck*>(SSL_get_ex_data(connection, check_index())); }

/// A key that is not known is none: the handshake goes on with certificates, and the client sees to it.
int find_chained(SSL* connection, const unsigned char* identity, std::size_t size, SSL_SESSION** session) noexcept {
  *session = nullptr;
  PeerCheck* const check = check_of(connection);
  if (check == nullptr || check->chained == nullptr || size == 0 || size > chain_identity_max) return 1;
  check->identity.assign(identity, identity + size);
  check->found = check->chained->find(check->identity);
  if (!check->found) return 1;
  *session = session_of(connection, check->found->psk);
  return *session != nullptr ? 1 : 0;
}

int use_chained(SSL* connection, const EVP_MD*, const unsigned char** identity, std::size_t* size, SSL_SESSION** session) noexcept {
  *session = nullptr;
  const PeerCheck* const check = check_of(connection);
  if (check == nullptr || check->proves == nullptr) return 1;
  *identity = check->proves->identity.data();
  *size = check->proves->identity.size();
  *session = session_of(connection, check->proves->psk);
  return *session != nullptr ? 1 : 0;
}

Result<void> show_identity(SSL_CTX* context, const TlsIdentity& identity) {
  if (identity.chain.empty()) return fail(ErrorCode::invalid_argument, "tls: identity has no certificate");
  if (!is_ml_dsa(identity.key.algorithm)) return fail(ErrorCode::invalid_argument, "tls: identity has a key that is not ML-DSA");
  if (SSL_CTX_use_certificate(context, crypto::native(identity.chain.front())) != 1) {
    return fail(ErrorCode::invalid_argument, "tls: certificate of " + identity.chain.front().subject() + ": " + last_reason());
  }
  for (std::size_t i = 1; i < identity.chain.size(); ++i) {
    if (SSL_CTX_add1_chain_cert(context, crypto::native(identity.chain[i])) != 1) {
      return fail(ErrorCode::invalid_argument, "tls: chain certificate of " + identity.chain[i].subject() + ": " + last_reason());
    }
  }
  ASSIGN_OR_RETURN(const crypto::EvpKey key, crypto::to_openssl(identity.key));
  if (SSL_CTX_use_PrivateKey(context, key.get()) != 1 || SSL_CTX_check_private_key(context) != 1) {
    return fail(ErrorCode::invalid_argument, "tls: the key is not the one of " + identity.chain.front().subject() + ": " + last_reason());
  }
  return {};
}

Result<TlsContext> make_context(const SSL_METHOD* method) {
  TlsContext context(SSL_CTX_new(method));
  if (!context) return fail(ErrorCode::internal, "tls: no context: " + last_reason());
  TRY(set_policy(context.get(), element_policy));
  SSL_CTX_set_cert_verify_callback(context.get(), verify_peer, nullptr);
  return Result<TlsContext>(std::move(context));
}

}  // namespace

Result<void> set_policy(SSL_CTX* context, const TlsPolicy& policy) {
  std::signal(SIGPIPE, SIG_IGN);  // OpenSSL's socket BIO writes without MSG_NOSIGNAL, and a peer that left is an error, not the end of the process
  const bool old = policy.version_min == TlsVersion::tls_1_2;
  const bool set = SSL_CTX_set_min_proto_version(context, old ? TLS1_2_VERSION : TLS1_3_VERSION) == 1 &&
                   SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1 && SSL_CTX_set1_groups_list(context, policy.groups) == 1 &&
                   SSL_CTX_set1_sigalgs_list(context, policy.signature_algorithms) == 1 &&
                   SSL_CTX_set1_client_sigalgs_list(context, policy.signature_algorithms) == 1 &&
                   SSL_CTX_set_ciphersuites(context, policy.cipher_suites) == 1 && (!old || SSL_CTX_set_cipher_list(context, policy.ciphers_of_tls_1_2) == 1) &&
                   SSL_CTX_set_num_tickets(context, 0) == 1;
  if (!set) return fail(ErrorCode::internal, "tls: this OpenSSL does not have the required algorithms: " + last_reason());
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_mode(context, SSL_MODE_NO_AUTO_CHAIN);
  return {};
}

Result<TlsContext> make_server_context(const TlsIdentity& identity, ClientCertificate client) {
  ASSIGN_OR_RETURN(TlsContext context, make_context(TLS_server_method()));
  TRY(show_identity(context.get(), identity));
  TRY(take_chained(context.get()));
  SSL_CTX_set_verify(context.get(), client == ClientCertificate::required ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_PEER, nullptr);
  return Result<TlsContext>(std::move(context));
}

Result<TlsContext> make_client_context(const TlsIdentity* identity) {
  ASSIGN_OR_RETURN(TlsContext context, make_context(TLS_client_method()));
  if (identity != nullptr) TRY(show_identity(context.get(), *identity));
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  return Result<TlsContext>(std::move(context));
}

int give_status(SSL* connection, const std::shared_ptr<const Bytes>& answer) noexcept {
  if (!answer || answer->empty() || answer->size() > staple_octets_max) return SSL_TLSEXT_ERR_NOACK;
  auto* const copy = static_cast<unsigned char*>(OPENSSL_memdup(answer->data(), answer->size()));
  if (copy == nullptr || SSL_set_tlsext_status_ocsp_resp(connection, copy, static_cast<long>(answer->size())) != 1) {
    OPENSSL_free(copy);
    return SSL_TLSEXT_ERR_NOACK;
  }
  return SSL_TLSEXT_ERR_OK;
}

void staple_status(SSL_CTX* context, const Staple* staple) {
  // OpenSSL hands the argument back as it is; nobody writes through it.
  SSL_CTX_set_tlsext_status_cb(context, give_staple);
  SSL_CTX_set_tlsext_status_arg(context, const_cast<Staple*>(staple));
}

Result<void> ask_for_status(SSL_CTX* context) {
  if (SSL_CTX_set_tlsext_status_type(context, TLSEXT_STATUSTYPE_ocsp) != 1) {
    return fail(ErrorCode::internal, "tls: status cannot be asked for: " + last_reason());
  }
  return {};
}

Bytes stapled_status(SSL* connection) {
  const unsigned char* octets = nullptr;
  const long size = SSL_get_tlsext_status_ocsp_resp(connection, static_cast<void*>(&octets));
  if (octets == nullptr || size <= 0 || static_cast<std::size_t>(size) > staple_octets_max) return {};
  return Bytes(octets, octets + size);
}

void attach(SSL* connection, PeerCheck* check) { CHECK(SSL_set_ex_data(connection, check_index(), check) == 1); }

PeerCheck& check_of(X509_STORE_CTX* store) {
  const auto* const connection = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* const check = static_cast<PeerCheck*>(SSL_get_ex_data(connection, check_index()));
  CHECK(check != nullptr);
  return *check;
}

Result<void> take_chained(SSL_CTX* context) {
  // OpenSSL wants a name for the context in which a key may be used again where certificates are asked for; none is ever used again here.
  static constexpr std::string_view name = "qanat chain";
  if (SSL_CTX_set_session_id_context(context, reinterpret_cast<const unsigned char*>(name.data()), name.size()) != 1) {
    return fail(ErrorCode::internal, "tls: chained keys cannot be taken: " + last_reason());
  }
  SSL_CTX_set_psk_find_session_callback(context, find_chained);
  return {};
}

void prove_chained(SSL* connection) { SSL_set_psk_use_session_callback(connection, use_chained); }

bool is_chained(const SSL* connection) { return SSL_session_reused(connection) == 1; }

Secret chain_exporter(SSL* connection) {
  static constexpr std::string_view label = "EXPORTER-QFCI-chain";
  Secret out(chain_exporter_size);
  CHECK(SSL_export_keying_material(connection, out.writable().data(), out.size(), label.data(), label.size(), nullptr, 0, 0) == 1);
  return out;
}

std::string tls_reason(unsigned long code) {
  const char* const reason = ERR_reason_error_string(code);
  return reason != nullptr ? reason : "TLS error " + std::to_string(code);
}

}  // namespace qanat::net
