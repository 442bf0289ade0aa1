// OpenSSL as the other end of every primitive, through its public interface. A call that fails throws, which fails the test.
#pragma once

#include <openssl/evp.h>

#include <memory>
#include <string>

#include "base/bytes.hpp"
#include "crypto/suite.hpp"

namespace qanat::crypto::testing {

struct PkeyDeleter {
  void operator()(EVP_PKEY* key) const noexcept { EVP_PKEY_free(key); }
};
using Pkey = std::unique_ptr<EVP_PKEY, PkeyDeleter>;

/// A key for signatures and encryption on the curve; `scalar` empty: the public half only.
Pkey signature_key(Curve curve, ByteView point, ByteView scalar);
/// ML-DSA or ML-KEM ("ML-DSA-65", "ML-KEM-768") from its seed, or from its public key.
Pkey key_from_seed(const char* algorithm, ByteView seed);
Pkey key_from_public(const char* algorithm, ByteView public_key);
Bytes raw_public(EVP_PKEY* key);

enum class Randomness : std::uint8_t { drawn, deterministic };

/// SM2 (standard id, SM3) or ECDSA (SHA-384) as r‖s.
Bytes sign_classical(const Suite& suite, EVP_PKEY* key, ByteView message);
bool verify_classical_peer(const Suite& suite, EVP_PKEY* key, ByteView message, ByteView r_s);
Bytes sign_ml_dsa(EVP_PKEY* key, ByteView message, Randomness randomness);
bool verify_ml_dsa_peer(EVP_PKEY* key, ByteView message, ByteView signature);

/// SM2 ciphertexts in DER.
Bytes encrypt_sm2_peer(EVP_PKEY* key, ByteView plaintext);
Bytes decrypt_sm2_peer(EVP_PKEY* key, ByteView der);

/// The x coordinate of scalar times point, by the EC functions: EVP does no Diffie-Hellman on SM2's curve.
Bytes agree_peer(Curve curve, ByteView scalar, ByteView point);

struct PeerEncapsulation {
  Bytes ciphertext;
  Bytes secret;
};
PeerEncapsulation encapsulate_peer(EVP_PKEY* key);
Bytes decapsulate_peer(EVP_PKEY* key, ByteView ciphertext);

/// ciphertext‖tag.
Bytes seal_peer(const char* cipher, ByteView key, ByteView iv, ByteView aad, ByteView plaintext);
Bytes digest_peer(const char* hash, ByteView text);
Bytes hmac_peer(const char* hash, ByteView key, ByteView text);
Bytes hkdf_peer(const char* hash, ByteView salt, ByteView ikm, ByteView info, std::size_t size);

}  // namespace qanat::crypto::testing
