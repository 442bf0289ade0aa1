// A library of a crypto device's maker (GM/T 0018) in this process, and one session with the device. Private to crypto.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "crypto/maker_library.hpp"
#include "crypto/sdf_interface.hpp"
#include "crypto/sm4_session.hpp"

namespace qanat::crypto {

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

  void find_in(Symbols& symbols);
};

/// The library's functions, until the process ends. not_found if there is no such file; invalid_argument if it
/// is no library, or one without some of the functions, which the message names.
Result<const SdfFunctions*> load_sdf_library(const std::filesystem::path& file);

/// The name of a return value for messages: "SDR_KEYNOTEXIST", or its number.
std::string name_of_sdr(int value);

/// The failure of a call: not_found for a key that is not in the device, denied if its use is not allowed, internal for the rest.
[[nodiscard]] std::unexpected<Error> sdf_failure(std::string_view call, int value);

/// A device that was opened, and one session with it, whose keys are wrapped by the KEK of this index.
Result<std::unique_ptr<Sm4Session>> open_sdf_session(const SdfFunctions& functions, std::uint32_t kek_index);

}  // namespace qanat::crypto
