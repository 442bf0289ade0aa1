// SM2 keys and ciphertexts in the structures of GM/T 0016, and an encryption pair for a container. Private to crypto.
#pragma once

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "crypto/random.hpp"
#include "crypto/skf_interface.hpp"

namespace qanat::crypto {

/// 04‖x‖y; invalid_argument unless it is a point of the curve in 256 bits.
Result<Bytes> point_of_skf(const ECCPUBLICKEYBLOB& key);

/// A new pair as SKF_ImportECCKeyPair takes it: the private key with SM4-ECB under a fresh key, that with SM2 to `signing_key` (the container's). Octets behind
/// the structure are the rest of the ciphertext. The private key is in this process for as long as this takes: GM/T 0016 has no encryption key that a device
/// makes.
struct SkfEncryptionPair {
  Bytes envelope;  // an ENVELOPEDKEYBLOB
  Bytes point;     // its public key, 04‖x‖y
};
Result<SkfEncryptionPair> make_skf_encryption_pair(const ECCPUBLICKEYBLOB& signing_key, Rng& rng);

/// What SKF_DevAuth wants: SM4-ECB under the device authentication key of the device's 8 random octets and 8 zero octets.
Bytes answer_to_skf_device(const Secret& auth_key, ByteView random);

}  // namespace qanat::crypto
