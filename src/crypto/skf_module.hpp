// A library of an intelligent key device's maker (GM/T 0016) in this process, and one session with a container of the device. Private to crypto.
#pragma once

#include <filesystem>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "crypto/device.hpp"
#include "crypto/maker_library.hpp"
#include "crypto/skf_interface.hpp"
#include "crypto/sm4_device.hpp"
#include "crypto/sm4_session.hpp"

namespace qanat::crypto {

/// What is called of the interface, and no more.
struct SkfFunctions {
  decltype(&SKF_EnumDev) enum_dev = nullptr;
  decltype(&SKF_ConnectDev) connect_dev = nullptr;
  decltype(&SKF_DisConnectDev) disconnect_dev = nullptr;
  decltype(&SKF_GetDevInfo) get_dev_info = nullptr;
  decltype(&SKF_DevAuth) dev_auth = nullptr;
  decltype(&SKF_OpenApplication) open_application = nullptr;
  decltype(&SKF_CloseApplication) close_application = nullptr;
  decltype(&SKF_VerifyPIN) verify_pin = nullptr;
  decltype(&SKF_CreateContainer) create_container = nullptr;
  decltype(&SKF_OpenContainer) open_container = nullptr;
  decltype(&SKF_CloseContainer) close_container = nullptr;
  decltype(&SKF_GenECCKeyPair) gen_ecc_key_pair = nullptr;
  decltype(&SKF_ImportECCKeyPair) import_ecc_key_pair = nullptr;
  decltype(&SKF_ExportPublicKey) export_public_key = nullptr;
  decltype(&SKF_ECCExportSessionKey) ecc_export_session_key = nullptr;
  decltype(&SKF_ImportSessionKey) import_session_key = nullptr;
  decltype(&SKF_EncryptInit) encrypt_init = nullptr;
  decltype(&SKF_Encrypt) encrypt = nullptr;
  decltype(&SKF_DecryptInit) decrypt_init = nullptr;
  decltype(&SKF_Decrypt) decrypt = nullptr;
  decltype(&SKF_MacInit) mac_init = nullptr;
  decltype(&SKF_Mac) mac = nullptr;
  decltype(&SKF_GenRandom) gen_random = nullptr;
  decltype(&SKF_CloseHandle) close_handle = nullptr;

  void find_in(Symbols& symbols);
};

/// The library's functions, until the process ends. not_found if there is no such file; invalid_argument if it is no library, or one without some of the
/// functions, which the message names.
Result<const SkfFunctions*> load_skf_library(const std::filesystem::path& file);

/// The name of a return value for messages: "SAR_PIN_INCORRECT", or its number.
std::string name_of_sar(SKF_ULONG value);

/// The failure of a call: denied for a PIN that is refused or needed, not_found for what is not in the device, internal for the rest.
[[nodiscard]] std::unexpected<Error> skf_failure(std::string_view call, SKF_ULONG value);

/// Shows the PIN for all sessions of a device, one after the other: one that was refused is not shown again, so that it does not lock.
class SkfPin {
 public:
  explicit SkfPin(std::filesystem::path file) : file_(std::move(file)) {}
  Result<void> show(const SkfFunctions& functions, SKF_HANDLE application);

 private:
  const std::filesystem::path file_;
  std::mutex mutex_;
  bool refused_ = false;
};

/// A device that was connected, an application in it that the PIN was shown to, a container in that. With `create`, container and keys are made if they are
/// not there; nothing that is there is ever replaced.
Result<std::unique_ptr<Sm4Session>> open_skf_session(const SkfFunctions& functions, const SkfSettings& settings, SkfPin& pin, IfAbsent if_absent, Rng& rng);

}  // namespace qanat::crypto
