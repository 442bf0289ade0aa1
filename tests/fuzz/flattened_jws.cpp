// target: qanat_wire
// JWS and JWK of others: whatever comes, no crash; what was not signed does not verify; a key that is taken has one canonical form.
#include <cstdlib>

#include "wire/flattened_jws.hpp"
#include "wire/jwk.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qanat;
  const ByteView octets(data, size);
  if (const auto json = wire::Json::parse(octets)) {
    if (const auto key = wire::read_public_jwk(*json)) {
      const auto again = wire::read_public_jwk(wire::Json::parse(key->canonical).value());
      if (!again || again->thumbprint != key->thumbprint || again->key.spki() != key->key.spki()) std::abort();
    }
  }
  if (const auto jws = wire::parse_flattened_jws(octets)) {
    if (const auto jwk = jws->header.at("jwk")) {
      if (const auto key = wire::read_public_jwk(*jwk)) static_cast<void>(key->key.verify(as_bytes(jws->signed_part), jws->signature));
    }
  }
  return 0;
}
