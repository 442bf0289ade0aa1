// One signature scheme alone, for signatures that others define so (C2SP cosignatures): messages between elements are signed by both halves
// of a suite, hybrid_sign.hpp. Verification is there too: verify_ml_dsa(), verify_classical().
#pragma once

#include <memory>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "crypto/random.hpp"
#include "crypto/x509.hpp"

namespace qanat::crypto {

enum class LoneScheme : std::uint8_t { sm2, ecdsa_p384, ml_dsa_44, ml_dsa_65, ml_dsa_87 };

class LoneSigner {
 public:
  static Result<LoneSigner> generate(LoneScheme scheme, Rng& rng);
  /// `secret`: a scalar of 32 (SM2) or 48 octets (ECDSA), or the 32 octets of an ML-DSA seed.
  static Result<LoneSigner> from_secret(LoneScheme scheme, const Secret& secret);
  LoneSigner(LoneSigner&&) noexcept;
  LoneSigner& operator=(LoneSigner&&) noexcept;
  ~LoneSigner();

  /// 04‖x‖y, or the ML-DSA public key.
  [[nodiscard]] const Bytes& public_key() const noexcept;
  /// A copy that the caller owns, for sealing.
  [[nodiscard]] Secret secret() const;
  /// r‖s with the standard distinguishing id and SM3 (SM2) or with SHA-384 (ECDSA), or ML-DSA with the empty context, hedged. Safe to call from several threads.
  [[nodiscard]] Bytes sign(ByteView message, Rng& rng) const;

 private:
  struct State;
  explicit LoneSigner(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// An ML-DSA public key kept parsed, where the same signer is verified again and again. Safe to share between threads.
class LoneVerifier {
 public:
  /// invalid_argument if the key's length is not the level's.
  static Result<LoneVerifier> from_key(MlDsa level, ByteView public_key);
  LoneVerifier(LoneVerifier&&) noexcept;
  LoneVerifier& operator=(LoneVerifier&&) noexcept;
  ~LoneVerifier();
  /// `denied` unless the signature holds.
  Result<void> verify(ByteView message, ByteView signature) const;

 private:
  struct State;
  explicit LoneVerifier(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// A message signed by the ML-DSA key of a certificate. What is signed must begin so that it passes for nothing else that such a key signs:
/// TLS handshakes begin with 64 spaces, messages of profile v2 with "QFC2". invalid_argument if it is no ML-DSA key.
Result<Bytes> sign_with(const PrivateKey& key, ByteView message, Rng& rng);
/// `denied` unless the certificate's ML-DSA key signed the message.
Result<void> verify_with(const Certificate& certificate, ByteView message, ByteView signature);

}  // namespace qanat::crypto
