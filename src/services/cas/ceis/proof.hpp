// The one-time secret by which an element proves, at its first enrolment, that it is the one that the operator named.
#pragma once

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

namespace qanat::cas {

/// What CAS keeps of a one-time secret of 64 hexadecimal digits: SHA-256("qanat enrolment" ‖ digits).
Secret proof_key_of(const Secret& digits);

/// What an element asks for, and its proof: HMAC-SHA256 under the proof key over nonce ‖ ml_dsa ‖ classical.
struct ElementRequest {
  Bytes nonce;      // 32
  Bytes proof;      // 32
  Bytes ml_dsa;     // PKCS#10
  Bytes classical;  // PKCS#10, or empty
};
/// `unauthenticated` if the proof was not made with this key for these octets.
Result<void> check_proof(const ElementRequest& request, const Secret& proof_key);

}  // namespace qanat::cas
