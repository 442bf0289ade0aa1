// The algorithm suites as data. Everything that depends on a suite reads its row here; lengths on the wire follow from the row.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.hpp"

namespace qanat::crypto {

enum class SuiteId : std::uint16_t { gm_hybrid = 0x0201, intl_hybrid = 0x0202 };

enum class Curve : std::uint8_t { sm2p256v1, secp384r1 };
enum class MlDsa : std::uint8_t { ml_dsa_44, ml_dsa_65, ml_dsa_87 };
enum class MlKem : std::uint8_t { ml_kem_768, ml_kem_1024 };
enum class Hash : std::uint8_t { sm3, sha256, sha384 };
enum class Aead : std::uint8_t { sm4_gcm, aes_256_gcm };

struct Suite {
  SuiteId id;
  std::string_view name;         // "GM-hybrid"
  Curve curve;                   // SM2 signature and public-key encryption, or ECDSA and ECDH
  MlDsa ml_dsa;
  MlKem ml_kem;
  Hash hash;
  Aead aead;
  std::size_t scalar;            // private scalar, octets
  std::size_t point;             // uncompressed point 04‖x‖y, octets
  std::size_t classical_sig;     // r‖s
  std::size_t classical_ct;      // to a *static* key: SM2 04‖C1‖C3‖C2 of 32 octets (129), or an ephemeral P-384 point (97)
  std::size_t classical_ss;      // shared secret of a static encapsulation (SM2: 32 drawn octets; ECDH: the x coordinate)
  std::size_t ml_dsa_public;
  std::size_t ml_dsa_sig;
  std::size_t ml_kem_public;
  std::size_t ml_kem_ct;
  std::size_t digest;            // of `hash`
  std::size_t aead_key;

  /// Octets of a hybrid signature: r‖s then the ML-DSA signature.
  [[nodiscard]] constexpr std::size_t signature() const { return classical_sig + ml_dsa_sig; }
};

inline constexpr std::size_t seed_ml_dsa = 32;   // FIPS 204 ξ
inline constexpr std::size_t seed_ml_kem = 64;   // FIPS 203 d‖z
inline constexpr std::size_t ss_ml_kem = 32;
inline constexpr std::size_t aead_iv = 12;
inline constexpr std::size_t aead_tag = 16;

/// The suite's row. Every SuiteId has one.
const Suite& suite(SuiteId id) noexcept;
/// The row of a suite number from the wire; not_found if there is none.
Result<const Suite*> find_suite(std::uint16_t number);
Result<const Suite*> find_suite(std::string_view name);
std::span<const Suite> all_suites() noexcept;

}  // namespace qanat::crypto
