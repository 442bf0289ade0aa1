// Keys that sign access tokens, as their verifiers know them: the algorithm is a property of the key, never of the token (RFC 8725 §3.1). As JWK (RFC 7517,
// ML-DSA as key type AKP by RFC 9964); named by their thumbprint (RFC 7638).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "crypto/lone_signer.hpp"
#include "wire/json.hpp"

namespace qanat::wire {

enum class TokenAlgorithm : std::uint8_t { ml_dsa_44, es256 };
/// "ML-DSA-44", "ES256" (JOSE).
std::string_view name(TokenAlgorithm algorithm) noexcept;
/// The algorithm with this JOSE name; `denied` for any other, "none" included.
Result<TokenAlgorithm> parse_token_algorithm(std::string_view name);
/// -48 (RFC 9964), -7 (RFC 9053).
std::int64_t cose_number(TokenAlgorithm algorithm) noexcept;

inline constexpr std::size_t token_key_id_size = 32;
inline constexpr std::size_t token_keys_max = 16;

/// A public key, parsed once. Safe to share between threads.
class TokenKey {
 public:
  /// ML-DSA-44: 1312 octets; ES256: 04‖x‖y. invalid_argument for anything else.
  static Result<TokenKey> from_public(TokenAlgorithm algorithm, Bytes public_key);
  [[nodiscard]] TokenAlgorithm algorithm() const noexcept { return algorithm_; }
  [[nodiscard]] const Bytes& public_key() const noexcept { return public_key_; }
  /// SHA-256 thumbprint of the JWK (RFC 7638 §3).
  [[nodiscard]] const Bytes& id() const noexcept { return id_; }
  /// `denied` unless the signature holds under this key and its algorithm.
  Result<void> verify(ByteView message, ByteView signature) const;
  [[nodiscard]] Json jwk() const;

 private:
  TokenAlgorithm algorithm_{};
  Bytes public_key_;
  Bytes id_;
  std::shared_ptr<const crypto::LoneVerifier> ml_dsa_;  // immutable; shared by copies of the value
};

/// The keys of one issuer.
class TokenKeys {
 public:
  TokenKeys() = default;
  explicit TokenKeys(std::vector<TokenKey> keys) : keys_(std::move(keys)) {}
  /// {"keys": […]}; keys of other types or uses than these are passed over. invalid_argument for more than token_keys_max, or a key that is malformed.
  static Result<TokenKeys> parse(const Json& jwks);
  [[nodiscard]] Json jwks() const;
  /// `denied` if no key has this id.
  Result<const TokenKey*> find(ByteView id) const;
  [[nodiscard]] const std::vector<TokenKey>& all() const noexcept { return keys_; }

 private:
  std::vector<TokenKey> keys_;
};

}  // namespace qanat::wire
