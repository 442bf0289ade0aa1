// A library of a crypto device's maker (GM/T 0018) in this process, and one session with the device. Private to crypto.
#pragma once

#include <array>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "base/secret.hpp"
#include "crypto/sdf_interface.hpp"

namespace qanat::crypto {

inline constexpr std::size_t sm4_block = 16;
using Sm4Block = std::array<std::uint8_t, sm4_block>;

/// What is called of the interface, and no more.
struct SdfFunctions {
  decltype(&SDF_OpenDevice) open_device = nullptr;
  decltype(&SDF_CloseDevice) close_device = nullptr;
  decltype(&SDF_OpenSession) open_session = nullptr;
  decltype(&SDF_CloseSession) close_session = nullptr;
  decltype(&SDF_GenerateRandom) generate_random = nullptr;
  decltype(&SDF_GenerateKeyWithKEK) generate_key_with_kek = nullptr;
  decltype(&SDF_ImportKeyWithKEK) import_key_with_kek = nullptr;
  decltype(&SDF_DestroyKey) destroy_key = nullptr;
  decltype(&SDF_Encrypt) encrypt = nullptr;
  decltype(&SDF_Decrypt) decrypt = nullptr;
  decltype(&SDF_CalculateMAC) calculate_mac = nullptr;
};

/// The library's functions, until the process ends: makers' libraries seldom survive being unloaded. not_found if there is no such file; invalid_argument if it
/// is no library, or one without some of the functions, which the message names.
Result<const SdfFunctions*> load_sdf_library(const std::filesystem::path& file);

/// The name of a return value for messages: "SDR_KEYNOTEXIST", or its number.
std::string name_of_sdr(int value);

/// The failure of a call: not_found for a key that is not in the device, denied if its use is not allowed, internal for the rest.
[[nodiscard]] std::unexpected<Error> sdf_failure(std::string_view call, int value);

/// A key in the session, whose value this process never sees.
struct SdfKey {
  void* handle = nullptr;
};

/// A device that was opened, and one session with it. Closing it destroys its keys. One thread at a time.
class SdfSession {
 public:
  static Result<std::unique_ptr<SdfSession>> open(const SdfFunctions& functions);
  ~SdfSession();
  SdfSession(const SdfSession&) = delete;
  SdfSession& operator=(const SdfSession&) = delete;

  struct MadeKey {
    SdfKey key;
    Bytes wrapped;
  };
  /// An SM4 key, and the same under the KEK.
  Result<MadeKey> make_key(unsigned int kek_index);
  Result<SdfKey> import_key(unsigned int kek_index, ByteView wrapped);

  /// SM4-CBC over whole blocks, in place, in as many calls as it takes. After a failure `blocks` are worth nothing.
  Result<void> encrypt(SdfKey key, const Sm4Block& iv, std::span<std::uint8_t> blocks);
  Result<void> decrypt(SdfKey key, const Sm4Block& iv, std::span<std::uint8_t> blocks);
  /// CBC-MAC with SM4, IV zero. Secure for data of one length alone: hence two blocks.
  Result<Sm4Block> mac(SdfKey key, std::array<std::uint8_t, 2 * sm4_block> data);
  Result<void> random(std::span<std::uint8_t> out);

 private:
  SdfSession(const SdfFunctions& functions, void* device) : functions_(functions), device_(device) {}

  const SdfFunctions& functions_;
  void* device_;
  void* session_ = nullptr;
  std::vector<void*> keys_;
};

}  // namespace qanat::crypto
