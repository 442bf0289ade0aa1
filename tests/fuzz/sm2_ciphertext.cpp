// target: qanat_crypto
// The SM2 ciphertext codec: whatever one direction accepts, the other turns back into the same octets.
#include <cstdint>
#include <cstdlib>

#include "crypto/sm2_ciphertext.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* octets, std::size_t size) {
  const qanat::ByteView input(octets, size);
  if (const auto raw = qanat::crypto::sm2_raw_from_der(input)) {
    const auto der = qanat::crypto::sm2_der_from_raw(*raw);
    if (!der || !qanat::equal(*der, input)) std::abort();
  }
  if (const auto der = qanat::crypto::sm2_der_from_raw(input)) {
    const auto raw = qanat::crypto::sm2_raw_from_der(*der);
    if (!raw || !qanat::equal(*raw, input)) std::abort();
  }
  return 0;
}
