#include "quantum/qkd/reconciliation/verification.hpp"

namespace qanat::qkd {

Bytes verification_hash(ByteView public_key, const Secret& packed_key) {
  PolynomialHash hash(public_key);
  hash.update(packed_key.reveal());
  return to_bytes(hash.finish());
}

double verification_collision(std::size_t octets) { return polynomial_collision(octets); }

}  // namespace qanat::qkd
