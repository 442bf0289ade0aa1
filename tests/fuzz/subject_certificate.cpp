// target: qanat_crypto
// Any octets as a certificate or public key of foreign software: refused, or one that can be read and is read again to the same.
#include <cstddef>
#include <cstdint>

#include "crypto/subject.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  const auto certificate = qanat::crypto::SubjectCertificate::parse({octets, size});
  if (certificate && (certificate->der().size() != size || certificate->serial().empty())) __builtin_trap();
  const auto key = qanat::crypto::SubjectPublicKey::parse({octets, size});
  if (key) {
    const auto again = qanat::crypto::SubjectPublicKey::parse(key->der());
    if (!again || !(*again == *key)) __builtin_trap();
  }
  return 0;
}
