// Hybrid key encapsulation (own design, modelled in formal/): `ss_H = Expand(Extract(label, ss_PQ‖ss_T), label ‖ H(cts‖eks) ‖ H(ctx))` (docs/protocol).
//
// Two forms of the classical half: to a *static* key (SM2 public-key encryption of 32 drawn octets; P-384: ephemeral-static ECDH)
// and to an *ephemeral* key (ECDH on the suite's curve, shared secret = x coordinate). ML-KEM is the same in both.
#pragma once

#include <memory>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "crypto/random.hpp"
#include "crypto/suite.hpp"

namespace qanat::crypto {

struct EncapsulationKey {
  Bytes point;   // suite.point octets
  Bytes ml_kem;  // suite.ml_kem_public octets
  bool operator==(const EncapsulationKey&) const = default;
};

enum class KemForm : std::uint8_t { to_static, to_ephemeral };

/// What an encapsulation gives: the two ciphertexts for the wire and the two secrets for combine().
struct Encapsulation {
  Bytes ct_classical;  // to_static: suite.classical_ct octets; to_ephemeral: suite.point octets
  Bytes ct_ml_kem;     // suite.ml_kem_ct octets
  Secret ss_classical;
  Secret ss_ml_kem;
};

/// What a decapsulation gives.
struct SharedSecrets {
  Secret classical;
  Secret ml_kem;
};

struct DecapsulationSecret {
  Secret scalar;       // suite.scalar octets
  Secret ml_kem_seed;  // 64 octets d‖z
};

class Decapsulator {
 public:
  static Result<Decapsulator> generate(const Suite& suite, Rng& rng);
  static Result<Decapsulator> from_secret(const Suite& suite, const DecapsulationSecret& secret);
  Decapsulator(Decapsulator&&) noexcept;
  Decapsulator& operator=(Decapsulator&&) noexcept;
  ~Decapsulator();

  [[nodiscard]] const EncapsulationKey& encapsulation_key() const noexcept;
  [[nodiscard]] DecapsulationSecret secret() const;
  /// `denied` if a point is off the curve or the SM2 ciphertext's C3 does not hold; invalid_argument for wrong lengths. ML-KEM rejects implicitly.
  Result<SharedSecrets> decapsulate(KemForm form, ByteView ct_classical, ByteView ct_ml_kem) const;

 private:
  struct State;
  explicit Decapsulator(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// A parsed public pair, to be kept where the same receiver is encapsulated to again: ML-KEM's matrix is then expanded once. Holds nothing of any
/// encapsulation. Safe to share between threads.
class Encapsulator {
 public:
  /// invalid_argument if the point is not on the curve, a length is wrong, or a coefficient of the ML-KEM key is not below q.
  static Result<Encapsulator> from_key(const Suite& suite, const EncapsulationKey& key);
  Encapsulator(Encapsulator&&) noexcept;
  Encapsulator& operator=(Encapsulator&&) noexcept;
  ~Encapsulator();

  [[nodiscard]] const EncapsulationKey& key() const noexcept;
  Result<Encapsulation> encapsulate(KemForm form, Rng& rng) const;
  /// Like the function of this name.
  Result<Encapsulation> encapsulate_with(KemForm form, ByteView ml_kem_m, ByteView scalar, ByteView drawn) const;

 private:
  struct State;
  explicit Encapsulator(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

Result<Encapsulation> encapsulate(const Suite& suite, KemForm form, const EncapsulationKey& key, Rng& rng);
/// With the randomness given, for known answers: ML-KEM's m (32 octets), and the scalar (SM2's k / the ephemeral) with, for SM2, the 32 drawn octets.
Result<Encapsulation> encapsulate_with(const Suite& suite, KemForm form, const EncapsulationKey& key, ByteView ml_kem_m, ByteView scalar, ByteView drawn);

}  // namespace qanat::crypto
