// Parts of certificates that every profile has. Private to crypto.
#pragma once

#include <vector>

#include "crypto/x509_openssl.hpp"

namespace qanat::crypto {

inline constexpr std::size_t serial_octets = 16;

enum class Criticality : std::uint8_t { normal = 0, critical = 1 };

Result<void> add_extension(X509* cert, int nid, void* value, Criticality criticality);
/// An extension that OpenSSL has no type for, by its DER.
Result<void> add_extension_der(X509* cert, const char* oid, ByteView der, Criticality criticality);
/// KeyUsage (RFC 5280 §4.2.1.3) by positions in its BIT STRING; critical.
Result<void> add_key_usage(X509* cert, const std::vector<int>& positions);
Result<void> add_extended_usage(X509* cert, const std::vector<int>& purposes);
/// RFC 6960 §4.2.2.2.1: for its short life, nobody need ask for the status of the signer of statuses.
Result<void> add_no_check(X509* cert);
/// RFC 9608 §2.
Result<void> add_no_rev_avail(X509* cert);
/// Subject and authority key identifiers, by RFC 7093 §2 (1) over the key's BIT STRING. `issuer` absent: self-signed.
Result<void> add_key_identifiers(X509* cert, ByteView public_key, const Certificate* issuer);

/// invalid_argument unless 16 octets, positive, the first bit clear.
Result<void> check_serial(const Bytes& serial);
Result<void> set_serial(X509* cert, const Bytes& serial);
/// invalid_argument unless `issuer` is a CA and the key its own.
Result<void> check_issuing_key(const Certificate& issuer, const PrivateKey& issuer_key, EVP_PKEY* native_key);

}  // namespace qanat::crypto
