#include "store/key_commitment.hpp"

#include <array>

#include "crypto/kdf.hpp"

namespace qanat::store {

Bytes key_commitment(KeyKind kind, ByteView id, const Secret& octets) {
  constexpr std::array<std::uint8_t, 1> end_of_kind{0};
  const Secret prk = crypto::hkdf_extract(crypto::Hash::sha256, as_bytes("QANAT key commitment v1"), octets);
  return crypto::hmac(crypto::Hash::sha256, prk, {as_bytes(name(kind)), ByteView(end_of_kind), id});
}

}  // namespace qanat::store
