// ECDSA on P-256 with SHA-256, as JOSE and COSE name it (ES256, RFC 7518 §3.4, RFC 9053 §2.1): tokens for clients that have no ML-DSA. Nothing between our
// own elements is signed with it.
#pragma once

#include <memory>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

namespace qanat::crypto {

inline constexpr std::size_t es256_scalar = 32;
inline constexpr std::size_t es256_point = 65;  // 04‖x‖y
inline constexpr std::size_t es256_signature = 64;

class Es256Signer {
 public:
  static Result<Es256Signer> generate();
  /// `secret`: what secret() gave. invalid_argument for anything else.
  static Result<Es256Signer> from_secret(const Secret& secret);
  Es256Signer(Es256Signer&&) noexcept;
  Es256Signer& operator=(Es256Signer&&) noexcept;
  ~Es256Signer();

  /// 04‖x‖y.
  [[nodiscard]] const Bytes& public_key() const noexcept;
  /// For sealing: scalar ‖ point.
  [[nodiscard]] Secret secret() const;
  /// r‖s. Safe to call from several threads.
  [[nodiscard]] Result<Bytes> sign(ByteView message) const;

 private:
  struct State;
  explicit Es256Signer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

/// `denied` unless r‖s holds; invalid_argument if the point is none of the curve's.
Result<void> verify_es256(ByteView point, ByteView message, ByteView signature);

}  // namespace qanat::crypto
