#include "quantum/qkd/reconciliation/verification.hpp"

#include "crypto/aead.hpp"

namespace qanat::qkd {

Bytes verification_hash(ByteView public_key, const Secret& packed_key) { return crypto::poly1305(Secret::copy_of(public_key), packed_key.reveal()); }

double verification_collision(std::size_t octets) {
  const std::size_t blocks = (octets + 15) / 16;
  return 8.0 * static_cast<double>(blocks) * 0x1p-106;
}

}  // namespace qanat::qkd
