// target: qanat_wire
// CWT and JWT from outside: whatever comes, no crash; what is taken apart and put together again is the same.
#include <cstdlib>

#include "crypto/es256.hpp"
#include "wire/cbor.hpp"
#include "wire/cwt.hpp"
#include "wire/jwt.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace qanat;
  const ByteView octets(data, size);
  static const wire::TokenKeys keys = [] {
    const auto signer = crypto::Es256Signer::generate().value();
    return wire::TokenKeys({wire::TokenKey::from_public(wire::TokenAlgorithm::es256, signer.public_key()).value()});
  }();
  wire::CborReader reader(octets);
  (void)reader.item("fuzz");
  if (const auto claims = wire::parse_cwt_claims(octets)) {
    const auto again = wire::parse_cwt_claims(wire::encode_cwt_claims(*claims));
    if (!again || *again != *claims) std::abort();
  }
  (void)wire::parse_cose_sign1(octets);
  if (wire::open_cwt(octets, keys)) std::abort();  // nobody has signed it
  (void)wire::parse_jwt_claims(octets);
  if (wire::open_jwt(as_text(octets), keys)) std::abort();
  return 0;
}
