#include "services/cas/ceis/proof.hpp"

#include "crypto/kdf.hpp"

namespace qanat::cas {

Secret proof_key_of(const Secret& digits) {
  Bytes digest = crypto::digest(crypto::Hash::sha256, {as_bytes("qanat enrolment"), digits.reveal()});
  Secret key = Secret::copy_of(digest);
  wipe(digest);
  return key;
}

Result<void> check_proof(const ElementRequest& request, const Secret& proof_key) {
  const Bytes wanted = crypto::hmac(crypto::Hash::sha256, proof_key, {request.nonce, request.ml_dsa, request.classical});
  if (!equal_constant_time(wanted, request.proof)) return fail(ErrorCode::unauthenticated, "the enrolment secret does not fit");
  return {};
}

}  // namespace qanat::cas
