// Public keys of others that sign JWS (RFC 7518 §3, RFC 9964): their algorithm is a property of the key, never of the message. For verifying alone.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace qanat::crypto {

enum class JoseAlgorithm : std::uint8_t { es256, es384, rs256, ml_dsa_44, ml_dsa_65, ml_dsa_87 };
inline constexpr std::array all_jose_algorithms{JoseAlgorithm::es256,     JoseAlgorithm::es384,     JoseAlgorithm::rs256,
                                                JoseAlgorithm::ml_dsa_44, JoseAlgorithm::ml_dsa_65, JoseAlgorithm::ml_dsa_87};
/// "ES256", "ES384", "RS256", "ML-DSA-44", …
std::string_view name(JoseAlgorithm algorithm) noexcept;
/// Nothing for every other name, "none" and the MACs included.
std::optional<JoseAlgorithm> find_jose_algorithm(std::string_view name) noexcept;

inline constexpr int jose_rsa_bits_min = 2048;
inline constexpr int jose_rsa_bits_max = 8192;

/// Safe to share between threads; copies share the parsed key.
class JoseKey {
 public:
  /// A point of P-256 (es256) or P-384 (es384); both coordinates have the curve's full length. invalid_argument for anything else.
  static Result<JoseKey> from_ec(JoseAlgorithm algorithm, ByteView x, ByteView y);
  /// Magnitudes, big-endian, without zeros in front. `denied` for a modulus outside the bounds above, or an exponent that is even, under 3 or over 32 bits.
  static Result<JoseKey> from_rsa(ByteView modulus, ByteView exponent);
  /// The octets of FIPS 204; invalid_argument if their number is not the level's.
  static Result<JoseKey> from_ml_dsa(JoseAlgorithm algorithm, ByteView public_key);

  [[nodiscard]] JoseAlgorithm algorithm() const noexcept { return algorithm_; }
  /// DER SubjectPublicKeyInfo.
  [[nodiscard]] const Bytes& spki() const noexcept { return spki_; }
  /// `denied` unless the signature (r‖s, PKCS#1 v1.5, or FIPS 204 with the empty context) holds.
  Result<void> verify(ByteView message, ByteView signature) const;

 private:
  struct State;
  static Result<JoseKey> make(JoseAlgorithm algorithm, std::unique_ptr<State> state);
  JoseAlgorithm algorithm_{};
  Bytes spki_;
  std::shared_ptr<const State> state_;  // immutable; shared by copies of the value
};

}  // namespace qanat::crypto
