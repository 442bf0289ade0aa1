// The symmetric key of one site ("the last metre of a quantum key"): every key that travels between QKD, QKM and KMS of a site is
// wrapped under it besides TLS, so that the quantum leg does not lean on public-key secrecy. Charged by file at installation.
#pragma once

#include <filesystem>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "crypto/random.hpp"

namespace qanat::crypto {

class SiteKey {
 public:
  /// 64 hexadecimal digits in a file of mode 0600.
  static Result<SiteKey> read(const std::filesystem::path& file);
  static SiteKey from_secret(Secret key) { return SiteKey(std::move(key)); }

  /// salt[32] ‖ ciphertext ‖ tag[16]. Each call derives its own AES-256-GCM key, HKDF-SHA256(site key, salt, "qanat site key" ‖ context), so the
  /// zero nonce is used once per key.
  [[nodiscard]] Bytes wrap(ByteView context, const Secret& secret, Rng& rng) const;
  /// denied if the octets were altered or belong to another context or site.
  Result<Secret> unwrap(ByteView context, ByteView wrapped) const;
  /// 32 octets for another use: HKDF-SHA256(site key, no salt, "qanat site key use" ‖ context).
  [[nodiscard]] Secret derive(ByteView context) const;

 private:
  explicit SiteKey(Secret key) : key_(std::move(key)) {}
  Secret key_;
};

}  // namespace qanat::crypto
