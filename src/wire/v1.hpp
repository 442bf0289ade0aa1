// Profile v1: steps 4 and 11 as the paper prints them (their formulas), for comparison only; off by default. What is signed is the
// paper's raw concatenation, with its weaknesses: docs/protocol/v1.md says which, and a test shows the substitution attack succeed.
// Suite GM-hybrid alone. The messages travel in a container of length-prefixed fields, which the paper leaves open.
#pragma once

#include "base/bytes.hpp"
#include "base/id.hpp"
#include "base/secret.hpp"
#include "crypto/hybrid_kem.hpp"
#include "crypto/hybrid_sign.hpp"

namespace qanat::wire::v1 {

inline constexpr std::string_view label_application = "KEY_APPLICATION";
inline constexpr std::string_view label_distribution = "KEY_DISTRIBUTION";

/// Step 4: SM2_Sign(M) ‖ PQC_Sign(M) ‖ Cert_SM2 ‖ Cert_PQC ‖ Token over M = LABEL‖SID_WK‖SID_CALL‖UID‖NUMBER_CALL‖NUMBER_CALLED.
struct KeyApplication {
  SidWk sid_wk;
  SidCall sid_call;
  Uid uid;
  Number num_call;
  Number num_called;
  Bytes sign_sm2;  // 64
  Bytes sign_pqc;  // 3309
  Bytes cert_sm2;  // DER
  Bytes cert_pqc;  // DER
  Bytes token;     // may be empty (first use)
  bool operator==(const KeyApplication&) const = default;
};

/// Step 11: SM4_ENC(WK, K1⊕K2) ‖ SM2_Encap(K1) ‖ PQC_Encap(K2) ‖ SM2_Sign(M') ‖ PQC_Sign(M') ‖ Token over M' = LABEL‖SID_WK‖SID_CALL‖UID.
/// Choices where the paper is silent: K1 is 32 random octets, K2 is ML-KEM's shared secret, the key is the first 16 octets of K1⊕K2,
/// the mode is GCM with a zero nonce (the key is used once) and no associated data.
struct KeyDistribution {
  SidWk sid_wk;
  SidCall sid_call;
  Uid uid;
  Bytes encrypted_wk;  // 32 + 16
  Bytes encap_sm2;     // 129
  Bytes encap_pqc;     // 1088
  Bytes sign_sm2;
  Bytes sign_pqc;
  Bytes token;
  bool operator==(const KeyDistribution&) const = default;
};

/// The octets that are signed: raw concatenation, no lengths.
Bytes signed_octets(const KeyApplication& message);
Bytes signed_octets(const KeyDistribution& message);

/// Fills in both signatures.
void sign(KeyApplication& message, const crypto::Signer& signer, crypto::Rng& rng);
void sign(KeyDistribution& message, const crypto::Signer& signer, crypto::Rng& rng);
Result<void> verify(const KeyApplication& message, const crypto::VerifyingKey& key);
Result<void> verify(const KeyDistribution& message, const crypto::VerifyingKey& key);

/// The container: "QFC1" ‖ type (04 or 0B) ‖ every field with a two-octet length.
Result<Bytes> encode(const KeyApplication& message);
Result<Bytes> encode(const KeyDistribution& message);
Result<KeyApplication> parse_application(ByteView octets);
Result<KeyDistribution> parse_distribution(ByteView octets);

/// Fills in encrypted_wk, encap_sm2 and encap_pqc.
Result<void> seal_wk(KeyDistribution& message, const crypto::EncapsulationKey& to, const Secret& wk, crypto::Rng& rng);
Result<Secret> open_wk(const KeyDistribution& message, const crypto::Decapsulator& key);

}  // namespace qanat::wire::v1
