#include "services/cas/ceis/proof.hpp"

#include "crypto/kdf.hpp"

namespace qanat::cas {

Secret proof_key_of(const Secret& digits) {
  Bytes digest = crypto::digest(crypto::Hash::sha256, {as_bytes("qanat enrolment"), digits.reveal()});
  Secret key = Secret::copy_of(digest);
  wipe(digest);
  return key;
}

}  // namespace qanat::cas
