// Signatures as CMP and CRMF carry them: over a SEQUENCE as it came. Private to crypto.
#pragma once

#include "crypto/x509_openssl.hpp"

namespace qanat::crypto {

struct CmpSignature {
  ByteView algorithm;  // AlgorithmIdentifier, DER
  ByteView signature;
  ByteView part;  // the SEQUENCE that is signed
};
/// `denied` for an algorithm that is not taken here (anything with SHA-1); `unauthenticated` if it does not hold. SM2 with the standard distinguishing id,
/// then with the empty one, as the openssl program signs. `what` begins the message.
Result<void> check_cmp_signature(EVP_PKEY* key, const CmpSignature& signature, std::string_view what);

}  // namespace qanat::crypto
