// Certificates for software that others wrote, as PEM files: a root for SAEs, their certificates, and this KME's own towards them. For demonstrations,
// tests and small installations; an operator with a CA of his own uses that instead.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace qanat::crypto {

enum class ForeignKey : std::uint8_t { ecdsa_p256, ecdsa_p384, ml_dsa_65 };

struct PemFiles {
  std::filesystem::path certificate;
  std::filesystem::path key;          // PKCS#8, not encrypted, mode 0600
};

struct ForeignLeaf {
  std::string common_name;
  std::vector<std::string> uris;
  std::vector<std::string> dns;
  std::vector<std::string> addresses;  // IPv4
  int days = 365;
};

/// A self-signed root; conflict if a file is there already.
Result<void> make_foreign_root(const PemFiles& out, const std::string& name, ForeignKey key);
/// A leaf for both ends of TLS.
Result<void> make_foreign_leaf(const PemFiles& out, const ForeignLeaf& leaf, ForeignKey key, const PemFiles& issuer);
/// The issuer's revocation list as PEM, valid as long as a root: of the certificates in these files (PEM), those that it issued.
Result<std::string> make_foreign_crl(const PemFiles& issuer, std::span<const std::filesystem::path> revoked);

/// SHA-256 over the DER of the first certificate in a PEM text, whoever issued it and whatever its key is (RFC 8705 §3.1).
Result<Bytes> pem_thumbprint(std::string_view pem);

}  // namespace qanat::crypto
