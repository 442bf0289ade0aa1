// Hybrid signatures: the suite's classical scheme (SM2 with id 1234567812345678, or ECDSA P-384/SHA-384) and ML-DSA with the empty
// context over the same octets. Both must hold.
#pragma once

#include <memory>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "crypto/random.hpp"
#include "crypto/suite.hpp"

namespace qanat::crypto {

/// The private halves in the form in which they travel between libraries: a scalar and a seed.
struct SigningSecret {
  Secret scalar;       // suite.scalar octets, big-endian, 1 .. n-2 (SM2) or 1 .. n-1
  Secret ml_dsa_seed;  // 32 octets (FIPS 204 ξ)
};

/// The public halves.
struct VerifyingKey {
  Bytes point;   // suite.point octets, 04‖x‖y
  Bytes ml_dsa;  // suite.ml_dsa_public octets
  bool operator==(const VerifyingKey&) const = default;
};

class Signer {
 public:
  static Result<Signer> generate(const Suite& suite, Rng& rng);
  static Result<Signer> from_secret(const Suite& suite, const SigningSecret& secret);
  Signer(Signer&&) noexcept;
  Signer& operator=(Signer&&) noexcept;
  ~Signer();

  [[nodiscard]] const Suite& suite() const noexcept;
  [[nodiscard]] const VerifyingKey& verifying_key() const noexcept;
  /// For sealing at rest and for handing to the X.509 code; a copy that the caller owns.
  [[nodiscard]] SigningSecret secret() const;
  /// r‖s ‖ ML-DSA signature: suite.signature() octets over `tbs`. Safe to call from several threads.
  [[nodiscard]] Bytes sign(ByteView tbs, Rng& rng) const;

 private:
  struct State;
  explicit Signer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// A parsed public pair, to be kept where the same peer is verified again. Safe to share between threads.
class Verifier {
 public:
  /// invalid_argument if the point is not on the curve or a length is wrong.
  static Result<Verifier> from_key(const Suite& suite, const VerifyingKey& key);
  Verifier(Verifier&&) noexcept;
  Verifier& operator=(Verifier&&) noexcept;
  ~Verifier();
  /// `denied` names the half that does not hold. Both are always checked.
  Result<void> verify(ByteView tbs, ByteView signature) const;

 private:
  struct State;
  explicit Verifier(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// The halves alone, for profile v1 (the paper's own bytes, which carries them apart) and the foreign vectors.
Result<void> verify_classical(const Suite& suite, ByteView point, ByteView tbs, ByteView r_s);
Result<void> verify_ml_dsa(MlDsa level, ByteView public_key, ByteView message, ByteView signature);

}  // namespace qanat::crypto
