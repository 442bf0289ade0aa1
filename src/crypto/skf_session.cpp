// One session with a container of an SKF device.
#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "base/secret_file.hpp"
#include "crypto/kdf.hpp"
#include "crypto/skf_envelope.hpp"
#include "crypto/skf_module.hpp"

namespace qanat::crypto {
namespace {

constexpr std::size_t pin_max = 255;  // octets
constexpr std::size_t auth_key_octets = 16;
constexpr SKF_ULONG auth_random_octets = 8;
constexpr SKF_ULONG device_names_max = 64U * 1024;  // octets
constexpr std::size_t wrapped_head = offsetof(ECCCIPHERBLOB, Cipher);
/// A session key of one block, encrypted with SM2.
constexpr std::size_t wrapped_octets = wrapped_head + sm4_block;
constexpr std::size_t wrapped_room = 1024;

/// Names go in through pointers that are not const.
std::vector<char> writable_text(std::string_view text) {
  std::vector<char> out(text.begin(), text.end());
  out.push_back('\0');
  return out;
}

BLOCKCIPHERPARAM cbc_from(const Sm4Block& iv) {
  BLOCKCIPHERPARAM out{};
  std::ranges::copy(iv, out.IV);
  out.IVLen = sm4_block;
  return out;
}

class SkfSession final : public Sm4Session {
 public:
  explicit SkfSession(const SkfFunctions& functions) : functions_(functions) {}
  ~SkfSession() override;
  Result<void> open(const SkfSettings& settings, SkfPin& pin, IfAbsent if_absent, Rng& rng);

  [[nodiscard]] Wrapper wrapper() const override;
  Result<Bytes> make_key(BoxKey place) override;
  Result<void> import_key(BoxKey place, ByteView wrapped) override;
  Result<void> encrypt(BoxKey key, const Sm4Block& iv, std::span<std::uint8_t> blocks) override;
  Result<void> decrypt(BoxKey key, const Sm4Block& iv, std::span<std::uint8_t> blocks) override;
  Result<Sm4Block> mac(TwoBlocks data) override;
  Result<void> random(std::span<std::uint8_t> out) override;

 private:
  [[nodiscard]] Result<std::string> name_of_device(const std::string& wanted) const;
  Result<void> connect(const std::string& wanted);
  Result<void> authenticate(const std::filesystem::path& key_file);
  Result<void> open_container(const std::string& name, IfAbsent if_absent);
  Result<ECCPUBLICKEYBLOB> public_key(bool signing) const;
  Result<ECCPUBLICKEYBLOB> signing_key();
  Result<ECCPUBLICKEYBLOB> encryption_key(IfAbsent if_absent, Rng& rng);
  [[nodiscard]] SKF_HANDLE& place_of(BoxKey key) { return keys_[static_cast<std::size_t>(key)]; }
  void close_key(BoxKey key);

  const SkfFunctions& functions_;
  SKF_HANDLE device_ = nullptr;
  SKF_HANDLE application_ = nullptr;
  SKF_HANDLE container_ = nullptr;
  ECCPUBLICKEYBLOB encryption_key_{};
  std::array<SKF_HANDLE, 2> keys_{};
};

SkfSession::~SkfSession() {
  close_key(BoxKey::encryption);
  close_key(BoxKey::mac);
  if (container_ != nullptr) (void)functions_.close_container(container_);
  if (application_ != nullptr) (void)functions_.close_application(application_);
  if (device_ != nullptr) (void)functions_.disconnect_dev(device_);
}

void SkfSession::close_key(BoxKey key) {
  SKF_HANDLE& handle = place_of(key);
  if (handle != nullptr) (void)functions_.close_handle(handle);
  handle = nullptr;
}

Result<std::string> SkfSession::name_of_device(const std::string& wanted) const {
  SKF_ULONG size = 0;
  if (const SKF_ULONG value = functions_.enum_dev(1, nullptr, &size); value != sar_ok) return skf_failure("SKF_EnumDev", value);
  if (size > device_names_max) return misbehaved("SKF_EnumDev", "wants room for " + std::to_string(size) + " octets");
  std::vector<char> names(size + 2);
  if (const SKF_ULONG value = functions_.enum_dev(1, names.data(), &size); value != sar_ok) return skf_failure("SKF_EnumDev", value);
  if (size > names.size()) return misbehaved("SKF_EnumDev", "gives more names than there is room for");
  std::vector<std::string> found;
  for (std::string_view rest(names.data(), size); !rest.empty() && rest.front() != '\0';) {
    const std::size_t end = std::min(rest.find('\0'), rest.size());
    found.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  if (!wanted.empty()) {
    if (std::ranges::find(found, wanted) == found.end()) return fail(ErrorCode::not_found, "SKF_EnumDev: there is no device '" + wanted + "'");
    return wanted;
  }
  if (found.empty()) return fail(ErrorCode::not_found, "SKF_EnumDev: there is no device");
  if (found.size() > 1) return fail(ErrorCode::conflict, "SKF_EnumDev: there are " + std::to_string(found.size()) + " devices: say which is meant");
  return found.front();
}

Result<void> SkfSession::connect(const std::string& wanted) {
  ASSIGN_OR_RETURN(const std::string name, name_of_device(wanted));
  if (const SKF_ULONG value = functions_.connect_dev(writable_text(name).data(), &device_); value != sar_ok) {
    device_ = nullptr;
    return skf_failure("SKF_ConnectDev", value);
  }
  return {};
}

Result<void> SkfSession::authenticate(const std::filesystem::path& key_file) {
  ASSIGN_OR_RETURN(const Secret key, read_secret_file(key_file, auth_key_octets));
  DEVINFO info{};
  if (const SKF_ULONG value = functions_.get_dev_info(device_, &info); value != sar_ok) return skf_failure("SKF_GetDevInfo", value);
  if (info.DevAuthAlgId != skf_sm4_ecb) return fail(ErrorCode::invalid_argument, "SKF_GetDevInfo: the device is not authenticated to with SM4-ECB");
  std::array<unsigned char, auth_random_octets> random{};
  if (const SKF_ULONG value = functions_.gen_random(device_, random.data(), auth_random_octets); value != sar_ok) return skf_failure("SKF_GenRandom", value);
  Bytes answer = answer_to_skf_device(key, random);
  if (const SKF_ULONG value = functions_.dev_auth(device_, answer.data(), static_cast<SKF_ULONG>(answer.size())); value != sar_ok)
    return fail(ErrorCode::denied, "SKF_DevAuth: " + name_of_sar(value) + ": the device refuses the authentication key");
  return {};
}

Result<void> SkfSession::open_container(const std::string& name, IfAbsent if_absent) {
  const SKF_ULONG opened = functions_.open_container(application_, writable_text(name).data(), &container_);
  if (opened == sar_ok) return {};
  container_ = nullptr;
  // Makers do not agree on the value that says that there is none. One that is there cannot be made, so trying does no harm.
  if (if_absent == IfAbsent::refuse || opened == sar_device_removed) return skf_failure("SKF_OpenContainer '" + name + "'", opened);
  const SKF_ULONG created = functions_.create_container(application_, writable_text(name).data(), &container_);
  if (created == sar_ok) return {};
  container_ = nullptr;
  return skf_failure("SKF_OpenContainer '" + name + "': " + name_of_sar(opened) + ", SKF_CreateContainer", created);
}

Result<ECCPUBLICKEYBLOB> SkfSession::public_key(bool signing) const {
  const std::string call = std::string("SKF_ExportPublicKey (") + (signing ? "signing)" : "encryption)");
  ECCPUBLICKEYBLOB out{};
  std::array<unsigned char, wrapped_room> room{};
  auto length = static_cast<SKF_ULONG>(room.size());
  if (const SKF_ULONG value = functions_.export_public_key(container_, signing ? 1 : 0, room.data(), &length); value != sar_ok) return skf_failure(call, value);
  if (length != sizeof out) return misbehaved(call, "the key has " + std::to_string(length) + " octets");
  std::memcpy(&out, room.data(), sizeof out);
  if (const auto point = point_of_skf(out); !point) return misbehaved(call, point.error().message);
  return out;
}

Result<ECCPUBLICKEYBLOB> SkfSession::signing_key() {
  auto key = public_key(true);
  if (key || key.error().code != ErrorCode::not_found) return key;
  ECCPUBLICKEYBLOB made{};
  if (const SKF_ULONG value = functions_.gen_ecc_key_pair(container_, skf_sm2_sign, &made); value != sar_ok) return skf_failure("SKF_GenECCKeyPair", value);
  return public_key(true);
}

Result<ECCPUBLICKEYBLOB> SkfSession::encryption_key(IfAbsent if_absent, Rng& rng) {
  auto key = public_key(false);
  if (key || if_absent == IfAbsent::refuse || key.error().code != ErrorCode::not_found) return key;
  ASSIGN_OR_RETURN(const ECCPUBLICKEYBLOB signing, signing_key());
  ASSIGN_OR_RETURN(SkfEncryptionPair pair, make_skf_encryption_pair(signing, rng));
  pair.envelope.resize(std::max(pair.envelope.size(), sizeof(ENVELOPEDKEYBLOB)));
  const SKF_ULONG value = functions_.import_ecc_key_pair(container_, reinterpret_cast<ENVELOPEDKEYBLOB*>(pair.envelope.data()));
  if (value != sar_ok) return skf_failure("SKF_ImportECCKeyPair", value);
  ASSIGN_OR_RETURN(const ECCPUBLICKEYBLOB imported, public_key(false));
  ASSIGN_OR_RETURN(const Bytes point, point_of_skf(imported));
  if (point != pair.point) return misbehaved("SKF_ImportECCKeyPair", "the container has another key than it was given");
  return imported;
}

Result<void> SkfSession::open(const SkfSettings& settings, SkfPin& pin, IfAbsent if_absent, Rng& rng) {
  TRY(connect(settings.device));
  if (!settings.auth_key_file.empty()) TRY(authenticate(settings.auth_key_file));
  if (const SKF_ULONG value = functions_.open_application(device_, writable_text(settings.application).data(), &application_); value != sar_ok) {
    application_ = nullptr;
    return skf_failure("SKF_OpenApplication '" + settings.application + "'", value);
  }
  TRY(pin.show(functions_, application_));
  TRY(open_container(settings.container, if_absent));
  ASSIGN_OR_RETURN(encryption_key_, encryption_key(if_absent, rng));
  return {};
}

Wrapper SkfSession::wrapper() const {
  const Bytes key = digest(Hash::sm3, {ByteView(encryption_key_.XCoordinate), ByteView(encryption_key_.YCoordinate)});
  return {.text = to_hex(key), .octets = key};
}

Result<Bytes> SkfSession::make_key(BoxKey place) {
  constexpr std::string_view call = "SKF_ECCExportSessionKey";
  close_key(place);
  Bytes room(wrapped_room);
  const SKF_ULONG value =
      functions_.ecc_export_session_key(container_, skf_sm4_cbc, &encryption_key_, reinterpret_cast<ECCCIPHERBLOB*>(room.data()), &place_of(place));
  if (value != sar_ok) {
    place_of(place) = nullptr;  // whatever was left there
    return skf_failure(call, value);
  }
  SKF_ULONG length = 0;
  std::memcpy(&length, room.data() + offsetof(ECCCIPHERBLOB, CipherLen), sizeof length);
  if (length != sm4_block) return misbehaved(call, "the wrapped key has " + std::to_string(length) + " octets");
  room.resize(wrapped_octets);
  return room;
}

Result<void> SkfSession::import_key(BoxKey place, ByteView wrapped) {
  close_key(place);
  if (wrapped.size() != wrapped_octets) return fail(ErrorCode::invalid_argument, "a wrapped key has not " + std::to_string(wrapped_octets) + " octets");
  Bytes copy = to_bytes(wrapped);  // the interface wants it writable
  const SKF_ULONG value = functions_.import_session_key(container_, skf_sm4_cbc, copy.data(), static_cast<SKF_ULONG>(copy.size()), &place_of(place));
  if (value != sar_ok) {
    place_of(place) = nullptr;
    return skf_failure("SKF_ImportSessionKey", value);
  }
  return {};
}

Result<void> SkfSession::encrypt(BoxKey key, const Sm4Block& iv, std::span<std::uint8_t> blocks) {
  return in_pieces("SKF_Encrypt", true, iv, blocks,
                   [&](const Sm4Block& chain, std::span<std::uint8_t> piece, std::span<std::uint8_t> out, unsigned int& length) -> Result<void> {
                     if (const SKF_ULONG value = functions_.encrypt_init(place_of(key), cbc_from(chain)); value != sar_ok)
                       return skf_failure("SKF_EncryptInit", value);
                     const SKF_ULONG value = functions_.encrypt(place_of(key), piece.data(), static_cast<SKF_ULONG>(piece.size()), out.data(), &length);
                     if (value != sar_ok) return skf_failure("SKF_Encrypt", value);
                     return {};
                   });
}

Result<void> SkfSession::decrypt(BoxKey key, const Sm4Block& iv, std::span<std::uint8_t> blocks) {
  return in_pieces("SKF_Decrypt", false, iv, blocks,
                   [&](const Sm4Block& chain, std::span<std::uint8_t> piece, std::span<std::uint8_t> out, unsigned int& length) -> Result<void> {
                     if (const SKF_ULONG value = functions_.decrypt_init(place_of(key), cbc_from(chain)); value != sar_ok)
                       return skf_failure("SKF_DecryptInit", value);
                     const SKF_ULONG value = functions_.decrypt(place_of(key), piece.data(), static_cast<SKF_ULONG>(piece.size()), out.data(), &length);
                     if (value != sar_ok) return skf_failure("SKF_Decrypt", value);
                     return {};
                   });
}

Result<Sm4Block> SkfSession::mac(TwoBlocks data) {
  BLOCKCIPHERPARAM parameters = cbc_from({});
  SKF_HANDLE handle = nullptr;
  if (const SKF_ULONG value = functions_.mac_init(place_of(BoxKey::mac), &parameters, &handle); value != sar_ok) return skf_failure("SKF_MacInit", value);
  std::array<std::uint8_t, sm4_block + spare_octets> room{};
  auto length = static_cast<SKF_ULONG>(room.size());
  const SKF_ULONG value = functions_.mac(handle, data.data(), static_cast<SKF_ULONG>(data.size()), room.data(), &length);
  (void)functions_.close_handle(handle);
  if (value != sar_ok) return skf_failure("SKF_Mac", value);
  return mac_of("SKF_Mac", room, length);
}

Result<void> SkfSession::random(std::span<std::uint8_t> out) {
  for (; !out.empty(); out = out.subspan(std::min(out.size(), piece_octets))) {
    const auto length = static_cast<SKF_ULONG>(std::min(out.size(), piece_octets));
    if (const SKF_ULONG value = functions_.gen_random(device_, out.data(), length); value != sar_ok) return skf_failure("SKF_GenRandom", value);
  }
  return {};
}

}  // namespace

Result<void> SkfPin::show(const SkfFunctions& functions, SKF_HANDLE application) {
  const std::scoped_lock lock(mutex_);
  if (refused_) return fail(ErrorCode::denied, "SKF_VerifyPIN: the PIN was refused before; it is not tried again, so that it does not lock");
  ASSIGN_OR_RETURN(const Secret pin, read_secret_line(file_, pin_max));
  Secret text(pin.size() + 1);  // ends with a zero octet
  std::ranges::copy(pin.reveal(), text.writable().begin());
  SKF_ULONG tries_left = 0;
  const SKF_ULONG value = functions.verify_pin(application, skf_user_pin, reinterpret_cast<char*>(text.writable().data()), &tries_left);
  // Some makers' logins are the process's and not the handle's: an earlier session has shown the PIN.
  if (value == sar_ok || value == sar_already_logged_in) return {};
  auto failure = skf_failure("SKF_VerifyPIN", value);
  refused_ = failure.error().code == ErrorCode::denied;
  if (value != sar_pin_incorrect) return failure;
  return fail(ErrorCode::denied, failure.error().message + ": the device refuses this PIN; " + std::to_string(tries_left) + " tries are left");
}

Result<std::unique_ptr<Sm4Session>> open_skf_session(const SkfFunctions& functions, const SkfSettings& settings, SkfPin& pin, IfAbsent if_absent, Rng& rng) {
  auto session = std::make_unique<SkfSession>(functions);
  TRY(session->open(settings, pin, if_absent, rng));
  return std::unique_ptr<Sm4Session>(std::move(session));
}

}  // namespace qanat::crypto
