// Botan as a second verifier of what is signed with ML-DSA. Our build of it has no X.509: it reads the outer structure and checks the signature.
#pragma once

#include <botan/ber_dec.h>
#include <botan/der_enc.h>
#include <botan/ml_dsa.h>
#include <botan/pubkey.h>

#include "crypto/x509.hpp"

namespace qanat::crypto::testing {

/// The signature of a certificate or a list by Botan alone: its own reading of the outer structure, its own ML-DSA.
inline bool botan_verifies(const Bytes& object, const Certificate& issuer) {
  Botan::BER_Decoder outer(object);
  Botan::BER_Decoder inner = outer.start_sequence();
  std::vector<std::uint8_t> content;
  Botan::AlgorithmIdentifier algorithm;
  std::vector<std::uint8_t> signature;
  inner.start_sequence().raw_bytes(content).end_cons().decode(algorithm).decode(signature, Botan::ASN1_Type::BitString).end_cons();
  std::vector<std::uint8_t> whole;
  Botan::DER_Encoder(whole).start_sequence().raw_bytes(content).end_cons();
  const Botan::ML_DSA_PublicKey key(issuer.public_key(), Botan::ML_DSA_Mode(issuer.key_algorithm() == KeyAlgorithm::ml_dsa_65 ? "ML-DSA-6x5" : "ML-DSA-8x7"));
  Botan::PK_Verifier verifier(key, "");
  return verifier.verify_message(whole, signature);
}

}  // namespace qanat::crypto::testing
