// CryptoDevice: where master keys live and randomness for working keys comes from. The software device is the default; PKCS#11, SDF
// and SKF devices implement the same interface.
#pragma once

#include <filesystem>
#include <memory>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "crypto/random.hpp"

namespace qanat::crypto {

class CryptoDevice {
 public:
  virtual ~CryptoDevice() = default;
  /// "software", "pkcs11", "sdf", "skf".
  [[nodiscard]] virtual std::string_view kind() const noexcept = 0;
  virtual Result<Secret> random(std::size_t size) = 0;
  /// Encrypts under the device's master key, bound to `context` (which column of which row). Output: 12-octet nonce ‖ ciphertext ‖ tag.
  virtual Result<Bytes> seal(ByteView context, const Secret& secret) = 0;
  /// `denied` if the octets were changed, moved to another context, or sealed by another device.
  virtual Result<Secret> unseal(ByteView context, ByteView sealed) = 0;
  [[nodiscard]] virtual Rng& rng() noexcept = 0;
};

/// The software device: AES-256-GCM under a key derived per context by HKDF from a 32-octet master key in a file (mode 0600, created on
/// first use, refused if others can read it).
Result<std::unique_ptr<CryptoDevice>> open_software_device(const std::filesystem::path& master_key, Rng& rng);

}  // namespace qanat::crypto
