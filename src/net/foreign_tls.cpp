#include "net/foreign_tls.hpp"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <sys/stat.h>

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

Result<void> trust(SSL_CTX* context, TlsSide side, const ForeignTls& files) {
  X509_STORE* const store = SSL_CTX_get_cert_store(context);
  X509_LOOKUP* const lookup = X509_STORE_add_lookup(store, X509_LOOKUP_file());
  const int form = is_pem(files.roots) ? X509_FILETYPE_PEM : X509_FILETYPE_ASN1;
  if (lookup == nullptr || X509_load_cert_file(lookup, files.roots.c_str(), form) <= 0) return refused_file(files.roots, "no root certificates");
  // OpenSSL reads a certificate's extensions at its first use; here that is before several threads share it.
  const std::unique_ptr<STACK_OF(X509), crypto::Releaser<OSSL_STACK_OF_X509_free>> roots(X509_STORE_get1_all_certs(store));
  for (int i = 0; i < sk_X509_num(roots.get()); ++i) X509_check_purpose(sk_X509_value(roots.get(), i), -1, 0);
  if (side == TlsSide::server && form == X509_FILETYPE_PEM) {
    // Tells the client which of its certificates will do.
    if (SSL_CTX_set_client_CA_list(context, SSL_load_client_CA_file(files.roots.c_str())); SSL_CTX_get_client_CA_list(context) == nullptr) {
      return refused_file(files.roots, "no root certificates");
    }
  }
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
  if (files.chains.empty() && side == TlsSide::server) return fail(ErrorCode::invalid_argument, "tls: the listener has no certificate chain");
  TlsContext context(SSL_CTX_new(side == TlsSide::server ? TLS_server_method() : TLS_client_method()));
  if (!context) return fail(ErrorCode::internal, "tls: no context");
  TRY(set_policy(context.get(), foreign_policy));
  SSL_CTX_set_default_passwd_cb(context.get(), no_passphrase);
  for (const ForeignChain& chain : files.chains) TRY(show_chain(context.get(), chain));
  TRY(trust(context.get(), side, files));
  SSL_CTX_set_verify_depth(context.get(), chain_depth_max);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_cert_verify_callback(context.get(), verify_foreign_peer, nullptr);
  SSL_CTX_set_mode(context.get(), SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_options(context.get(), SSL_OP_CLEANSE_PLAINTEXT | SSL_OP_IGNORE_UNEXPECTED_EOF);
  SSL_CTX_set_read_ahead(context.get(), 1);  // one system call for a record, not two
  return Result<TlsContext>(std::move(context));
}

ForeignPeer describe_peer(SSL* connection, const ForeignPeerCheck& check, std::string address) {
  const char* const group = SSL_get0_group_name(connection);
  ForeignPeer out{.names = check.names,
                  .address = std::move(address),
                  .protocol = SSL_get_version(connection),
                  .group = group != nullptr ? group : "",
                  .quantum_safe = false,
                  .thumbprint = thumbprint_of(SSL_get0_peer_certificate(connection))};
  out.quantum_safe = out.group == quantum_safe_group;
  return out;
}

}  // namespace qanat::net
