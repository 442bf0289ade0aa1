// CryptoDevice: where master keys live and randomness for working keys comes from. The software device is the default; PKCS#11, SDF
// and SKF devices implement the same interface.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

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

/// Which token, and where its PIN stands.
struct Pkcs11Settings {
  std::filesystem::path module;                // shared library of the token's maker
  std::string token;                           // label of the token
  std::string key = "qanat master key";        // label of the master key in it
  std::filesystem::path pin_file;              // one line, mode 0600
};

/// A PKCS#11 token: AES-256-GCM (CKM_AES_GCM, the context as associated data) under a key that is made in the token on first use and cannot leave it. Random octets
/// are the token's, added to the process's. `denied`: the PIN is refused, others can read its file, or the key is one that can leave the token; `not_found`: no
/// such module, token or file; `conflict`: several tokens or keys of this name. A token that goes away later makes every call fail with `internal` or `not_found`
/// until it is back with the same key. One key seals at most 2^32 secrets (random nonces).
Result<std::unique_ptr<CryptoDevice>> open_pkcs11_device(const Pkcs11Settings& settings, Rng& rng);

/// The token where one is named, otherwise the software device of this master key.
Result<std::unique_ptr<CryptoDevice>> open_device(const std::optional<Pkcs11Settings>& token, const std::filesystem::path& master_key, Rng& rng);

}  // namespace qanat::crypto
