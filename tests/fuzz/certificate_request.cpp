// target: qanat_crypto
// Any octets as a PKCS#10: refused, or a request whose names and key can be read.
#include <cstddef>
#include <cstdint>

#include "crypto/x509.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  const auto request = qanat::crypto::CertificateRequest::parse({octets, size});
  if (request && (request->public_key().empty() || request->der().size() != size)) __builtin_trap();
  return 0;
}
