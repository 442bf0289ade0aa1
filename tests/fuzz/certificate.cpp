// target: qanat_crypto
// Any octets as a certificate, in DER and in PEM: parsed or refused, and what parses is the same DER again.
#include <cstddef>
#include <cstdint>

#include "crypto/x509.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  const qanat::ByteView input(octets, size);
  static_cast<void>(qanat::crypto::Certificate::parse_pem_chain(qanat::as_text(input)));
  const auto cert = qanat::crypto::Certificate::parse(input);
  if (!cert) return 0;
  if (!qanat::equal(cert->der(), input)) __builtin_trap();
  // Nothing chains under its own pretence: an empty store trusts nobody.
  if (qanat::crypto::TrustStore({}, {*cert}).verify(*cert, cert->not_before())) __builtin_trap();
  return 0;
}
