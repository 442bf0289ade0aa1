// TLS straight on OpenSSL, for peers that do what ours never would.
#pragma once

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <string>

#include "crypto/x509_openssl.hpp"
#include "net/tls.hpp"

namespace qanat::net::test {

struct RawPolicy {
  const char* groups = tls_groups;
  const char* signature_algorithms = tls_signature_algorithms;
  int version = TLS1_3_VERSION;
};

using RawContext = std::unique_ptr<SSL_CTX, crypto::Releaser<SSL_CTX_free>>;

inline RawContext raw_context(const SSL_METHOD* method, const TlsIdentity* identity, RawPolicy policy = {}) {
  RawContext context(SSL_CTX_new(method));
  EXPECT_EQ(SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION), 1);
  EXPECT_EQ(SSL_CTX_set_max_proto_version(context.get(), policy.version), 1);
  EXPECT_EQ(SSL_CTX_set1_groups_list(context.get(), policy.groups), 1);
  EXPECT_EQ(SSL_CTX_set1_sigalgs_list(context.get(), policy.signature_algorithms), 1);
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
  if (identity != nullptr) {
    EXPECT_EQ(SSL_CTX_use_certificate(context.get(), crypto::native(identity->chain.front())), 1);
    EXPECT_EQ(SSL_CTX_use_PrivateKey(context.get(), crypto::to_openssl(identity->key).value().get()), 1);
  }
  return context;
}

inline sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

/// One end of a TLS connection with blocking calls; a socket time-out keeps a failing test from hanging.
class RawTls {
 public:
  RawTls(int descriptor, SSL_CTX& context) : descriptor_(descriptor), ssl_(SSL_new(&context)) {
    std::signal(SIGPIPE, SIG_IGN);  // OpenSSL's socket BIO writes without MSG_NOSIGNAL
    const timeval limit{.tv_sec = 10, .tv_usec = 0};
    ::setsockopt(descriptor_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    SSL_set_fd(ssl_.get(), descriptor_);
  }
  static RawTls to(std::uint16_t port, SSL_CTX& context) {
    const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const sockaddr_in address = loopback(port);
    EXPECT_EQ(::connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    return {descriptor, context};
  }
  RawTls(const RawTls&) = delete;
  RawTls& operator=(const RawTls&) = delete;
  ~RawTls() { close(); }

  [[nodiscard]] bool connect() { return SSL_connect(ssl_.get()) == 1; }
  [[nodiscard]] bool accept() { return SSL_accept(ssl_.get()) == 1; }
  bool write(std::string_view text) { return SSL_write(ssl_.get(), text.data(), static_cast<int>(text.size())) > 0; }
  /// What the peer sent until it contains `end`, or until the peer closes.
  std::string read_until(std::string_view end) {
    std::string out;
    std::array<char, 4096> chunk{};
    while (end.empty() || !out.contains(end)) {
      const int size = SSL_read(ssl_.get(), chunk.data(), static_cast<int>(chunk.size()));
      if (size <= 0) break;
      out.append(chunk.data(), static_cast<std::size_t>(size));
    }
    return out;
  }
  std::string read_all() { return read_until(""); }
  /// After the handshake: what the peer's certificate has a key of.
  [[nodiscard]] std::string peer_key_type() {
    const X509* const certificate = SSL_get0_peer_certificate(ssl_.get());
    return certificate != nullptr ? EVP_PKEY_get0_type_name(X509_get0_pubkey(certificate)) : "";
  }
  /// DER; the same.
  [[nodiscard]] Bytes peer_certificate() {
    X509* const certificate = SSL_get0_peer_certificate(ssl_.get());
    return certificate != nullptr ? crypto::to_der<i2d_X509>(certificate) : Bytes();
  }
  /// What the server stapled to its certificate; empty if nothing.
  [[nodiscard]] Bytes stapled() {
    const unsigned char* octets = nullptr;
    const long size = SSL_get_tlsext_status_ocsp_resp(ssl_.get(), static_cast<void*>(&octets));
    return octets != nullptr && size > 0 ? Bytes(octets, octets + size) : Bytes();
  }
  void close() {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = -1;
  }

 private:
  int descriptor_;
  std::unique_ptr<SSL, crypto::Releaser<SSL_free>> ssl_;
};

/// A listening socket on a free port; accepts one connection at a time.
class RawListener {
 public:
  RawListener() : descriptor_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address = loopback(0);
    EXPECT_EQ(::bind(descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(descriptor_, 8), 0);
    socklen_t size = sizeof address;
    EXPECT_EQ(::getsockname(descriptor_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
  }
  RawListener(const RawListener&) = delete;
  RawListener& operator=(const RawListener&) = delete;
  ~RawListener() { ::close(descriptor_); }
  [[nodiscard]] std::uint16_t port() const { return port_; }
  RawTls accept(SSL_CTX& context) { return {::accept(descriptor_, nullptr, nullptr), context}; }

 private:
  int descriptor_;
  std::uint16_t port_ = 0;
};

}  // namespace qanat::net::test
