#include "crypto/skf_module.hpp"

#include <algorithm>
#include <array>

namespace qanat::crypto {
namespace {

struct NamedSar {
  SKF_ULONG value;
  std::string_view name;
};
constexpr std::array named_sars{
    NamedSar{sar_ok, "SAR_OK"},
    NamedSar{sar_fail, "SAR_FAIL"},
    NamedSar{sar_unknown, "SAR_UNKNOWNERR"},
    NamedSar{sar_not_supported, "SAR_NOTSUPPORTYETERR"},
    NamedSar{sar_invalid_handle, "SAR_INVALIDHANDLEERR"},
    NamedSar{sar_invalid_parameter, "SAR_INVALIDPARAMERR"},
    NamedSar{sar_name_length, "SAR_NAMELENERR"},
    NamedSar{sar_key_usage, "SAR_KEYUSAGEERR"},
    NamedSar{sar_not_initialised, "SAR_NOTINITIALIZEERR"},
    NamedSar{sar_object, "SAR_OBJERR"},
    NamedSar{sar_memory, "SAR_MEMORYERR"},
    NamedSar{sar_timeout, "SAR_TIMEOUTERR"},
    NamedSar{sar_data_length, "SAR_INDATALENERR"},
    NamedSar{sar_data, "SAR_INDATAERR"},
    NamedSar{sar_random, "SAR_GENRANDERR"},
    NamedSar{sar_no_such_key, "SAR_KEYNOTFOUNTERR"},
    NamedSar{sar_decrypt_padding, "SAR_DECRYPTPADERR"},
    NamedSar{sar_mac_length, "SAR_MACLENERR"},
    NamedSar{sar_buffer_too_small, "SAR_BUFFER_TOO_SMALL"},
    NamedSar{sar_device_removed, "SAR_DEVICE_REMOVED"},
    NamedSar{sar_pin_incorrect, "SAR_PIN_INCORRECT"},
    NamedSar{sar_pin_locked, "SAR_PIN_LOCKED"},
    NamedSar{sar_pin_invalid, "SAR_PIN_INVALID"},
    NamedSar{sar_pin_length, "SAR_PIN_LEN_RANGE"},
    NamedSar{sar_already_logged_in, "SAR_USER_ALREADY_LOGGED_IN"},
    NamedSar{sar_pin_not_initialised, "SAR_USER_PIN_NOT_INITIALIZED"},
    NamedSar{sar_not_logged_in, "SAR_USER_NOT_LOGGED_IN"},
    NamedSar{sar_no_such_application, "SAR_APPLICATION_NOT_EXISTS"},
    NamedSar{sar_file_exists, "SAR_FILE_ALREADY_EXIST"},
    NamedSar{sar_no_room, "SAR_NO_ROOM"},
    NamedSar{sar_no_such_file, "SAR_FILE_NOT_EXIST"},
};

ErrorCode code_of_sar(SKF_ULONG value) {
  switch (value) {
    case sar_pin_incorrect:
    case sar_pin_locked:
    case sar_pin_invalid:
    case sar_pin_length:
    case sar_pin_not_initialised:
    case sar_not_logged_in:
      return ErrorCode::denied;
    case sar_no_such_key:
    case sar_no_such_application:
    case sar_no_such_file:
      return ErrorCode::not_found;
    default:
      return ErrorCode::internal;
  }
}

}  // namespace

std::string name_of_sar(SKF_ULONG value) {
  const auto* const found = std::ranges::find(named_sars, value, &NamedSar::value);
  if (found != named_sars.end()) return std::string(found->name);
  const std::array<std::uint8_t, 4> octets{static_cast<std::uint8_t>(value >> 24U), static_cast<std::uint8_t>(value >> 16U),
                                           static_cast<std::uint8_t>(value >> 8U), static_cast<std::uint8_t>(value)};
  return "return value 0x" + to_hex(octets);
}

std::unexpected<Error> skf_failure(std::string_view call, SKF_ULONG value) { return fail(code_of_sar(value), std::string(call) + ": " + name_of_sar(value)); }

void SkfFunctions::find_in(Symbols& symbols) {
  symbols.find(enum_dev, "SKF_EnumDev");
  symbols.find(connect_dev, "SKF_ConnectDev");
  symbols.find(disconnect_dev, "SKF_DisConnectDev");
  symbols.find(get_dev_info, "SKF_GetDevInfo");
  symbols.find(dev_auth, "SKF_DevAuth");
  symbols.find(open_application, "SKF_OpenApplication");
  symbols.find(close_application, "SKF_CloseApplication");
  symbols.find(verify_pin, "SKF_VerifyPIN");
  symbols.find(create_container, "SKF_CreateContainer");
  symbols.find(open_container, "SKF_OpenContainer");
  symbols.find(close_container, "SKF_CloseContainer");
  symbols.find(gen_ecc_key_pair, "SKF_GenECCKeyPair");
  symbols.find(import_ecc_key_pair, "SKF_ImportECCKeyPair");
  symbols.find(export_public_key, "SKF_ExportPublicKey");
  symbols.find(ecc_export_session_key, "SKF_ECCExportSessionKey");
  symbols.find(import_session_key, "SKF_ImportSessionKey");
  symbols.find(encrypt_init, "SKF_EncryptInit");
  symbols.find(encrypt, "SKF_Encrypt");
  symbols.find(decrypt_init, "SKF_DecryptInit");
  symbols.find(decrypt, "SKF_Decrypt");
  symbols.find(mac_init, "SKF_MacInit");
  symbols.find(mac, "SKF_Mac");
  symbols.find(gen_random, "SKF_GenRandom");
  symbols.find(close_handle, "SKF_CloseHandle");
}

Result<const SkfFunctions*> load_skf_library(const std::filesystem::path& file) {
  static MakerLibraries<SkfFunctions> libraries("SKF library");
  return libraries.of(file);
}

}  // namespace qanat::crypto
