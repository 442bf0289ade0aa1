// The first authentication keys of a link without a courier: agreed by ML-KEM and ECDH, both ephemeral, inside the two ends' connection, which is
// mutually authenticated with ML-DSA and a classical signature. Own design: a key encapsulation of the suite, and HKDF over both
// secrets, the two messages and the link's name.
//
// What that means for the claims: the tags remain unconditionally secure given these keys, but the keys are only as secret as ML-KEM or ECDH is, and the
// ends are only who they are as far as the signatures hold on that day. Whoever breaks both *afterwards* cannot alter what was
// authenticated before; whoever records the agreement and breaks both later can then forge tags under first keys that are not yet used up. From the first block
// on, the pools fill from the quantum key. Health and every block's report say which first key a link had.
//
//   request: encapsulation key: point, ML-KEM key      answer: classical ciphertext, ML-KEM ciphertext
#pragma once

#include "crypto/hybrid_kem.hpp"
#include "quantum/qkd/session/state.hpp"

namespace qanat::qkd {

/// Keys per direction that an agreement gives.
inline constexpr std::size_t first_keys = 48;

/// Bob's side: lives from his request until Alice's answer.
class FirstKeyRequest {
 public:
  static Result<FirstKeyRequest> make(const crypto::Suite& suite, crypto::Rng& random);
  [[nodiscard]] const Bytes& message() const noexcept { return message_; }
  /// The pre-shared secret for DurableState::fresh.
  [[nodiscard]] Result<Secret> finish(const LinkId& link, ByteView answer) const;

 private:
  FirstKeyRequest(const crypto::Suite& suite, crypto::Decapsulator pair);
  const crypto::Suite* suite_;
  crypto::Decapsulator pair_;
  Bytes message_;
};

struct FirstKeyAnswer {
  Bytes message;
  Secret preshared;
};
/// Alice's side. invalid_argument for a malformed request.
Result<FirstKeyAnswer> answer_first_key(const crypto::Suite& suite, const LinkId& link, ByteView request, crypto::Rng& random);

}  // namespace qanat::qkd
