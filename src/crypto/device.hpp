// CryptoDevice: where master keys live and randomness for working keys comes from. The software device is the default; PKCS#11, SDF
// and SKF devices implement the same interface.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <variant>

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
  /// Encrypts under the device's master key, bound to `context` (which column of which row). Output: nonce ‖ ciphertext ‖ tag, with the lengths of the device.
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

/// Which device, and which of its keys. A device has no PIN for a key-encryption key: whoever reaches the device may use it.
struct SdfSettings {
  std::filesystem::path module;  // shared library of the device's maker
  std::uint32_t key_index = 0;   // of the key-encryption key (KEK) in it; made there by the maker's means
};

/// A crypto device with the interface of GM/T 0018: SM4-CBC and a MAC with SM4, under two session keys that the device makes on first use and wraps with the KEK;
/// wrapped they stand in the file `wrapped_keys` (mode 0600, never overwritten), and their values are never in this process. Random octets are the device's,
/// added to the process's. `not_found`: no such library, or no such KEK; `invalid_argument`: a library without a function that is needed, or a file that was
/// changed or names another KEK; `denied`: others can reach the file, or the KEK is not the one that wrapped. A device that goes away later makes every call fail
/// with `internal` or `not_found` until it is back with the same KEK. One pair of keys seals at most 2^32 secrets (random IVs).
Result<std::unique_ptr<CryptoDevice>> open_sdf_device(const SdfSettings& settings, const std::filesystem::path& wrapped_keys, Rng& rng);

/// A device of a maker.
using DeviceSettings = std::variant<Pkcs11Settings, SdfSettings>;

/// The device that is named, otherwise the software device. `master_key` is the software device's file, or the SDF device's wrapped keys; a token needs none.
Result<std::unique_ptr<CryptoDevice>> open_device(const std::optional<DeviceSettings>& device, const std::filesystem::path& master_key, Rng& rng);

}  // namespace qanat::crypto
