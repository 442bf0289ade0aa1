// A test double of a crypto device with the interface of GM/T 0018, as the shared library that a maker would deliver: no device, and no protection of anything.
// It is compiled against the interface that Qanat calls (crypto/sdf_interface.hpp) and uses OpenSSL's SM4, where Qanat uses none for this.
//
// The device is the folder that QANAT_SDF_FOLDER names: kek-<index> has the 16 octets of a key-encryption key. How it is made to misbehave: device_double.hpp.
#include <map>
#include <mutex>
#include <set>

#include "device_double.hpp"
#include "crypto/sdf_interface.hpp"

namespace {

using device_double::block;
using device_double::How;
using device_double::longest_call;
using device_double::Octets;
using device_double::sm4;
using qanat::crypto::sgd_sm4_cbc;
using qanat::crypto::sgd_sm4_ecb;
using qanat::crypto::sgd_sm4_mac;

const device_double::Folder folder("QANAT_SDF_FOLDER");

struct Key {
  void* session;
  Octets value;
};

/// Handles are numbers that were never given before, so that a stale one is known.
struct Device {
  std::mutex mutex;
  std::uintptr_t last = 0x1000;
  std::set<void*> devices;
  std::map<void*, void*> sessions;
  std::map<void*, Key> keys;

  void* handle() { return reinterpret_cast<void*>(++last); }
  void lose_everything() {
    devices.clear();
    sessions.clear();
    keys.clear();
  }
};

Device& device() {
  static Device only;
  return only;
}

std::optional<Octets> kek(unsigned int index) {
  auto out = folder.read("kek-" + std::to_string(index));
  if (!out || out->size() != block) return std::nullopt;
  return out;
}

/// How this call is to go. What was open in a device that is away is lost.
How ordered(std::string_view function) {
  if (!folder.path()) device().lose_everything();
  return folder.ordered(function);
}

/// Into the room that the caller has.
int deliver(const Octets& octets, How how, unsigned char* out, unsigned int* length) {
  if (*length < octets.size()) return qanat::crypto::sdr_no_buffer;
  *length = static_cast<unsigned int>(octets.size());
  if (how == How::mute) return qanat::crypto::sdr_ok;
  if (how == How::brief) *length -= block / 2;
  std::copy_n(octets.begin(), *length, out);
  return qanat::crypto::sdr_ok;
}

const Key* key_of(void* session, void* handle) {
  const auto found = device().keys.find(handle);
  return found != device().keys.end() && found->second.session == session ? &found->second : nullptr;
}

void* keep(void* session, Octets value) {
  void* const handle = device().handle();
  device().keys.emplace(handle, Key{.session = session, .value = std::move(value)});
  return handle;
}

/// What all calls in a session have in common: it must be there, and the orders.
template <class Work>
int in_session(std::string_view function, void* session, const Work& work) {
  const std::scoped_lock lock(device().mutex);
  const How how = ordered(function);
  if (how == How::fail) return folder.path() ? qanat::crypto::sdr_hardware : qanat::crypto::sdr_communication;
  if (!device().sessions.contains(session)) return qanat::crypto::sdr_open_session;
  return work(how);
}

int cipher_call(std::string_view function, void* session, void* key_handle, unsigned int algorithm, unsigned char* iv, const unsigned char* data,
                unsigned int data_length, unsigned char* out, unsigned int* out_length, int encrypting) {
  return in_session(function, session, [&](How how) {
    const Key* const key = key_of(session, key_handle);
    if (key == nullptr) return qanat::crypto::sdr_no_such_key;
    if (algorithm != sgd_sm4_cbc) return qanat::crypto::sdr_mode;
    if (data_length == 0 || data_length % block != 0 || data_length > longest_call) return qanat::crypto::sdr_argument_in;
    const auto result = sm4(EVP_sm4_cbc(), key->value, iv, data, data_length, encrypting);
    if (!result) return qanat::crypto::sdr_symmetric_operation;
    // The standard gives the chain back in the IV.
    const unsigned char* const ciphertext = encrypting == 1 ? result->data() : data;
    std::copy_n(ciphertext + data_length - block, block, iv);
    return deliver(*result, how, out, out_length);
  });
}

}  // namespace

extern "C" {

int SDF_OpenDevice(void** handle) {
  const std::scoped_lock lock(device().mutex);
  if (ordered("SDF_OpenDevice") != How::well) return qanat::crypto::sdr_open_device;
  *handle = device().handle();
  device().devices.insert(*handle);
  return qanat::crypto::sdr_ok;
}

int SDF_CloseDevice(void* handle) {
  const std::scoped_lock lock(device().mutex);
  return device().devices.erase(handle) == 1 ? qanat::crypto::sdr_ok : qanat::crypto::sdr_open_device;
}

int SDF_OpenSession(void* handle, void** session) {
  const std::scoped_lock lock(device().mutex);
  if (ordered("SDF_OpenSession") != How::well || !device().devices.contains(handle)) return qanat::crypto::sdr_open_session;
  *session = device().handle();
  device().sessions.emplace(*session, handle);
  return qanat::crypto::sdr_ok;
}

int SDF_CloseSession(void* session) {
  const std::scoped_lock lock(device().mutex);
  std::erase_if(device().keys, [&](const auto& key) { return key.second.session == session; });
  return device().sessions.erase(session) == 1 ? qanat::crypto::sdr_ok : qanat::crypto::sdr_open_session;
}

int SDF_GenerateRandom(void* session, unsigned int length, unsigned char* random) {
  return in_session("SDF_GenerateRandom", session, [&](How how) {
    return device_double::random_octets(how, length, random) ? qanat::crypto::sdr_ok : qanat::crypto::sdr_hardware;
  });
}

int SDF_GenerateKeyWithKEK(void* session, unsigned int key_bits, unsigned int algorithm, unsigned int kek_index, unsigned char* key, unsigned int* key_length,
                           void** key_handle) {
  return in_session("SDF_GenerateKeyWithKEK", session, [&](How how) {
    const auto wrapping = kek(kek_index);
    if (!wrapping) return qanat::crypto::sdr_no_such_key;
    if (key_bits != 8 * block || algorithm != sgd_sm4_ecb) return qanat::crypto::sdr_algorithm;
    const auto value = device_double::made_key(how);
    if (!value) return qanat::crypto::sdr_hardware;
    const auto wrapped = sm4(EVP_sm4_ecb(), *wrapping, nullptr, value->data(), block, 1);
    if (!wrapped) return qanat::crypto::sdr_symmetric_operation;
    *key_handle = keep(session, *value);
    return deliver(*wrapped, how, key, key_length);
  });
}

int SDF_ImportKeyWithKEK(void* session, unsigned int algorithm, unsigned int kek_index, unsigned char* key, unsigned int key_length, void** key_handle) {
  return in_session("SDF_ImportKeyWithKEK", session, [&](How /*how*/) {
    const auto wrapping = kek(kek_index);
    if (!wrapping) return qanat::crypto::sdr_no_such_key;
    if (algorithm != sgd_sm4_ecb || key_length != block) return qanat::crypto::sdr_argument_in;
    const auto value = sm4(EVP_sm4_ecb(), *wrapping, nullptr, key, key_length, 0);
    if (!value) return qanat::crypto::sdr_symmetric_operation;
    *key_handle = keep(session, *value);
    return qanat::crypto::sdr_ok;
  });
}

int SDF_DestroyKey(void* session, void* key_handle) {
  const std::scoped_lock lock(device().mutex);
  if (key_of(session, key_handle) == nullptr) return qanat::crypto::sdr_no_such_key;
  device().keys.erase(key_handle);
  return qanat::crypto::sdr_ok;
}

int SDF_Encrypt(void* session, void* key_handle, unsigned int algorithm, unsigned char* iv, unsigned char* data, unsigned int data_length,
                unsigned char* encrypted, unsigned int* encrypted_length) {
  return cipher_call("SDF_Encrypt", session, key_handle, algorithm, iv, data, data_length, encrypted, encrypted_length, 1);
}

int SDF_Decrypt(void* session, void* key_handle, unsigned int algorithm, unsigned char* iv, unsigned char* encrypted, unsigned int encrypted_length,
                unsigned char* data, unsigned int* data_length) {
  return cipher_call("SDF_Decrypt", session, key_handle, algorithm, iv, encrypted, encrypted_length, data, data_length, 0);
}

// A library that knows no MAC, for those who look for it (CMake: sdf_test_without_mac).
#ifndef QANAT_SDF_WITHOUT_MAC
int SDF_CalculateMAC(void* session, void* key_handle, unsigned int algorithm, unsigned char* iv, unsigned char* data, unsigned int data_length,
                     unsigned char* mac, unsigned int* mac_length) {
  return in_session("SDF_CalculateMAC", session, [&](How how) {
    const Key* const key = key_of(session, key_handle);
    if (key == nullptr) return qanat::crypto::sdr_no_such_key;
    if (algorithm != sgd_sm4_mac) return qanat::crypto::sdr_mode;
    if (data_length == 0 || data_length % block != 0 || data_length > longest_call) return qanat::crypto::sdr_argument_in;
    const auto chained = sm4(EVP_sm4_cbc(), key->value, iv, data, data_length, 1);
    if (!chained) return qanat::crypto::sdr_symmetric_operation;
    const Octets last(chained->end() - block, chained->end());
    std::ranges::copy(last, iv);
    return deliver(last, how, mac, mac_length);
  });
}
#endif

}  // extern "C"
