// An RSA private key that signs and decrypts, for a protocol whose software knows no other: the registration authority of SCEP (RFC 8894 §2.1.2).
#pragma once

#include <memory>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"

namespace qanat::crypto {

class RsaKey {
 public:
  /// `bits`: 3072 or 4096.
  static Result<RsaKey> generate(int bits);
  /// From what pkcs8() gave; invalid_argument for anything else.
  static Result<RsaKey> from_pkcs8(const Secret& der);
  /// DER PrivateKeyInfo (RFC 5208) that the caller owns, for sealing.
  [[nodiscard]] Result<Secret> pkcs8() const;
  /// DER SubjectPublicKeyInfo.
  [[nodiscard]] const Bytes& public_key_info() const noexcept;

  struct State;
  [[nodiscard]] const State& state() const noexcept { return *state_; }

 private:
  std::shared_ptr<const State> state_;  // immutable; shared by copies of the value
};

}  // namespace qanat::crypto
