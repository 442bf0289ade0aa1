#include "net/foreign_tls.hpp"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <memory>

#include "crypto/x509_openssl.hpp"
#include "net/tls_policy.hpp"

namespace qanat::net {
namespace {

constexpr int chain_depth_max = 8;

std::unexpected<Error> refused_file(const std::filesystem::path& file, std::string_view what) {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  const std::string why = code != 0 ? ": " + tls_reason(code) : std::string();
  return fail(ErrorCode::invalid_argument, file.string() + ": " + std::string(what) + why);
}

/// OpenSSL's own chain building and purpose check (serverAuth or clientAuth) under the configured roots, then the names.
int verify_foreign_peer(X509_STORE_CTX* store, void*) noexcept {
  auto& check = static_cast<ForeignPeerCheck&>(check_of(store));  // make_foreign_context() asks for one
  if (X509_verify_cert(store) != 1) {
    check.refused = Error{ErrorCode::unauthenticated, X509_verify_cert_error_string(X509_STORE_CTX_get_error(store))};
    return 0;
  }
  auto names = crypto::foreign_names(X509_STORE_CTX_get0_cert(store));
  if (!names) {
    check.refused = names.error();
    X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
  }
  check.names = std::move(*names);
  return 1;
}

/// A key that is encrypted is refused: there is nobody to ask for its passphrase.
int no_passphrase(char*, int, int, void*) { return -1; }

Result<void> check_private(const std::filesystem::path& file) {
  struct stat status {};
  if (::stat(file.c_str(), &status) != 0) return fail(ErrorCode::not_found, file.string() + ": cannot be read");
  if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) return fail(ErrorCode::denied, file.string() + ": others than its owner may read or change this private key");
  return {};
}

Result<void> show_chain(SSL_CTX* context, const ForeignChain& chain) {
  TRY(check_private(chain.key));
  if (SSL_CTX_use_certificate_chain_file(context, chain.certificate.c_str()) != 1) return refused_file(chain.certificate, "no certificate chain in PEM");
  if (SSL_CTX_use_PrivateKey_file(context, chain.key.c_str(), SSL_FILETYPE_PEM) != 1 || SSL_CTX_check_private_key(context) != 1) {
    return refused_file(chain.key, "not the private key of " + chain.certificate.string());
  }
  return {};
}

bool is_pem(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::string line;
  while (std::getline(in, line)) {
    if (line.starts_with("-----BEGIN ")) return true;
  }
  return false;
}

std::unexpected<Error> refused_value(const std::string& which, std::string_view what) {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  return fail(ErrorCode::invalid_argument, "tls: " + which + ": " + std::string(what) + (code != 0 ? ": " + tls_reason(code) : std::string()));
}

Result<crypto::X509Certificate> read_value(ByteView der, const std::string& which) {
  auto out = crypto::from_der<crypto::X509Certificate, d2i_X509>(der, which);
  if (!out) return fail_in("tls", std::move(out).error());
  return out;
}

/// A certificate of a listener, and what is stapled to it.
struct Stapled {
  crypto::X509Certificate certificate;
  Staple staple;
};
using StapledList = std::vector<Stapled>;

Result<void> show_identity(SSL_CTX* context, const ForeignIdentity& identity, StapledList& stapled) {
  if (identity.chain.empty() || !identity.key) return fail(ErrorCode::invalid_argument, "tls: an identity has no certificate or no key");
  ASSIGN_OR_RETURN(crypto::X509Certificate leaf, read_value(identity.chain.front(), "the listener's certificate"));
  ASSIGN_OR_RETURN(const crypto::EvpKey key, crypto::to_openssl(*identity.key));
  // The chain with its key at once: OpenSSL keeps one chain per kind of key.
  std::vector<crypto::X509Certificate> issuers;
  const crypto::BorrowedCertificates chain(sk_X509_new_null());
  for (std::size_t i = 1; i < identity.chain.size(); ++i) {
    ASSIGN_OR_RETURN(crypto::X509Certificate issuer, read_value(identity.chain[i], "an issuer of the listener's certificate"));
    if (!chain || sk_X509_push(chain.get(), issuer.get()) <= 0) return refused_value("chain", "out of memory");
    issuers.push_back(std::move(issuer));
  }
  if (!chain || SSL_CTX_use_cert_and_key(context, leaf.get(), key.get(), chain.get(), 1) != 1) return refused_value("chain", "does not fit its private key");
  if (identity.staple) stapled.push_back({.certificate = std::move(leaf), .staple = identity.staple});
  return {};
}

void free_stapled(void*, void* list, CRYPTO_EX_DATA*, int, long, void*) { delete static_cast<StapledList*>(list); }

int give_staple_of_shown(SSL* connection, void* argument) noexcept {
  const auto& list = *static_cast<const StapledList*>(argument);
  const X509* const shown = SSL_get_certificate(connection);  // within this callback: the one that was chosen for this client
  if (shown == nullptr) return SSL_TLSEXT_ERR_NOACK;
  const auto found = std::ranges::find_if(list, [&](const Stapled& each) { return X509_cmp(each.certificate.get(), shown) == 0; });
  return found == list.end() ? SSL_TLSEXT_ERR_NOACK : give_status(connection, found->staple());
}

/// The context owns the list: connections that began with it use both after the listener has gone on to another.
Result<void> staple_to_shown(SSL_CTX* context, StapledList list) {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, free_stapled);
  auto owned = std::make_unique<StapledList>(std::move(list));
  if (SSL_CTX_set_ex_data(context, index, owned.get()) != 1) return fail(ErrorCode::internal, "tls: out of memory");
  SSL_CTX_set_tlsext_status_cb(context, give_staple_of_shown);
  SSL_CTX_set_tlsext_status_arg(context, owned.release());
  return {};
}

Result<void> add_roots(X509_STORE* store, std::span<const Bytes> roots) {
  for (const Bytes& der : roots) {
    ASSIGN_OR_RETURN(const crypto::X509Certificate root, read_value(der, "a root"));
    if (X509_STORE_add_cert(store, root.get()) != 1) return refused_value("a root", "cannot be used");
  }
  return {};
}

/// Tells clients which of their certificates will do.
Result<void> name_roots(SSL_CTX* context, const STACK_OF(X509) * roots) {
  for (int i = 0; i < sk_X509_num(roots); ++i) {
    if (SSL_CTX_add_client_CA(context, sk_X509_value(roots, i)) != 1) return refused_value("a root", "cannot be named to clients");
  }
  return {};
}

Result<void> trust(SSL_CTX* context, TlsSide side, const ForeignTls& files) {
  X509_STORE* const store = SSL_CTX_get_cert_store(context);
  X509_LOOKUP* const lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());
  if (lookup == nullptr) return refused_value("roots", "out of memory");
  if (!files.roots.empty() || files.more_roots.empty()) {
    const int form = is_pem(files.roots) ? X509_FILETYPE_PEM : X509_FILETYPE_ASN1;
    if (X509_load_cert_file(lookup, files.roots.c_str(), form) <= 0) return refused_file(files.roots, "no root certificates");
  }
  TRY(add_roots(store, files.more_roots));
  // OpenSSL reads a certificate's extensions at its first use; here that is before several threads share it.
  const std::unique_ptr<STACK_OF(X509), crypto::Releaser<OSSL_STACK_OF_X509_free>> roots(X509_STORE_get1_all_certs(store));
  for (int i = 0; i < sk_X509_num(roots.get()); ++i) X509_check_purpose(sk_X509_value(roots.get(), i), -1, 0);
  if (side == TlsSide::server) TRY(name_roots(context, roots.get()));
  if (files.crls.empty()) return {};
  if (X509_load_crl_file(lookup, files.crls.c_str(), X509_FILETYPE_PEM) <= 0) return refused_file(files.crls, "no certificate revocation lists in PEM");
  if (X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK) != 1) return refused_file(files.crls, "cannot be used");
  return {};
}

Bytes thumbprint_of(const X509* certificate) {
  constexpr std::size_t sha256_size = 32;
  Bytes out(sha256_size);
  unsigned int size = 0;
  if (certificate == nullptr || X509_digest(certificate, EVP_sha256(), out.data(), &size) != 1 || size != sha256_size) return {};
  return out;
}

}  // namespace

Result<TlsContext> make_foreign_context(TlsSide side, const ForeignTls& files) {
  const crypto::ErrorScope errors;
  if (files.chains.empty() && files.identities.empty() && side == TlsSide::server) {
    return fail(ErrorCode::invalid_argument, "tls: the listener has no certificate chain");
  }
  TlsContext context(SSL_CTX_new(side == TlsSide::server ? TLS_server_method() : TLS_client_method()));
  if (!context) return fail(ErrorCode::internal, "tls: no context");
  TRY(set_policy(context.get(), foreign_policy));
  SSL_CTX_set_default_passwd_cb(context.get(), no_passphrase);
  for (const ForeignChain& chain : files.chains) TRY(show_chain(context.get(), chain));
  StapledList stapled;
  for (const ForeignIdentity& identity : files.identities) TRY(show_identity(context.get(), identity, stapled));
  if (side == TlsSide::server && !stapled.empty()) TRY(staple_to_shown(context.get(), std::move(stapled)));
  TRY(trust(context.get(), side, files));
  SSL_CTX_set_verify_depth(context.get(), chain_depth_max);
  const bool optional = side == TlsSide::server && files.client == ForeignCertificate::optional;
  SSL_CTX_set_verify(context.get(), optional ? SSL_VERIFY_PEER : SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_cert_verify_callback(context.get(), verify_foreign_peer, nullptr);
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_options(context.get(), SSL_OP_CLEANSE_PLAINTEXT | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_read_ahead(context.get(), 1);  // one system call for a record, not two
  return Result<TlsContext>(std::move(context));
}

bool CurrentContext::plain() const {
  const std::lock_guard lock(mutex_);
  return context_ == nullptr;
}

std::shared_ptr<SSL> CurrentContext::begin() const {
  std::shared_ptr<SSL_CTX> context;
  {
    const std::lock_guard lock(mutex_);
    context = context_;
  }
  if (!context) return nullptr;
  SSL* const connection = SSL_new(context.get());
  CHECK(connection != nullptr);
  return {connection, [kept = std::move(context)](SSL* last) { SSL_free(last); }};
}

void CurrentContext::replace(TlsContext context) {
  const std::lock_guard lock(mutex_);
  context_ = std::move(context);
}

ForeignPeer describe_peer(SSL* connection, const ForeignPeerCheck& check, std::string address) {
  const char* const group = SSL_get0_group_name(connection);
  X509* const certificate = SSL_get0_peer_certificate(connection);
  ForeignPeer out{.names = check.names,
                  .address = std::move(address),
                  .protocol = SSL_get_version(connection),
                  .group = group != nullptr ? group : "",
                  .quantum_safe = false,
                  .thumbprint = thumbprint_of(certificate),
                  .certificate = certificate != nullptr ? crypto::to_der<i2d_X509>(certificate) : Bytes()};
  out.quantum_safe = out.group == quantum_safe_group;
  return out;
}

}  // namespace qanat::net
