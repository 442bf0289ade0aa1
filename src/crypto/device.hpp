// CryptoDevice: where master keys live and randomness for working keys comes from. The software device is the default; PKCS#11, SDF
// and SKF devices, and a pair of any two, implement the same interface.
#pragma once

#include <array>
#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "crypto/random.hpp"

namespace qanat::crypto {

enum class DeviceState : std::uint8_t {
  ok,
  degraded,  // works in part: of a pair, one device does not; or the device's random octets are refused and the rest works
  failed,    // the last call failed, and not because of what it was given
};
/// "ok", "degraded", "failed".
std::string_view name(DeviceState state) noexcept;

struct DeviceHealth {
  std::string device;  // kind()
  DeviceState state = DeviceState::ok;
  std::string last_error;             // of the last failure; stays when the device is well again
  std::vector<DeviceHealth> members;  // of a pair: the first and the second
  std::uint64_t sealed_by_one = 0;    // of a pair: how many boxes were made since the start that one device alone opens
  bool operator==(const DeviceHealth&) const = default;
};

class CryptoDevice {
 public:
  using OnChange = std::function<void(const DeviceHealth&)>;

  virtual ~CryptoDevice() = default;
  /// "software", "pkcs11", "sdf", "skf", "pair".
  [[nodiscard]] virtual std::string_view kind() const noexcept = 0;
  virtual Result<Secret> random(std::size_t size) = 0;
  /// Encrypts under the device's master key, bound to `context` (which column of which row). Output: nonce ‖ ciphertext ‖ tag, with the lengths of the device.
  virtual Result<Bytes> seal(ByteView context, const Secret& secret) = 0;
  /// `denied` if the octets were changed, moved to another context, or sealed by another device.
  virtual Result<Secret> unseal(ByteView context, ByteView sealed) = 0;
  /// Of a pair: the secret that unseal() gave for `sealed`, sealed anew for both, if one of the two does not open that and both work now. Otherwise, and of any
  /// other device, nothing.
  virtual std::optional<Bytes> completed(ByteView context, ByteView sealed, const Secret& secret);
  [[nodiscard]] virtual Rng& rng() noexcept = 0;
  /// As the last calls found it: nothing is asked of the device.
  [[nodiscard]] virtual DeviceHealth health() const = 0;
  /// Called after each change of state, in the thread whose call found it and before that call returns. It must not use the device. Set once, before threads do.
  virtual void on_change(OnChange listener) = 0;
};

/// The software device: AES-256-GCM under a key derived per context by HKDF from a 32-octet master key in a file (mode 0600, created on
/// first use, refused if others can read it).
Result<std::unique_ptr<CryptoDevice>> open_software_device(const std::filesystem::path& master_key, Rng& rng);

/// How many calls a device does at a time. A call that finds no session free waits so long, and is then `exhausted`.
struct PoolSettings {
  std::size_t sessions_max = 4;
  std::chrono::milliseconds wait_max{5000};
  bool operator==(const PoolSettings&) const = default;
};

/// Which token, and where its PIN stands.
struct Pkcs11Settings {
  std::filesystem::path module;                // shared library of the token's maker
  std::string token;                           // label of the token
  std::string key = "qanat master key";        // label of the master key in it
  std::filesystem::path pin_file;              // one line, mode 0600
  PoolSettings pool = {};
};

/// A PKCS#11 token: AES-256-GCM (CKM_AES_GCM, the context as associated data) under a key that is made in the token on first use and cannot leave it. Random octets
/// are the token's, added to the process's. `denied`: the PIN is refused, others can read its file, or the key is one that can leave the token; `not_found`: no
/// such module, token or file; `conflict`: several tokens or keys of this name. A token that goes away later makes every call fail with `internal`, `unavailable`
/// or `not_found` until it is back with the same key. One key seals at most 2^32 secrets (random nonces).
Result<std::unique_ptr<CryptoDevice>> open_pkcs11_device(const Pkcs11Settings& settings, Rng& rng);

/// Which device, and which of its keys. A device has no PIN for a key-encryption key: whoever reaches the device may use it.
struct SdfSettings {
  std::filesystem::path module;  // shared library of the device's maker
  std::uint32_t key_index = 0;   // of the key-encryption key (KEK) in it; made there by the maker's means
  PoolSettings pool = {};
};

/// A crypto device with the interface of GM/T 0018: SM4-CBC and a MAC with SM4, under two session keys that the device makes on first use and wraps with the KEK;
/// wrapped they stand in the file `wrapped_keys` (mode 0600, never overwritten), and their values are never in this process. Random octets are the device's,
/// added to the process's. `not_found`: no such library, or no such KEK; `invalid_argument`: a library without a function that is needed, or a file that was
/// changed or names another KEK; `denied`: others can reach the file, or the KEK is not the one that wrapped. A device that goes away later makes every call fail
/// with `internal` or `not_found` until it is back with the same KEK. One pair of keys seals at most 2^32 secrets (random IVs).
Result<std::unique_ptr<CryptoDevice>> open_sdf_device(const SdfSettings& settings, const std::filesystem::path& wrapped_keys, Rng& rng);

/// Which device, and where in it.
struct SkfSettings {
  std::filesystem::path module;         // shared library of the device's maker
  std::string device;                   // name of the device, as SKF_EnumDev lists it; empty: the only one there
  std::string application;              // name of the application in it; made by the maker's means
  std::string container = "qanat";      // name of the container in that; made on first use
  std::filesystem::path pin_file;       // the application's user PIN: one line, mode 0600
  std::filesystem::path auth_key_file;  // empty, or the device authentication key: 32 hexadecimal digits, mode 0600
  PoolSettings pool = {.sessions_max = 1, .wait_max = std::chrono::milliseconds(5000)};  // few makers' libraries for such devices bear several
};

/// A device with the interface of GM/T 0016: as an SDF device, with session keys that are encrypted to the SM2 encryption key of a container. On first use (no file
/// `wrapped_keys`) the container and its keys are made if they are not there; later nothing is. Errors as for an SDF device; `denied` also if the PIN or the device
/// authentication is refused: a PIN that was refused is not shown again, so that it does not lock.
Result<std::unique_ptr<CryptoDevice>> open_skf_device(const SkfSettings& settings, const std::filesystem::path& wrapped_keys, Rng& rng);

/// One of a pair.
struct PairMember {
  std::variant<std::monostate, Pkcs11Settings, SdfSettings, SkfSettings> device;  // none: the software device
  std::filesystem::path file;                                                     // its master key, or its wrapped keys; empty for a token
};

/// Two devices of which one is enough.
struct PairSettings {
  std::array<PairMember, 2> members;
  std::chrono::milliseconds retry_after{1000};  // a device that failed is not asked again sooner
};

/// What is sealed opens by either device, if both worked when it was sealed; otherwise by the one that did (docs/adr/0022-devices.md). Random octets are those of
/// all that work, added. Opens if at least one of the devices does; the other is opened when it is back, but not where opening it was `denied` (a PIN that is
/// refused, a file that others reach): then not before the element starts anew, so that a PIN does not lock. Boxes that one of the two made for itself, before
/// there was a pair, are opened too.
Result<std::unique_ptr<CryptoDevice>> open_pair_device(const PairSettings& settings, Rng& rng);

/// A device of a maker, or a pair.
using DeviceSettings = std::variant<Pkcs11Settings, SdfSettings, SkfSettings, PairSettings>;

/// Whether the device keeps something in a file beside the state, which open_device() is then to be told.
bool needs_file(const std::optional<DeviceSettings>& device);

/// The device that is named, otherwise the software device. `master_key` is the software device's file, or an SDF or SKF device's wrapped keys; a token and a pair
/// need none. What opens has shown that it unseals what it sealed, and that its random octets are none that repeat.
Result<std::unique_ptr<CryptoDevice>> open_device(const std::optional<DeviceSettings>& device, const std::filesystem::path& master_key, Rng& rng);

}  // namespace qanat::crypto
