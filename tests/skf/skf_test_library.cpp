// A test double of an intelligent key device with the interface of GM/T 0016, as the shared library that a maker would deliver: no device, and no protection of
// anything. It is compiled against the interface that Qanat calls (crypto/skf_interface.hpp) and uses OpenSSL's SM2 and SM4, where Qanat uses none for this.
//
// The device is the folder that QANAT_SKF_FOLDER names (device_double.hpp says how it is made to misbehave):
//   name                         the name that it is listed by; `second`, if it is there, lists another one
//   application-<a>              an application, and its user PIN
//   tries                        how often a wrong PIN was shown; the order "SKF_VerifyPIN same" is a library in which the process is logged in already
//   auth                         the device authentication key, 16 octets; if it is there, no application opens before SKF_DevAuth
//   container-<a>-<c>            a container; with .sign and .enc behind its name the private keys in it, 32 octets, and the points that belong to them

#include <cstring>
#include <map>
#include <mutex>

#include "crypto/skf_interface.hpp"
#include "device_double.hpp"
#include "skf_test_sm2.hpp"

namespace {

using device_double::block;
using device_double::How;
using device_double::Octets;
using device_double::sm4;
using namespace qanat::crypto;

constexpr SKF_ULONG tries_max = 10;
const device_double::Folder folder("QANAT_SKF_FOLDER");

/// Whatever a handle stands for.
struct Open {
  enum class Kind { device, application, container, key, mac } kind;
  void* parent = nullptr;
  std::string name;       // application, container
  bool admitted = false;  // a device after SKF_DevAuth, an application after SKF_VerifyPIN
  Octets value;           // device: its last random octets; key, mac: the key
  Octets iv;              // key, mac: since ..Init
  int encrypting = -1;
};

struct Device {
  std::mutex mutex;
  std::uintptr_t last = 0x1000;  // handles are numbers that were never given before, so that a stale one is known
  std::map<void*, Open> open;
};

Device& device() {
  static Device only;
  return only;
}

void* keep(Open what) {
  void* const handle = reinterpret_cast<void*>(++device().last);
  device().open.emplace(handle, std::move(what));
  return handle;
}

Open* find(Open::Kind kind, void* handle) {
  const auto found = device().open.find(handle);
  return found != device().open.end() && found->second.kind == kind ? &found->second : nullptr;
}

SKF_ULONG close(Open::Kind kind, void* handle) {
  const std::scoped_lock lock(device().mutex);
  if (find(kind, handle) == nullptr) return sar_invalid_handle;
  device().open.erase(handle);
  return sar_ok;
}

/// What all calls have in common: the orders, and that the device is there.
template <class Work>
SKF_ULONG called(std::string_view function, const Work& work) {
  const std::scoped_lock lock(device().mutex);
  if (!folder.path()) {
    device().open.clear();
    return sar_device_removed;
  }
  const How how = folder.ordered(function);
  return how == How::fail ? sar_fail : work(how);
}

template <class Work>
SKF_ULONG with(std::string_view function, Open::Kind kind, void* handle, const Work& work) {
  return called(function, [&](How how) -> SKF_ULONG {
    Open* const found = find(kind, handle);
    return found != nullptr ? work(*found, how) : sar_invalid_handle;
  });
}

/// A container of an application that the PIN was shown to.
template <class Work>
SKF_ULONG with_container(std::string_view function, void* handle, const Work& work) {
  return with(function, Open::Kind::container, handle, [&](Open& container, How how) -> SKF_ULONG {
    const Open* const application = find(Open::Kind::application, container.parent);
    if (application == nullptr || !application->admitted) return sar_not_logged_in;
    return work("container-" + application->name + "-" + container.name, how);
  });
}

SKF_ULONG deliver(const Octets& octets, How how, unsigned char* out, SKF_ULONG* length) {
  if (*length < octets.size()) return sar_buffer_too_small;
  *length = static_cast<SKF_ULONG>(octets.size());
  if (how == How::mute) return sar_ok;
  if (how == How::brief) *length -= block / 2;
  std::copy_n(octets.begin(), *length, out);
  return sar_ok;
}

SKF_ULONG init(std::string_view function, void* key, const BLOCKCIPHERPARAM& parameters, int encrypting) {
  return with(function, Open::Kind::key, key, [&](Open& open, How /*how*/) -> SKF_ULONG {
    if (parameters.IVLen != block || parameters.PaddingType != 0) return sar_invalid_parameter;
    open.iv.assign(parameters.IV, parameters.IV + block);
    open.encrypting = encrypting;
    return sar_ok;
  });
}

SKF_ULONG cipher_call(std::string_view function, void* key, const unsigned char* data, SKF_ULONG length, unsigned char* out, SKF_ULONG* out_length,
                      int encrypting) {
  return with(function, Open::Kind::key, key, [&](Open& open, How how) -> SKF_ULONG {
    if (open.encrypting != encrypting) return sar_not_initialised;
    open.encrypting = -1;
    if (length == 0 || length % block != 0 || length > device_double::longest_call) return sar_data_length;
    const auto result = sm4(EVP_sm4_cbc(), open.value, open.iv.data(), data, length, encrypting);
    return result ? deliver(*result, how, out, out_length) : sar_fail;
  });
}

}  // namespace

extern "C" {

SKF_ULONG SKF_EnumDev(SKF_BOOL /*present*/, char* names, SKF_ULONG* size) {
  return called("SKF_EnumDev", [&](How) -> SKF_ULONG {
    std::string out;
    for (const char* const file : {"name", "second"}) {
      if (const auto name = folder.read(file)) out += std::string(name->begin(), name->end()) + '\0';
    }
    out += '\0';
    if (names != nullptr && *size < out.size()) return sar_buffer_too_small;
    if (names != nullptr) std::ranges::copy(out, names);
    *size = static_cast<SKF_ULONG>(out.size());
    return sar_ok;
  });
}

SKF_ULONG SKF_ConnectDev(char* name, void** handle) {
  return called("SKF_ConnectDev", [&](How) -> SKF_ULONG {
    const auto is = folder.read("name");
    if (!is || std::string(is->begin(), is->end()) != name) return sar_fail;
    *handle = keep({.kind = Open::Kind::device, .name = "", .value = {}, .iv = {}});
    return sar_ok;
  });
}

SKF_ULONG SKF_DisConnectDev(void* handle) { return close(Open::Kind::device, handle); }

SKF_ULONG SKF_GetDevInfo(void* handle, DEVINFO* info) {
  return with("SKF_GetDevInfo", Open::Kind::device, handle, [&](Open&, How how) -> SKF_ULONG {
    *info = {};
    info->DevAuthAlgId = how == How::same ? 0x101 : skf_sm4_ecb;
    return sar_ok;
  });
}

SKF_ULONG SKF_GenRandom(void* handle, unsigned char* random, SKF_ULONG length) {
  return with("SKF_GenRandom", Open::Kind::device, handle, [&](Open& open, How how) -> SKF_ULONG {
    if (!device_double::random_octets(how, length, random)) return sar_random;
    open.value.assign(random, random + std::min<SKF_ULONG>(length, 8));
    return sar_ok;
  });
}

SKF_ULONG SKF_DevAuth(void* handle, unsigned char* data, SKF_ULONG length) {
  return with("SKF_DevAuth", Open::Kind::device, handle, [&](Open& open, How) -> SKF_ULONG {
    const auto key = folder.read("auth");
    Octets plain = open.value;
    plain.resize(block);
    const auto expected = key ? sm4(EVP_sm4_ecb(), *key, nullptr, plain.data(), block, 1) : std::nullopt;
    if (!expected || length != block || std::memcmp(expected->data(), data, block) != 0) return sar_fail;
    open.admitted = true;
    return sar_ok;
  });
}

SKF_ULONG SKF_OpenApplication(void* handle, char* name, void** application) {
  return with("SKF_OpenApplication", Open::Kind::device, handle, [&](Open& open, How) -> SKF_ULONG {
    if (folder.read("auth") && !open.admitted) return sar_fail;
    if (!folder.read("application-" + std::string(name))) return sar_no_such_application;
    *application = keep({.kind = Open::Kind::application, .parent = handle, .name = name, .value = {}, .iv = {}});
    return sar_ok;
  });
}

SKF_ULONG SKF_CloseApplication(void* application) { return close(Open::Kind::application, application); }

SKF_ULONG SKF_VerifyPIN(void* application, SKF_ULONG pin_type, char* pin, SKF_ULONG* tries_left) {
  return with("SKF_VerifyPIN", Open::Kind::application, application, [&](Open& open, How how) -> SKF_ULONG {
    if (how == How::same) {
      open.admitted = true;
      return sar_already_logged_in;
    }
    const auto right = folder.read("application-" + open.name);
    Octets tries = folder.read("tries").value_or(Octets());
    if (tries.size() >= tries_max) return sar_pin_locked;
    if (pin_type != skf_user_pin || !right || std::string(right->begin(), right->end()) != pin) {
      tries.push_back('x');
      folder.write("tries", tries);
      *tries_left = tries_max - static_cast<SKF_ULONG>(tries.size());
      return sar_pin_incorrect;
    }
    folder.write("tries", {});
    open.admitted = true;
    return sar_ok;
  });
}

SKF_ULONG SKF_CreateContainer(void* application, char* name, void** container) {
  return with("SKF_CreateContainer", Open::Kind::application, application, [&](Open& open, How) -> SKF_ULONG {
    if (!open.admitted) return sar_not_logged_in;
    const std::string file = "container-" + open.name + "-" + name;
    if (folder.read(file)) return sar_file_exists;
    folder.write(file, {});
    *container = keep({.kind = Open::Kind::container, .parent = application, .name = name, .value = {}, .iv = {}});
    return sar_ok;
  });
}

SKF_ULONG SKF_OpenContainer(void* application, char* name, void** container) {
  return with("SKF_OpenContainer", Open::Kind::application, application, [&](Open& open, How) -> SKF_ULONG {
    if (!folder.read("container-" + open.name + "-" + name)) return sar_fail;  // as some makers say it
    *container = keep({.kind = Open::Kind::container, .parent = application, .name = name, .value = {}, .iv = {}});
    return sar_ok;
  });
}

SKF_ULONG SKF_CloseContainer(void* container) { return close(Open::Kind::container, container); }

SKF_ULONG SKF_GenECCKeyPair(void* container, SKF_ULONG algorithm, ECCPUBLICKEYBLOB* key) {
  return with_container("SKF_GenECCKeyPair", container, [&](const std::string& file, How) -> SKF_ULONG {
    const Octets pair = skf_double::make_pair();
    if (algorithm != skf_sm2_sign || pair.empty()) return sar_invalid_parameter;
    folder.write(file + ".sign", pair);
    *key = skf_double::public_blob(pair);
    return sar_ok;
  });
}

SKF_ULONG SKF_ImportECCKeyPair(void* container, ENVELOPEDKEYBLOB* pair) {
  return with_container("SKF_ImportECCKeyPair", container, [&](const std::string& file, How how) -> SKF_ULONG {
    const auto signing = folder.read(file + ".sign");
    if (!signing) return sar_no_such_key;
    if (pair->Version != 1 || pair->ulSymmAlgID != skf_sm4_ecb || pair->ulBits != skf_ecc_bits) return sar_invalid_parameter;
    const Octets wrapping = skf_double::decrypt(*signing, pair->ECCCipherBlob);
    if (wrapping.size() != block) return sar_data;
    auto plain = sm4(EVP_sm4_ecb(), wrapping, nullptr, pair->cbEncryptedPriKey + 32, 32, 0);
    if (!plain) return sar_data;
    plain->insert(plain->end(), pair->PubKey.XCoordinate + 32, pair->PubKey.XCoordinate + 64);
    plain->insert(plain->end(), pair->PubKey.YCoordinate + 32, pair->PubKey.YCoordinate + 64);
    folder.write(file + ".enc", how == How::same ? *signing : *plain);
    return sar_ok;
  });
}

SKF_ULONG SKF_ExportPublicKey(void* container, SKF_BOOL signing, unsigned char* key, SKF_ULONG* length) {
  return with_container("SKF_ExportPublicKey", container, [&](const std::string& file, How how) -> SKF_ULONG {
    const auto pair = folder.read(file + (signing != 0 ? ".sign" : ".enc"));
    if (!pair) return sar_no_such_key;
    const ECCPUBLICKEYBLOB blob = skf_double::public_blob(*pair);
    Octets octets(sizeof blob);
    std::memcpy(octets.data(), &blob, sizeof blob);
    return deliver(octets, how, key, length);
  });
}

SKF_ULONG SKF_ECCExportSessionKey(void* container, SKF_ULONG algorithm, ECCPUBLICKEYBLOB* to, ECCCIPHERBLOB* key, void** handle) {
  return with_container("SKF_ECCExportSessionKey", container, [&](const std::string& /*file*/, How how) -> SKF_ULONG {
    const auto value = device_double::made_key(how);
    if (!value || algorithm != skf_sm4_cbc) return sar_invalid_parameter;
    *handle = keep({.kind = Open::Kind::key, .parent = container, .name = "", .value = *value, .iv = {}});
    const Octets wrapped = skf_double::encrypt(*to, *value);
    if (wrapped.empty()) return sar_data;
    if (how == How::mute) return sar_ok;
    std::memcpy(static_cast<void*>(key), wrapped.data(), wrapped.size());
    if (how == How::brief) key->CipherLen = block / 2;
    return sar_ok;
  });
}

SKF_ULONG SKF_ImportSessionKey(void* container, SKF_ULONG algorithm, unsigned char* key, SKF_ULONG length, void** handle) {
  return with_container("SKF_ImportSessionKey", container, [&](const std::string& file, How) -> SKF_ULONG {
    const auto pair = folder.read(file + ".enc");
    if (!pair) return sar_no_such_key;
    if (algorithm != skf_sm4_cbc || length != offsetof(ECCCIPHERBLOB, Cipher) + block) return sar_data_length;
    Octets blob(sizeof(ECCCIPHERBLOB) + block);
    std::copy_n(key, length, blob.begin());
    const Octets value = skf_double::decrypt(*pair, *reinterpret_cast<const ECCCIPHERBLOB*>(blob.data()));
    if (value.size() != block) return sar_data;
    *handle = keep({.kind = Open::Kind::key, .parent = container, .name = "", .value = value, .iv = {}});
    return sar_ok;
  });
}

SKF_ULONG SKF_EncryptInit(void* key, BLOCKCIPHERPARAM parameters) { return init("SKF_EncryptInit", key, parameters, 1); }
SKF_ULONG SKF_DecryptInit(void* key, BLOCKCIPHERPARAM parameters) { return init("SKF_DecryptInit", key, parameters, 0); }

SKF_ULONG SKF_Encrypt(void* key, unsigned char* data, SKF_ULONG length, unsigned char* encrypted, SKF_ULONG* encrypted_length) {
  return cipher_call("SKF_Encrypt", key, data, length, encrypted, encrypted_length, 1);
}

SKF_ULONG SKF_Decrypt(void* key, unsigned char* encrypted, SKF_ULONG length, unsigned char* data, SKF_ULONG* data_length) {
  return cipher_call("SKF_Decrypt", key, encrypted, length, data, data_length, 0);
}

SKF_ULONG SKF_MacInit(void* key, BLOCKCIPHERPARAM* parameters, void** mac) {
  return with("SKF_MacInit", Open::Kind::key, key, [&](Open& open, How) -> SKF_ULONG {
    if (parameters->IVLen != block || parameters->PaddingType != 0) return sar_invalid_parameter;
    *mac = keep({.kind = Open::Kind::mac, .parent = key, .name = "", .value = open.value, .iv = Octets(parameters->IV, parameters->IV + block)});
    return sar_ok;
  });
}

// A library that knows no MAC, for those who look for it (CMake: skf_test_without_mac).
#ifndef QANAT_SKF_WITHOUT_MAC
SKF_ULONG SKF_Mac(void* mac, unsigned char* data, SKF_ULONG length, unsigned char* out, SKF_ULONG* out_length) {
  return with("SKF_Mac", Open::Kind::mac, mac, [&](Open& open, How how) -> SKF_ULONG {
    if (length == 0 || length % block != 0) return sar_data_length;
    const auto chained = sm4(EVP_sm4_cbc(), open.value, open.iv.data(), data, length, 1);
    return chained ? deliver(Octets(chained->end() - block, chained->end()), how, out, out_length) : sar_fail;
  });
}
#endif

SKF_ULONG SKF_CloseHandle(void* handle) {
  const std::scoped_lock lock(device().mutex);
  return device().open.erase(handle) == 1 ? sar_ok : sar_invalid_handle;
}

}  // extern "C"
