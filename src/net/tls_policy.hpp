// What TLS may negotiate, as data, for both kinds of connection: between our own elements (tls.hpp's constants), and towards software that others wrote,
// which cannot do as much. Private to net/.
#pragma once

#include <cstdint>
#include <string_view>

#include "net/tls_context.hpp"

namespace qanat::net {

enum class TlsVersion : std::uint8_t { tls_1_2, tls_1_3 };

/// What may be negotiated on a connection, best first. OpenSSL's spellings.
struct TlsPolicy {
  TlsVersion version_min{};
  const char* groups;
  const char* signature_algorithms;
  const char* cipher_suites;       // of TLS 1.3
  const char* ciphers_of_tls_1_2;  // "" where that version is not spoken
};
/// Between our own elements.
inline constexpr TlsPolicy element_policy{.version_min = TlsVersion::tls_1_3,
                                          .groups = tls_groups,
                                          .signature_algorithms = tls_signature_algorithms,
                                          .cipher_suites = tls_cipher_suites,
                                          .ciphers_of_tls_1_2 = ""};
/// The one group of `foreign_policy` that withstands a quantum computer.
inline constexpr std::string_view quantum_safe_group = "X25519MLKEM768";
/// Towards software that others wrote (encryptors, key managers of other makers): ETSI GS QKD 014 asks for TLS 1.2 or later. The hybrid group and the
/// ML-DSA chain are taken whenever the other end can; '/' makes the server ask for the first group even if the client guessed a later one.
inline constexpr TlsPolicy foreign_policy{
    .version_min = TlsVersion::tls_1_2,
    .groups = "X25519MLKEM768/X25519:secp256r1:secp384r1",
    .signature_algorithms = "mldsa65:mldsa87:mldsa44:ecdsa_secp256r1_sha256:ecdsa_secp384r1_sha384:rsa_pss_rsae_sha256:rsa_pss_rsae_sha384:rsa_pss_rsae_sha512:"
                            "rsa_pkcs1_sha256:rsa_pkcs1_sha384",
    .cipher_suites = "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256",
    .ciphers_of_tls_1_2 = "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256"};

/// Sets the policy on a new context. Every connection is a full handshake: resumption would carry an identity past its revocation.
Result<void> set_policy(SSL_CTX* context, const TlsPolicy& policy);

/// What attach() was given, for a verification callback; never nullptr.
PeerCheck& check_of(X509_STORE_CTX* store);

}  // namespace qanat::net
