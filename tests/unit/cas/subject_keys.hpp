// Public keys of software of others, as tests of the desk need them.
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "crypto/subject.hpp"
#include "trusted_network.hpp"

namespace qanat::cas {

/// A fresh key's SubjectPublicKeyInfo.
inline crypto::SubjectPublicKey subject_key(crypto::SubjectAlgorithm algorithm) {
  using enum crypto::SubjectAlgorithm;
  const auto generate = [&]() -> EVP_PKEY* {
    switch (algorithm) {
      case rsa:
        return EVP_RSA_gen(2048);
      case ecdsa_p256:
        return EVP_EC_gen("P-256");
      case ecdsa_p384:
        return EVP_EC_gen("P-384");
      case sm2:
        return EVP_PKEY_Q_keygen(nullptr, nullptr, "SM2");
      default:
        return EVP_PKEY_Q_keygen(nullptr, nullptr, std::string(crypto::name(algorithm)).c_str());
    }
  };
  const std::unique_ptr<EVP_PKEY, decltype([](EVP_PKEY* key) { EVP_PKEY_free(key); })> key(generate());
  unsigned char* octets = nullptr;
  const int length = key ? i2d_PUBKEY(key.get(), &octets) : 0;
  const Bytes der(octets, octets + std::max(length, 0));
  OPENSSL_free(octets);
  return test::must(crypto::SubjectPublicKey::parse(der));
}

}  // namespace qanat::cas
