// target: qanat_crypto
// Any octets as an OCSP request: refused, or one query within the bounds of RFC 5280 and RFC 9654.
#include <cstddef>
#include <cstdint>

#include "crypto/x509.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  const auto query = qanat::crypto::parse_status_request({octets, size});
  if (!query) return 0;
  const bool sha1_or_sha256 = query->issuer_key_hash.size() == 20 || query->issuer_key_hash.size() == 32;
  if (query->serial.empty() || query->serial.size() > 20 || query->nonce.size() > 128 || !sha1_or_sha256) __builtin_trap();
  return 0;
}
